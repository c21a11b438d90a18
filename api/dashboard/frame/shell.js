// The shell around every view: where one can go, how live it is, search, theme, who is signed in.

import { html, useEffect, useRef } from "/vendor/preact.js";
import { go, linkTo } from "./address.js";
import { makeCell, useCell } from "./cell.js";
import { clockTime, number, serverNow, useNow, zoneName } from "./clock.js";
import { KeysOverlay, showKeys, useKeys } from "./keys.js";
import { Menu, Toasts, toast } from "./dialog.js";
import { Icon } from "./icon.js";
import { live } from "./live.js";
import { Choice, ErrorNote, Note, sentence } from "./parts.js";
import { contact, inWords, skew } from "./rest.js";
import { session, signOut } from "./session.js";
import { needing } from "./states.js";

const THEME = "heimdall-theme";
const theme = makeCell(localStorage.getItem(THEME) ?? "");
applyTheme(theme.get());

function applyTheme(value) {
  if (value) document.documentElement.dataset.theme = value;
  else delete document.documentElement.dataset.theme;
}

function chooseTheme(value) {
  theme.set(value);
  applyTheme(value);
  localStorage.setItem(THEME, value);
}

/** The title of the window and of its history, such as "46 need you · Hosts". */
export function useTitle(text) {
  useEffect(() => {
    document.title = `${text} · Heimdall`;
  }, [text]);
}

// what stands beside a view's name: a count, and whether it is bad news
function badgesOf(content) {
  if (!content) return {};
  const { hosts, alerts, events, ingest } = content;
  const bad = (count) => (count > 0 ? { count, tone: "s-critical" } : null);
  return {
    hosts: hosts.total > 0 ? { count: hosts.total, tone: "", need: needing(hosts.states) } : null,
    events: bad(events.severities_last_day[4]),
    alerts: bad(alerts.open),
    health: ingest.ready ? null : { count: "!", tone: "s-critical" },
  };
}

function NavLink({ view, current, badge }) {
  return html`<a href=${linkTo(view.name)} title=${view.word} aria-current=${current === view.name ? "page" : undefined}>
    <${Icon} name=${view.icon} /><span class="word">${view.word}</span>
    ${badge && html`<span class=${`n ${badge.tone}`}>${typeof badge.count === "number" ? number(badge.count) : badge.count}</span>`}</a>`;
}

function Theme() {
  return html`<${Choice} label="Theme" value=${useCell(theme)} choose=${chooseTheme} options=${[["light", "Light"], ["dark", "Dark"], ["", "System"]]} />`;
}

function Leave({ class: look = "btn quiet sm" }) {
  const leave = () => signOut().catch((error) => toast(`Not signed out: ${inWords(error)}`, { failed: true }));
  return html`<button type="button" class=${look} onClick=${leave}>Sign out</button>`;
}

function Side({ views, current, badges }) {
  const { name } = useCell(session);
  return html`<aside class="side" aria-label="Heimdall">
    <a class="brand" href=${linkTo("overview")}><svg aria-hidden="true"><use href="#brand" /></svg><span class="word">Heimdall</span></a>
    <nav class="nav" aria-label="Main">${views.map((view) => html`<${NavLink} key=${view.name} view=${view} current=${current} badge=${badges[view.name]} />`)}</nav>
    <div class="side-end"><${Theme} />
      <p class="who"><span title=${name}>${name}</span><${Leave} /></p>
      <p><a href="/docs">REST API</a> · <button type="button" class="linklike" onClick=${showKeys}>Keys <kbd>?</kbd></button></p></div>
  </aside>`;
}

const TABS = ["overview", "hosts", "events", "alerts"];

function Tabs({ views, current, badges }) {
  const shown = views.filter((view) => TABS.includes(view.name));
  const others = views.filter((view) => !TABS.includes(view.name));
  const countOf = { hosts: badges.hosts?.need, alerts: badges.alerts?.count, events: 0 };
  return html`<nav class="tabs" aria-label="Main">
    ${shown.map((view) => html`<a key=${view.name} href=${linkTo(view.name)} aria-current=${current === view.name ? "page" : undefined}>
      <${Icon} name=${view.icon} /><span>${view.word}</span>${countOf[view.name] > 0 && html`<span class="n">${countOf[view.name] > 99 ? "99+" : countOf[view.name]}</span>`}</a>`)}
    <${Menu} label="More" icon="n-more" class="tab">
      ${others.map((view) => html`<li key=${view.name}><a href=${linkTo(view.name)}
        aria-current=${current === view.name ? "page" : undefined}><${Icon} name=${view.icon} />${view.word}</a></li>`)}
      <li onClick=${(event) => event.stopPropagation()}><${Theme} /></li><li><${Leave} class="" /></li>
    <//>
  </nav>`;
}

const LIVE_WORDS = { off: "Connecting", connecting: "Connecting", stream: "Live", polling: "Live", stale: "Stale since" };
const LIVE_HINTS = { stream: "The server tells what changes", polling: "Asked every 5 seconds: the stream of changes is not open" };

function Live() {
  const { mode, since } = useCell(live);
  useNow();
  const stale = mode === "stale";
  const word = stale && since === null ? "No connection" : LIVE_WORDS[mode];
  const time = stale ? (since === null ? "" : clockTime(since + skew.get())) : mode === "connecting" || mode === "off" ? "" : clockTime(serverNow());
  return html`<p class=${`live ${stale ? "stale" : ""}`} title=${LIVE_HINTS[mode]}>
    <${Icon} name=${stale ? "n-warn" : mode === "connecting" || mode === "off" ? "n-wait" : "i-online"} class=${stale ? "s-late" : "s-online"} />
    <b>${word}</b><span class="time">${time} ${time && html`<span class="zone">${zoneName()}</span>`}</span></p>`;
}

// an address goes to the events that came from it, anything else is a part of a host's name
function search(text) {
  if (!text) return;
  const isAddress = /^(\d{1,3}\.){3}\d{1,3}$/.test(text) || /^[0-9a-f:]*:[0-9a-f:]*:[0-9a-f:.]*$/i.test(text);
  if (isAddress) go("events", { query: { source_ip: text } });
  else go("hosts", { query: { q: text } });
}

function Search() {
  const field = useRef(null);
  const focus = () => {
    field.current.focus();
    field.current.select();
  };
  useKeys([{ keys: "/", say: "Search", run: focus }]);
  const submit = (event) => {
    event.preventDefault();
    search(field.current.value.trim());
    field.current.blur();
  };
  return html`<form class="search top-search" role="search" onSubmit=${submit}><label><${Icon} name="n-search" /><span class="vh">Find a host or an address</span>
    <input ref=${field} type="search" placeholder="Host or address" spellcheck=${false} autocomplete="off" maxlength="253"
      onKeyDown=${(event) => event.key === "Escape" && field.current.blur()} /><kbd aria-hidden="true">/</kbd></label></form>`;
}

/**
 * @param {{views: object[], current: object, rest: string[], summary: object, children: unknown}} props
 */
export function Shell({ views, current, rest, summary, children }) {
  const { failed, at } = useCell(contact);
  const badges = badgesOf(summary.content);
  useKeys([
    ...views.map((view) => ({ keys: `g ${view.key}`, say: `Go to ${view.word}`, run: () => go(view.name) })),
    { keys: "?", say: "All keys", run: showKeys },
  ], [views]);
  const main = useRef(null);
  const skip = (event) => {
    event.preventDefault(); // the fragment is the address of the view
    main.current.focus();
  };
  return html`<a class="skip" href="#main" onClick=${skip}>To the content</a>
    <div class="app" data-stale=${failed === null ? undefined : "true"}>
      <${Side} views=${views} current=${current.name} badges=${badges} />
      <div class="page">
        <header class="top">
          <div class="crumb">
            ${rest.length > 0 && html`<a href=${linkTo(current.name)}>${current.word}</a><span aria-hidden="true">/</span>`}
            <h1>${rest.length > 0 ? rest.join(" / ") : current.word}</h1>
          </div>
          <${Search} /><${Live} />
        </header>
        <main class="content" id="main" tabindex="-1" ref=${main}>
          ${failed !== null && at !== null && html`<${Note} title="Nothing new is heard.">
            ${sentence(inWords(failed))} What is shown is as of ${clockTime(at + skew.get())}; it is asked again every 5${"\u202f"}s.<//>`}
          ${failed === null && summary.error && html`<${ErrorNote} what="The summary cannot be had." error=${summary.error} again=${summary.reload} />`}
          ${children}
        </main>
      </div>
      <${Tabs} views=${views} current=${current.name} badges=${badges} />
    </div>
    <${Toasts} /><${KeysOverlay} />`;
}
