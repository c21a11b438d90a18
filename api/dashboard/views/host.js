// One host: what it is held to be and why, when it was away, how it beats, what happened on it, and what to check.

import { html, useState } from "/vendor/preact.js";
import { Age, Bar24, CopyLine, CountBars, ErrorNote, Icon, Lead, Loading, Problem, Section, toast } from "/frame.js";
import { DAY_MS, countOf, fullTime, go, linkTo, number, parseTime, serverNow, severityOf, shortTime, shownState, spanText, stateOf, systemName } from "/frame.js";
import { useAnswer, useMay, useNow, useTitle, whatIsKnown } from "/frame.js";
import { acknowledge, maintenance, remove, silence } from "/views/host-actions.js";

const HOUR_MS = 3_600_000;
const WINDOWS = { 86400: "24 hours", 604800: "7 days", 2592000: "30 days", 7776000: "90 days" };
const CHECKS = {
  LINUX: ["heimdall agent status", "systemctl status heimdall-agent", "journalctl -u heimdall-agent -n 50"],
  PIHOLE: ["heimdall agent status", "systemctl status heimdall-agent pihole-FTL"],
  FIREWALL: ["heimdall agent status", "systemctl status heimdall-agent"],
  MACOS: ["heimdall agent status", "sudo launchctl print system/heimdall-agent"],
  WINDOWS: ["heimdall agent status", "Get-Service heimdall-agent"],
};
const SAY = {
  crashed: "Its connection broke and it did not say goodbye: it lost power or network, or its agent was killed.",
  silent: "Nothing is heard of it, though nobody said goodbye: look at its power and network first.",
  zombie: "It is connected and gives no heartbeat: the machine or its agent hangs.",
  overdue: "It announced when it would be back, and is not.",
  late: "A heartbeat is missing. One more, and it counts as offline.",
};

function Facts({ host }) {
  const info = typeof host.info === "object" && host.info !== null ? host.info : {};
  const beats = host.metrics;
  const facts = [
    ["System", `${systemName(host.os_type)}${info.os_release ? `, ${info.os_release}` : ""}`],
    ["Agent", info.version], ["Architecture", info.architecture], ["Tags", host.tags.join(", ")],
    ["Heartbeat", beats && `each ${spanText(beats.interval_s)}`],
    ["Waiting on it", beats && beats.spool !== null ? countOf(beats.spool, "event", "events") : null],
    ["Lost", beats && beats.loss !== null ? `${number(beats.lost)} heartbeats, ${(beats.loss * 100).toFixed(2)} %` : null],
    ["Clock", beats && beats.skew !== null ? (Math.abs(beats.skew) < 1 ? "right" : `${spanText(Math.abs(beats.skew))} ${beats.skew > 0 ? "behind" : "ahead"}`) : null],
    ["Events", number(host.total_events)],
  ].filter(([, value]) => value);
  return html`<${Section} title="Facts"><dl class="facts">${facts.map(([word, value]) => html`<dt key=${word}>${word}</dt><dd>${String(value)}</dd>`)}
    <dt>Last heard</dt><dd>${host.last_seen ? html`<${Age} at=${host.last_seen} ago />` : "never"}</dd></dl><//>`;
}

function Outages({ host, now }) {
  return html`<${Section} title="Outages" aside=${host.outages.length === 0 ? "" : "the newest 20"}>
    <${Bar24} host=${{ ...host, outages: host.outages }} now=${now} />
    ${host.outages.length === 0 && html`<p class="calm"><${Icon} name="n-ok" />It was never missed.</p>`}
    <ul class="list">${host.outages.slice(0, 8).map((one) => {
      const state = stateOf(one.cause);
      const began = parseTime(one.began_at);
      const ended = parseTime(one.ended_at);
      return html`<li class=${state.tone} key=${one.began_at}><${Icon} name=${`i-${state.key}`} label=${state.word} />
        <p class="say"><b>${state.word}</b> <span class="muted">from ${shortTime(began, now)}${ended === null ? ", and still is" : `, for ${spanText((ended - began) / 1000)}`}</span></p>
        <span class="when" title=${fullTime(began ?? 0)}><${Age} at=${one.began_at} ago /></span></li>`;
    })}</ul><//>`;
}

function Beats({ name }) {
  const [since] = useState(() => new Date(Math.floor((serverNow() - 2 * DAY_MS) / HOUR_MS) * HOUR_MS).toISOString());
  const { content } = useAnswer(`/hosts/${encodeURIComponent(name)}/heartbeats?since=${encodeURIComponent(since)}`, [], 30_000);
  if (content === null || content.hours.length === 0) return null;
  const from = parseTime(content.hours[0].hour);
  const until = Math.floor(serverNow() / HOUR_MS + 1) * HOUR_MS;
  const lost = Array(Math.round((until - from) / HOUR_MS)).fill(0);
  const late = [...lost];
  for (const hour of content.hours) {
    const place = Math.round((parseTime(hour.hour) - from) / HOUR_MS);
    lost[place] = Math.max(0, Math.round(hour.expected - hour.beats));
    late[place] = Math.round((hour.latency_p95 ?? 0) * 1000);
  }
  const missing = lost.reduce((all, one) => all + one, 0);
  const worst = Math.max(...late);
  return html`<${Section} title="Heartbeats missing, by the hour" aside=${`${number(missing)} in 48 h`}>
      <${CountBars} counts=${lost} from=${from} until=${until} label=${`${number(missing)} heartbeats are missing of the last 48 hours`} /><//>
    <${Section} title="Latency (95 %), milliseconds" aside=${content.latency_p95 === null ? "not told" : `${Math.round(content.latency_p95 * 1000)} ms in 24 h`}>
      <${CountBars} counts=${late} from=${from} until=${until} label=${`95 % of heartbeats took less than ${number(worst)} milliseconds in the worst hour`} /><//>`;
}

function Score({ host }) {
  return html`<${Section} title="Score" aside=${host.score === null ? "none yet" : `${Math.round(host.score)} of 100`}>
    ${host.reasons.map((one) => html`<p key=${one} class="small muted">${one}</p>`)}
    <ul class="list">${host.score_parts.filter((one) => one.points_lost > 0).map((one) => html`<li key=${one.name}><span></span><p>${one.words}</p><span class="when">−${one.points_lost}</span></li>`)}</ul>
    <dl class="facts">${host.uptime.map((one) => html`<dt key=${one.window_seconds}>${WINDOWS[one.window_seconds] ?? spanText(one.window_seconds)}</dt><dd>${one.words}</dd>`)}</dl>
    ${host.patterns.map((one) => html`<p key=${one.words} class="small">${one.words}</p>`)}<//>`;
}

function Newest({ name }) {
  const { content } = useAnswer(`/events?source_host=${encodeURIComponent(name)}&limit=10`, ["events"], 5000);
  return html`<${Section} title="Newest events" aside=${html`<a href=${linkTo("events", { query: { source_host: name, span: "all" } })}>All</a>`}>
    ${content !== null && content.events.length === 0 && html`<p class="calm"><${Icon} name="n-ok" />Nothing was stored of it yet.</p>`}
    <ul class="list">${(content?.events ?? []).map((one) => {
      const severity = severityOf(one.severity);
      return html`<li class=${severity?.tone ?? ""} key=${one.event_id}><span>${severity && html`<${Icon} name=${severity.icon} label=${severity.word} />`}</span><p>${one.raw_message}</p>
        <span class="when"><${Age} at=${one.created_at} ago /></span></li>`;
    })}</ul><//>`;
}

function Check({ host, state }) {
  if (!SAY[state.key]) return null;
  return html`<${Section} title="What to check"><p>${SAY[state.key]}</p>
    <p class="small muted">Does it answer a ping, has it power, is its clock right? Then, on the machine:</p>
    <div class="checks">${(CHECKS[host.os_type] ?? CHECKS.LINUX).map((line) => html`<${CopyLine} key=${line} text=${line} />`)}</div><//>`;
}

function Actions({ name, reload }) {
  const [Dialog, setDialog] = useState(null);
  const open = (one) => setDialog(() => one);
  const close = () => setDialog(null);
  const done = (text) => {
    toast(text);
    if (Dialog === remove) go("hosts");
    else reload();
  };
  return html`<div class="btns">
    <button type="button" class="btn" onClick=${() => open(acknowledge)}>Acknowledge</button><button type="button" class="btn" onClick=${() => open(silence)}>Silence</button>
    <button type="button" class="btn" onClick=${() => open(maintenance)}>Maintenance</button><button type="button" class="btn" onClick=${() => open(remove)}>Delete</button></div>
    ${Dialog && html`<${Dialog} hosts=${[name]} close=${close} done=${done} />`}`;
}

/** The view at `#/hosts/{host}`. */
export function View({ rest }) {
  const [name] = rest;
  const now = useNow();
  const may = useMay("operate");
  const { content: host, error, reload } = useAnswer(`/hosts/${encodeURIComponent(name)}`, ["verdict", "events"], 5000);
  useTitle(name);
  if (host === null) {
    if (error instanceof Problem && error.status === 404)
      return html`<${Lead} title=${`Nothing is known of ${name}`}>It has not been heard, or was deleted. <a href=${linkTo("hosts", { query: { q: name } })}>Look for a name like it</a>.<//>`;
    return error ? html`<${ErrorNote} what=${`${name} cannot be had.`} error=${error} again=${reload} />` : html`<${Loading} what=${`Loading ${name}`} />`;
  }
  const state = shownState(host);
  const since = parseTime(host.since);
  return html`
    <${Lead} title=${`${name}: ${state.word.toLowerCase()}${since === null ? "" : ` for ${spanText((now - since) / 1000)}`}`}>
      ${whatIsKnown(host, now)}.<//>
    ${error && html`<${ErrorNote} what=${`${name} cannot be had.`} error=${error} again=${reload} kept />`}
    ${may && html`<${Actions} name=${name} reload=${reload} />`}
    <div class="cols"><div class="stack"><${Check} host=${host} state=${state} /><${Outages} host=${host} now=${now} /><${Beats} name=${name} /><${Newest} name=${name} /></div>
      <div class="stack"><${Facts} host=${host} /><${Score} host=${host} /></div></div>`;
}
