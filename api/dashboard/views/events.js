// The events: what happened, newest first. Every filter is in the address; what is exported is what is shown.

import { html, useEffect, useMemo, useRef, useState } from "/vendor/preact.js";
import { Age, Choice, CountBars, ErrorNote, Icon, Lead, Loading, NoMatch, Note, PageList, Section, SeverityWord } from "/frame.js";
import { SEVERITIES, calmly, change, clockTime, countOf, fullTime, linkTo, listen, number, parseTime, serverNow, severityOf, shortTime } from "/frame.js";
import { useAnswer, useCell, useKeys, useNow, useTitle, withChanges } from "/frame.js";

const SPANS = [["1h", "1 hour", 3.6e6], ["24h", "24 hours", 8.64e7], ["7d", "7 days", 6.048e8], ["30d", "30 days", 2.592e9], ["all", "All", null]];
const FILTERS = ["source_host", "event_type", "severity_gte", "os_type", "source_ip", "q"];
const TYPES = [
  "LOGIN_FAIL", "LOGIN_SUCCESS", "SUDO_ESCALATION", "DNS_BLOCK", "CRITICAL_ERROR", "ACCOUNT_CREATE", "ACCOUNT_DELETE", "GROUP_ADD",
  "SERVICE_INSTALL", "LOG_TAMPERING", "CONNECTION_BLOCKED", "PORT_SCAN", "PROCESS_EXEC", "WEB_ATTACK", "SYSTEM_ALERT",
];
const BUCKETS = 60;
const MINUTE_MS = 60_000;
const TYPED_MS = 250; // after the last letter
const MOST_LOOKS = 12; // one after the other, for what is rare; then the reader is asked

const spanOf = (query) => SPANS.find(([key]) => key === query.get("span")) ?? SPANS[1];

/** `LOGIN_FAIL` as people say it. */
const typeWord = (type) => (type.charAt(0) + type.slice(1).toLowerCase().replaceAll("_", " ")).replace("Dns", "DNS");

/** What the address asks, as the API takes it; times to the minute, so that what is asked again is asked in the same words. */
function askedBy(query) {
  const asked = new URLSearchParams();
  for (const name of FILTERS) if (query.get(name)) asked.set(name, query.get(name));
  const [, , length] = spanOf(query);
  if (query.get("since")) {
    asked.set("since", query.get("since"));
    if (query.get("until")) asked.set("until", query.get("until"));
  } else if (length !== null) asked.set("since", new Date(Math.floor((serverNow() - length) / MINUTE_MS) * MINUTE_MS).toISOString());
  return asked;
}

function useEvents(asked) {
  const list = useMemo(
    () =>
      new PageList({
        pathOf: (cursor, limit) => `/events?${asked}${asked && "&"}limit=${limit}${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ""}`,
        rowsOf: (content) => content.events,
        keyOf: (event) => event.event_id,
      }),
    [asked],
  );
  useEffect(() => {
    const isHeld = () => document.querySelector(".events:hover, .events:focus-within") !== null;
    const refresh = calmly(() => list.refresh(0, 0, isHeld()), 3000);
    list.start();
    const ends = [listen("events", refresh.soon), listen("tick", refresh.soon), listen("reset", refresh.now)];
    return () => {
      for (const end of ends) end();
      refresh.end();
      list.end();
    };
  }, [list]);
  return [list, useCell(list.state)];
}

function Filters({ query }) {
  const field = useRef(null);
  const timer = useRef(0);
  const asked = query.get("q") ?? "";
  useEffect(() => {
    if (document.activeElement !== field.current) field.current.value = asked;
  }, [asked]);
  const type = () => {
    clearTimeout(timer.current);
    timer.current = setTimeout(() => change({ q: field.current.value.trim() }, { replace: true }), TYPED_MS);
  };
  useKeys([{ keys: "/", say: "Search", run: () => field.current.focus() }], []);
  const narrow = FILTERS.filter((name) => query.get(name) && !["q", "event_type", "severity_gte"].includes(name));
  return html`<div class="filters">
    <div class="search"><label><${Icon} name="n-search" /><span class="vh">Part of the message or the user</span>
      <input ref=${field} type="search" placeholder="Part of the message or the user" spellcheck=${false} autocomplete="off" maxlength="253" onInput=${type} /></label></div>
    <select aria-label="Type" value=${query.get("event_type") ?? ""} onChange=${(event) => change({ event_type: event.target.value })}>
      <option value="">All types</option>${TYPES.map((one) => html`<option key=${one} value=${one}>${typeWord(one)}</option>`)}</select>
    <select aria-label="Severity" value=${query.get("severity_gte") ?? ""} onChange=${(event) => change({ severity_gte: event.target.value })}>
      <option value="">Any severity</option>${SEVERITIES.map((one) => html`<option key=${one.level} value=${String(one.level)}>${one.word}${one.level < 5 ? " and worse" : ""}</option>`)}</select>
    ${narrow.map((name) => html`<button key=${name} type="button" class="tok" aria-label=${`Remove ${query.get(name)}`} onClick=${() => change({ [name]: null })}>${query.get(name)} <${Icon} name="n-no" /></button>`)}
    ${query.get("since") && html`<button type="button" class="tok" onClick=${() => change({ since: null, until: null })}>
      ${shortTime(parseTime(query.get("since")), serverNow())} to ${query.get("until") ? shortTime(parseTime(query.get("until")), serverNow()) : "now"} <${Icon} name="n-no" /></button>`}
  </div>`;
}

/** How many events of the time that `asked` names, by severity; a month when it names none. */
function useHistogram(asked) {
  const path = new URLSearchParams(asked);
  if (!path.has("since")) path.set("since", new Date(Math.floor((serverNow() - 2.592e9) / MINUTE_MS / 60) * MINUTE_MS * 60).toISOString());
  return useAnswer(`/events/histogram?${path}&buckets=${BUCKETS}`, ["events"], 5000).content;
}

const sumOf = (content, level) => content.buckets.reduce((all, bucket) => all + (level ? bucket.severities[level - 1] : bucket.events), 0);

function Histogram({ content, query }) {
  const counts = content.buckets.map((bucket) => bucket.events);
  const sum = sumOf(content);
  const from = parseTime(content.since);
  const until = parseTime(content.until);
  const choose = (event) => {
    const box = event.currentTarget.querySelector(".bars").getBoundingClientRect();
    const place = Math.floor(((event.clientX - box.left) / box.width) * counts.length);
    const bucket = content.buckets[place];
    if (!bucket || counts.length < 2 || event.clientX < box.left) return;
    const end = content.buckets[place + 1]?.at ?? content.until;
    change({ since: bucket.at, until: end });
  };
  const severe = SEVERITIES.map((one) => [one, sumOf(content, one.level)]).filter(([, count]) => count > 0);
  return html`<${Section} title="Over time" aside=${`${number(sum)} stored${content.complete ? "" : `, counted since ${shortTime(parseTime(content.counted_since), serverNow())}`}`}>
    <div class="timeline" onClick=${choose} title="Choose a bar to see that time alone">
      <${CountBars} counts=${counts} from=${from} until=${until} label=${`${number(sum)} events over time, at most ${number(Math.max(...counts, 0))} in ${content.bucket_seconds / 60} minutes`} /></div>
    <p class="small faint">${severe.map(([one, count]) => html`<a key=${one.level} class="sev-count" href=${linkTo("events", { query: withChanges(query, { severity_gte: String(one.level) }) })}>
      <${SeverityWord} severity=${one} /> ${number(count)}</a>`)}</p><//>`;
}

function Detail({ event, query }) {
  const alike = [["Type", "event_type", event.event_type, typeWord(event.event_type)], ["Host", "source_host", event.source_host], ["Address", "source_ip", event.source_ip], ["System", "os_type", event.os_type]];
  return html`<tr class="detail"><td colspan="5"><div>
    <dl class="facts">
      <dt>Happened</dt><dd>${fullTime(parseTime(event.timestamp) ?? 0)}</dd>
      <dt>Stored</dt><dd>${fullTime(parseTime(event.created_at) ?? 0)}</dd>
      ${alike.map(([word, name, value, shown]) => html`<dt key=${name}>${word}</dt><dd>${shown ?? value}
        ${value !== "N/A" && html` · <a href=${linkTo("events", { query: withChanges(query, { [name]: value }) })}>like this</a>`}</dd>`)}
      <dt>User</dt><dd>${event.user}</dd><dt>Id</dt><dd>${event.event_id}</dd>
    </dl><pre tabindex="0" aria-label="Message">${event.raw_message}</pre></div></td></tr>`;
}

function Row({ event, open, toggle, query }) {
  const severity = severityOf(event.severity);
  const key = event.event_id;
  return html`<tr key=${key} class=${open ? "open" : ""}>
      <td class="nowrap"><button type="button" class="linklike" aria-expanded=${String(open)} title=${fullTime(parseTime(event.timestamp) ?? 0)} onClick=${() => toggle(key)}>${shortTime(parseTime(event.timestamp), serverNow())}</button></td>
      <td>${severity ? html`<${SeverityWord} severity=${severity} />` : "–"}</td>
      <td>${typeWord(event.event_type)}</td>
      <td><a href=${linkTo("hosts", { rest: [event.source_host] })}>${event.source_host}</a></td>
      <td class="words">${event.raw_message}</td></tr>
    ${open && html`<${Detail} event=${event} query=${query} />`}`;
}

/** The view at `#/events`. */
export function View({ query }) {
  const now = useNow();
  const minute = Math.floor(now / MINUTE_MS / 10); // the range moves on, but not under the reader's eyes
  const asked = useMemo(() => askedBy(query).toString(), [query.toString(), minute]);
  const [list, state] = useEvents(asked);
  const [opened, setOpened] = useState(null);
  const looks = useRef(0);
  const [paused, setPaused] = useState(false);
  useEffect(() => {
    looks.current = 0;
    setPaused(false);
  }, [asked]);
  useEffect(() => {
    // a look for what is rare ends after a while: look on, until there is something to show
    if (state.loading || state.done || state.error || state.rows.length >= 50 || paused) return;
    if (++looks.current > MOST_LOOKS) setPaused(true);
    else list.more();
  }, [state, paused]);
  const [key, words] = spanOf(query);
  const where = query.get("since") ? "in the time chosen" : key === "all" ? "in all" : `in the last ${words}`;
  const histogram = useHistogram(asked);
  const known = key !== "all" && histogram !== null && histogram.complete;
  const critical = known ? sumOf(histogram, 5) : 0;
  const lead = state.loading
    ? "Looking for events"
    : state.rows.length === 0 && state.done
      ? `No event ${where}`
      : critical > 0
        ? `${countOf(critical, "critical event", "critical events")} ${where}`
        : known
          ? `${countOf(sumOf(histogram), "event", "events")} ${where}, none critical`
          : `The newest events ${where}`;
  useTitle("Events");
  const toggle = (id) => setOpened(opened === id ? null : id);
  const on = () => {
    looks.current = 0;
    setPaused(false);
    list.more();
  };
  const oldest = state.rows.at(-1);
  return html`
    <${Lead} title=${lead}>${state.rows[0] && html`The newest was stored <${Age} at=${state.rows[0].created_at} ago />.`}<//>
    <div class="hosts-top"><${Filters} query=${query} />
      <div class="btns"><${Choice} label="How far back" options=${SPANS.map(([one, word]) => [one, word])} value=${query.get("since") ? "" : key} choose=${(span) => change({ span: span === "24h" ? null : span, since: null, until: null })} />
        <a class="btn" href=${`/events?${asked}&format=csv`} download>CSV</a><a class="btn" href=${`/events?${asked}&format=ndjson`} download>NDJSON</a></div></div>
    ${histogram && html`<${Histogram} content=${histogram} query=${query} />`}
    ${state.error && html`<${ErrorNote} what="The events cannot be had." error=${state.error} again=${() => list.start()} kept=${state.rows.length > 0} />`}
    ${state.waiting > 0 && html`<button type="button" class="btn waits" onClick=${() => list.settle()}>${countOf(state.waiting, "newer event waits", "newer events wait")}</button>`}
    ${state.loading && html`<${Loading} what="Looking for events" lead=${false} />`}
    ${!state.loading && state.rows.length === 0 && state.done && html`<${NoMatch} what="No event fits." clear=${() => change(Object.fromEntries([...FILTERS, "since", "until"].map((name) => [name, null])))} />`}
    ${state.rows.length > 0 && html`<table class="tbl events"><thead><tr><th scope="col">Time</th><th scope="col">Severity</th><th scope="col">Type</th><th scope="col">Host</th><th scope="col">Message</th></tr></thead>
      <tbody>${state.rows.map((event) => html`<${Row} key=${event.event_id} event=${event} open=${opened === event.event_id} toggle=${toggle} query=${query} />`)}</tbody></table>`}
    ${paused && html`<${Note} tone="s-away" icon="n-wait" title=${`${countOf(state.rows.length, "event", "events")} found so far.`} action=${html`<button type="button" class="btn sm" onClick=${on}>Look on</button>`}>
      ${oldest ? `The oldest of them is of ${clockTime(parseTime(oldest.created_at) ?? now)}.` : "What is older has not been looked at yet."}<//>`}
    ${!state.done && !paused && state.rows.length >= 50 && html`<div class="btns"><button type="button" class="btn" onClick=${on}>Show more</button></div>`}`;
}
