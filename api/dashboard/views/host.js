// One host: what it is held to be and why, what happened to it, what to check, what is open of it, and what it said last.

import { html, useEffect, useState } from "/vendor/preact.js";
import { Age, Empty, ErrorNote, Icon, Loading, Problem, Section, announce, fullTime, go, isTyping, later, linkTo, parseTime, serverNow, severityOf } from "/frame.js";
import { alertLook, shownState, toast, useAnswer, useKeys, useMay, useNow, useTitle } from "/frame.js";
import { Facts, Patterns, Score, Uptime } from "/views/host-facts.js";
import { Lanes } from "/views/host-lanes.js";
import { Checks, reasonOf, verdictWords, whenWords } from "/views/host-words.js";

const EVENTS = 10;
const ACTIONS = [
  { key: "acknowledge", word: "Acknowledge", keys: "a", say: "Acknowledge" },
  { key: "silence", word: "Silence", keys: "s", say: "Silence" },
  { key: "maintenance", word: "Maintenance", keys: "w", say: "Announce maintenance" },
  { key: "remove", word: "Delete", keys: "" },
];

/** What may be done with `name`; the dialogs are fetched when one is first needed. */
function Actions({ name, waits, reload }) {
  const [dialog, setDialog] = useState(null);
  const begin = (key) => later(() => import("/views/host-actions.js"), (actions) => setDialog({ key, Form: actions[key] }));
  const shown = ACTIONS.filter((one) => waits || one.key !== "acknowledge");
  useKeys(shown.filter((one) => one.keys).map((one) => ({ keys: one.keys, say: one.say, run: () => void begin(one.key) })), [name, waits]);
  const done = (text) => {
    toast(text);
    if (dialog.key === "remove") go("hosts");
    else reload();
  };
  return html`<div class="btns">
    ${shown.map((one) => html`<button type="button" key=${one.key} class=${`btn ${one.key === "acknowledge" ? "pri" : ""}`} onClick=${() => begin(one.key)}>${one.word}</button>`)}</div>
    ${dialog && html`<${dialog.Form} hosts=${[name]} close=${() => setDialog(null)} done=${done} />`}`;
}

/** The verdict, with its reason. It is read out when it changes, not as its age grows. */
function Verdict({ host, children }) {
  const now = useNow();
  const state = shownState(host);
  const [word, rest] = verdictWords(host, now);
  useEffect(() => announce(`${host.hostname}: ${word}. ${reasonOf(host, serverNow())}`), [state.key]);
  return html`<header class=${`verdict ${state.tone}`}>
    <span class="big"><${Icon} name=${`i-${state.key}`} label=${state.word} /></span>
    <div class="lead say"><p class="lead-t">${host.hostname}: <b>${word}</b>${rest}</p><p class="lead-s">${reasonOf(host, now)}</p></div>
    ${children}</header>`;
}

function Alerts({ alerts, now }) {
  if (alerts.length === 0) return null;
  return html`<${Section} title=${alerts.length === 1 ? "Open alert" : "Open alerts"} aside=${html`<a href=${linkTo("alerts", { query: { state: "open" } })}>All alerts</a>`}>
    <ul class="list">${alerts.map((one) => {
      const look = alertLook(one);
      const acked = one.acked_at ? `${one.acked_by ?? "Somebody"} sees to it, since ${whenWords(one.acked_at, now).replace(/^(at|on) /, "")}.` : "Nobody has acknowledged it.";
      return html`<li class=${look.tone} key=${one.id}><${Icon} name=${look.icon} label=${look.word} />
        <p class="say"><b>${look.word}</b> ${one.text}. <span class="muted">${acked}</span></p><span class="when"><${Age} at=${one.since} ago /></span></li>`;
    })}</ul><//>`;
}

function Newest({ name }) {
  const { content, error, reload } = useAnswer(`/events?source_host=${encodeURIComponent(name)}&limit=${EVENTS}`, ["events"], 5000);
  const link = linkTo("events", { query: { source_host: name, span: "all" } });
  return html`<${Section} title="Newest events" aside=${html`<a href=${link} aria-label=${`All events of ${name}`}>All events</a>`}>
    ${error && html`<${ErrorNote} what="Its events cannot be had." error=${error} again=${reload} kept=${content !== null} />`}
    ${content?.events.length === 0 && html`<p class="calm">No event of it is stored yet.</p>`}
    <ul class="list host-events">${(content?.events ?? []).map((one) => {
      const severity = severityOf(one.severity);
      const moment = parseTime(one.created_at);
      return html`<li class=${severity.tone} key=${one.event_id}><${Icon} name=${severity.icon} label=${severity.word} />
        <p><span class="tag">${one.event_type}</span> <span class="words" title=${one.raw_message}>${one.raw_message}</span></p>
        <span class="when" title=${moment === null ? "" : fullTime(moment)}><${Age} at=${one.created_at} ago /></span></li>`;
    })}</ul><//>`;
}

function Unknown({ name }) {
  return html`<${Empty} title=${`Nothing is known of ${name}`}>
    <p class="muted">It was never heard, or it was deleted. Names are compared exactly: Web-01 and web-01 are two hosts.</p>
    <p><a class="btn pri" href=${linkTo("hosts", { query: { q: name } })}>Look for a name like it</a></p><//>`;
}

/** The view at `#/hosts/{host}`. */
export function View({ rest, query }) {
  const [name] = rest;
  const may = useMay("operate");
  const [now, setNow] = useState(serverNow);
  const { content: host, error, reload } = useAnswer(`/hosts/${encodeURIComponent(name)}`, ["verdict", "events"], 5000);
  const open = useAnswer("/alerts?state=open&limit=1000", ["alert"], 5000);
  // what is drawn by the minute is not drawn each second: the verdict and the ages count by themselves
  useEffect(() => setNow(serverNow()), [host]);
  useKeys([{ keys: "Escape", say: "Back", run: (event) => !isTyping(event.target) && (history.length > 1 ? history.back() : go("hosts")) }]);
  useTitle(host === null ? name : `${name}: ${shownState(host).word.toLowerCase()}`);
  if (error instanceof Problem && error.status === 404) return html`<${Unknown} name=${name} />`;
  if (host === null) return error ? html`<${ErrorNote} what=${`${name} cannot be had.`} error=${error} again=${reload} />` : html`<${Loading} what=${`Loading ${name}`} rows=${12} />`;
  const alerts = (open.content?.alerts ?? []).filter((one) => one.source_host === name);
  const waits = alerts.some((one) => one.acked_at === null);
  const again = () => {
    reload();
    open.reload();
  };
  return html`
    <${Verdict} host=${host}>${may && html`<${Actions} name=${name} waits=${waits} reload=${again} />`}<//>
    ${error && html`<${ErrorNote} what=${`${name} cannot be had.`} error=${error} again=${reload} kept />`}
    <${Lanes} host=${host} query=${query} now=${now} />
    <div class="cols">
      <div class="stack"><${Alerts} alerts=${alerts} now=${now} /><${Checks} host=${host} /><${Newest} name=${name} /></div>
      <div class="stack"><${Facts} host=${host} /><${Score} host=${host} /><${Uptime} host=${host} /><${Patterns} host=${host} /></div>
    </div>`;
}
