// The events: what happened, newest first, as it comes in. Every filter is in the address; what is exported is what is shown.

import { html, useEffect, useMemo, useRef, useState } from "/vendor/preact.js";
import { Age, Choice, ErrorNote, Icon, Lead, Loading, NoMatch, Note, PageList, SEVERITIES, SearchField, change, clockTime, countOf, isAmongRows, parseTime, serverNow } from "/frame.js";
import { DAY_MS, HOUR_MS, MINUTE_MS, minuteAgo, shortTime, useAnswer, useKeys, useList, useNow, useTitle, useWalk } from "/frame.js";
import { EventTable, typeWord } from "/views/events-rows.js";
import { TimeLine, sumOf } from "/views/events-timeline.js";

const SPANS = [["1h", "1 hour", HOUR_MS], ["24h", "24 hours", DAY_MS], ["7d", "7 days", 7 * DAY_MS], ["30d", "30 days", 30 * DAY_MS], ["all", "All", null]];
const FILTERS = ["source_host", "event_type", "severity_gte", "os_type", "source_ip", "q"];
const TYPES = [
  "LOGIN_FAIL", "LOGIN_SUCCESS", "SUDO_ESCALATION", "DNS_BLOCK", "CRITICAL_ERROR", "ACCOUNT_CREATE", "ACCOUNT_DELETE", "GROUP_ADD",
  "SERVICE_INSTALL", "LOG_TAMPERING", "CONNECTION_BLOCKED", "PORT_SCAN", "PROCESS_EXEC", "WEB_ATTACK", "SYSTEM_ALERT",
];
const BUCKETS = 60;
const FIRST = 100; // events; so many that wait may be more
const MOST_LOOKS = 12; // one after the other, for what is rare; then the reader is asked

const spanOf = (query) => SPANS.find(([key]) => key === query.get("span")) ?? SPANS[1];

/** What the address asks, as the API takes it. */
function askedBy(query) {
  const asked = new URLSearchParams();
  for (const name of FILTERS) if (query.get(name)) asked.set(name, query.get(name));
  const [, , length] = spanOf(query);
  if (query.get("since")) {
    asked.set("since", query.get("since"));
    if (query.get("until")) asked.set("until", query.get("until"));
  } else if (length !== null) asked.set("since", minuteAgo(length));
  return asked.toString();
}

/** How many events of the time that `asked` names, by severity; a month when it names none. */
function useHistogram(asked) {
  const path = new URLSearchParams(asked);
  if (!path.has("since")) path.set("since", minuteAgo(30 * DAY_MS));
  return useAnswer(`/events/histogram?${path}&buckets=${BUCKETS}`, ["events"], 5000).content;
}

function Filters({ query }) {
  const narrow = FILTERS.filter((name) => query.get(name) && !["q", "event_type", "severity_gte"].includes(name));
  const said = (name) => shortTime(parseTime(query.get(name)), serverNow());
  return html`<div class="filters">
    <${SearchField} label="Part of the message or the user" query=${query} />
    <select aria-label="Type" value=${query.get("event_type") ?? ""} onChange=${(event) => change({ event_type: event.target.value })}>
      <option value="">All types</option>${TYPES.map((one) => html`<option key=${one} value=${one}>${typeWord(one)}</option>`)}</select>
    <select aria-label="Severity" value=${query.get("severity_gte") ?? ""} onChange=${(event) => change({ severity_gte: event.target.value })}>
      <option value="">Any severity</option>${SEVERITIES.map((one) => html`<option key=${one.level} value=${String(one.level)}>${one.word}${one.level < 5 ? " and worse" : ""}</option>`)}</select>
    ${narrow.map((name) => html`<button key=${name} type="button" class="tok" aria-label=${`Remove ${query.get(name)}`} onClick=${() => change({ [name]: null })}>${query.get(name)} <${Icon} name="n-no" /></button>`)}
    ${query.get("since") && html`<button type="button" class="tok" aria-label="Remove the time chosen" onClick=${() => change({ since: null, until: null })}>
      ${said("since")} to ${query.get("until") ? said("until") : "now"} <${Icon} name="n-no" /></button>`}
  </div>`;
}

/** Look on for what is rare, look by look, until there is something to show. @returns whether it has stopped, and what looks on */
function useLooks(list, state, asked) {
  const looks = useRef(0);
  const [stopped, setStopped] = useState(false);
  const begin = () => {
    looks.current = 0;
    setStopped(false);
  };
  useEffect(begin, [asked]);
  useEffect(() => {
    if (state.loading || state.done || state.error || state.rows.length >= FIRST / 2 || stopped) return;
    if (++looks.current > MOST_LOOKS) setStopped(true);
    else list.more();
  }, [state, stopped]);
  const on = () => {
    begin();
    list.more();
  };
  return [stopped, on];
}

// the list's head is above the window
const isScrolled = () => (document.querySelector(".events")?.getBoundingClientRect().top ?? 0) < 0;

/** What comes in waits while somebody reads, or has said so (`pausedAt`, in milliseconds). */
function Tail({ pausedAt, waiting, show }) {
  if (pausedAt === null && waiting === 0) return null;
  const title = pausedAt === null ? "Paused while you read." : `Paused at ${clockTime(pausedAt)}.`;
  const count = waiting < FIRST ? countOf(waiting, "newer event waits", "newer events wait") : `${FIRST} newer events or more wait`;
  return html`<${Note} tone="s-new" icon="n-pause" title=${title} action=${html`<button type="button" class="btn sm" onClick=${show}>${pausedAt === null ? "Show them" : "Go on"}</button>`}>
    ${waiting > 0 ? `${count}.` : "Nothing newer has come."}<//>`;
}

/** Why there is nothing, and the one next step. */
function Nothing({ query, where }) {
  const clear = () => change(Object.fromEntries([...FILTERS, "since", "until"].map((name) => [name, null])));
  if ([...FILTERS, "since"].some((name) => query.get(name))) return html`<${NoMatch} what="No event fits." clear=${clear} />`;
  if (query.get("span") === "all") return html`<p class="calm"><${Icon} name="n-ok" />Nothing is stored yet. Agents send what they read, such as logins; heartbeats are no events.</p>`;
  return html`<p class="calm"><${Icon} name="n-ok" />Nothing was stored ${where}.</p><div class="btns"><button type="button" class="btn" onClick=${() => change({ span: "all" })}>Look at all time</button></div>`;
}

function leadOf(state, histogram, where) {
  if (state.loading) return "Looking for events";
  if (state.rows.length === 0 && state.done) return `No event ${where}`;
  if (!histogram?.complete) return `The newest events ${where}`;
  const critical = sumOf(histogram.buckets, 5);
  if (critical > 0) return `${countOf(critical, "critical event", "critical events")} ${where}`;
  return `${countOf(sumOf(histogram.buckets), "event", "events")} ${where}, none critical`;
}

/** The view at `#/events`. */
export function View({ query }) {
  const now = useNow();
  const minute = Math.floor(now / MINUTE_MS / 10); // the range moves on, but not under the reader's eyes
  const asked = useMemo(() => askedBy(query), [query.toString(), minute]);
  const list = useMemo(() => new PageList("/events", { rows: "events", key: "event_id", query: () => new URLSearchParams(asked) }), [asked]);
  const [pausedAt, setPausedAt] = useState(null);
  const stays = () => pausedAt !== null || isAmongRows() || isScrolled() || list.pages.length > 1;
  const [state] = useList(list, { kinds: ["events"], calmMs: 2000, stays });
  const [stopped, lookOn] = useLooks(list, state, asked);
  const [opened, setOpened] = useState(null);
  const histogram = useHistogram(asked);
  const [key, words] = spanOf(query);
  const where = query.get("since") ? "in the time chosen" : key === "all" ? "in all" : `in the last ${words}`;
  const lead = leadOf(state, key === "all" && !query.get("since") ? null : histogram, where);
  useTitle("Events");
  const show = () => {
    setPausedAt(null);
    list.settle();
  };
  const pause = () => (pausedAt === null ? setPausedAt(serverNow()) : show());
  useWalk();
  useKeys([{ keys: "p", say: "Pause, or go on", run: pause }], [pausedAt, list]);
  const oldest = state.rows.at(-1);
  return html`
    <${Lead} title=${lead}>${state.rows[0] && html`The newest was stored <${Age} at=${state.rows[0].created_at} ago />.`}<//>
    ${histogram && html`<${TimeLine} told=${histogram} query=${query} />`}
    <div class="hosts-top"><${Filters} query=${query} />
      <div class="btns"><${Choice} label="How far back" options=${SPANS.map(([one, word]) => [one, word])} value=${query.get("since") ? "" : key} choose=${(span) => change({ span: span === "24h" ? null : span, since: null, until: null })} />
        <button type="button" class="btn" aria-pressed=${String(pausedAt !== null)} onClick=${pause}><${Icon} name="n-pause" />Pause</button>
        <a class="btn" href=${`/events?${asked}&format=csv`} download>CSV</a><a class="btn" href=${`/events?${asked}&format=ndjson`} download>NDJSON</a></div></div>
    ${state.error && html`<${ErrorNote} what="The events cannot be had." error=${state.error} again=${() => list.start()} kept=${state.rows.length > 0} />`}
    <${Tail} pausedAt=${pausedAt} waiting=${state.waiting} show=${show} />
    ${state.loading && html`<${Loading} what="Looking for events" lead=${false} />`}
    ${!state.loading && state.rows.length === 0 && state.done && html`<${Nothing} query=${query} where=${where} />`}
    ${state.rows.length > 0 && html`<${EventTable} events=${state.rows} opened=${opened} toggle=${(id) => setOpened(opened === id ? null : id)} query=${query} />`}
    ${stopped && html`<${Note} tone="s-away" icon="n-wait" title=${`${countOf(state.rows.length, "event", "events")} found so far.`} action=${html`<button type="button" class="btn sm" onClick=${lookOn}>Look on</button>`}>
      ${oldest ? `The oldest of them is of ${clockTime(parseTime(oldest.created_at) ?? now)}.` : "What is older has not been looked at yet."}<//>`}
    ${!state.done && !stopped && state.rows.length >= FIRST / 2 && html`<div class="btns"><button type="button" class="btn" onClick=${lookOn}>Show more</button></div>`}`;
}
