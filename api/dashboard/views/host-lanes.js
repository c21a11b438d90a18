// Lanes: what happened to one host, on one time line. Its state, heartbeats heard and expected, latency and loss.

import { html, useMemo, useState } from "/vendor/preact.js";
import { Choice, DAY_MS, HOUR_MS, MINUTE_MS, ErrorNote, Icon, Section, StateBar, axisTime, change, countOf, dayWord, fullTime, number, parseTime, roundUp, shownState } from "/frame.js";
import { spanText, stateFor, stateOf, tickWords, ticksOf, useAnswer, zoneName } from "/frame.js";
import { Chart } from "/views/host-charts.js";
import { KEPT_MS, causesOf, makeHours, sumOf } from "/views/host-hours.js";
import { secondsText } from "/views/host-words.js";

const NARROW = "\u202f";
const SPANS = [["24h", "24 h", DAY_MS, "24 hours"], ["7d", "7 d", 7 * DAY_MS, "7 days"], ["30d", "30 d", 30 * DAY_MS, "30 days"]];
const percent = (share) => `${(share * 100).toFixed(share > 0 && share < 0.1 ? 2 : 0)}${NARROW}%`;

const spanOf = (query) => SPANS.find(([key]) => key === query.get("span")) ?? SPANS[0];

function outageWords(host, causes, words, now) {
  const times = causes.reduce((sum, one) => sum + one.times, 0);
  const length = causes.reduce((sum, one) => sum + one.length, 0);
  const state = shownState(host);
  const present = state.key === "online" ? "" : ` Now: ${stateFor(state, host.since, now).toLowerCase()}.`;
  if (times === 0) return `No outage in ${words}.${present}`;
  const each = causes.map((one) => `${one.state.word.toLowerCase()} ${one.times === 1 ? "once" : `${number(one.times)} times`}`).join(", ");
  return `${countOf(times, "outage", "outages")} in ${words}, ${spanText(length / 1000)} in all: ${each}.${present}`;
}

function Lane({ name, aside, top, children }) {
  return html`<div class="lane-l"><b>${name}</b><span>${aside}</span></div>
    <div class="lane-y" aria-hidden="true">${top && html`<span>${top}</span><span>0</span>`}</div>
    <div class="lane-p">${children}</div>`;
}

function hourWords({ at, heard, expected, lost, mean, p95 }) {
  const said = [heard === null ? "nothing counted" : `${number(heard)} of ${number(Math.round(expected))} heartbeats`];
  if (p95 !== null) said.push(`latency ${secondsText(mean)}, 95${NARROW}% under ${secondsText(p95)}`);
  if (lost !== null && lost > 0) said.push(`${number(lost)} lost`);
  return `${dayWord(at)}, ${axisTime(at)} to ${axisTime(at + HOUR_MS)}: ${said.join("; ")}.`;
}

/** The hours in a table, drawn when it is opened. */
function HourTable({ hours }) {
  const [open, setOpen] = useState(false);
  const shown = hours.filter((one) => one.heard !== null).reverse();
  const dash = (value, say) => (value === null ? "–" : say(value));
  return html`<details onToggle=${(event) => setOpen(event.target.open)}><summary>Heartbeats, latency and loss as a table</summary>
    ${open && html`<div class="scroll" tabindex="0" role="region" aria-label="Heartbeats by the hour"><table class="tbl hour-table">
      <thead><tr><th scope="col">Hour, ${zoneName()}</th>${["Heard", "Expected", "Lost", "Loss", "Latency", "95 % under"].map((word) => html`<th scope="col" class="num" key=${word}>${word}</th>`)}</tr></thead>
      <tbody>${shown.map((one) => html`<tr key=${one.at}><th scope="row"><time dateTime=${new Date(one.at).toISOString()} title=${fullTime(one.at)}>${dayWord(one.at)}, ${axisTime(one.at)}</time></th>
        <td class="num">${number(one.heard)}</td><td class="num">${number(Math.round(one.expected))}</td><td class="num">${dash(one.lost, number)}</td>
        <td class="num">${dash(one.loss, percent)}</td><td class="num">${dash(one.mean, secondsText)}</td><td class="num">${dash(one.p95, secondsText)}</td></tr>`)}
        ${shown.length === 0 && html`<tr><td colspan="7">Nothing was counted.</td></tr>`}</tbody></table></div>`}</details>`;
}

function OutageTable({ outages, span, now }) {
  const [open, setOpen] = useState(false);
  const shown = outages.filter((one) => (parseTime(one.ended_at) ?? now) > now - span);
  if (shown.length === 0) return null;
  return html`<details onToggle=${(event) => setOpen(event.target.open)}><summary>${countOf(shown.length, "outage", "outages")} as a table</summary>
    ${open && html`<div class="scroll" tabindex="0" role="region" aria-label="Outages"><table class="tbl">
      <thead><tr><th scope="col">What</th><th scope="col">From</th><th scope="col">Until</th><th scope="col" class="num">For</th></tr></thead>
      <tbody>${shown.map((one) => html`<${OutageRow} key=${one.began_at} one=${one} now=${now} />`)}</tbody></table></div>`}</details>`;
}

function OutageRow({ one, now }) {
  const [began, ended] = [parseTime(one.began_at), parseTime(one.ended_at)];
  const state = stateOf(one.cause);
  const said = (moment) => html`<time title=${fullTime(moment)}>${dayWord(moment)}, ${axisTime(moment)}</time>`;
  return html`<tr><td><span class=${`st ${state.tone}`}><${Icon} name=${`i-${state.key}`} />${state.word}</span></td><td>${began === null ? "unknown" : said(began)}</td>
    <td>${ended === null ? "lasts" : said(ended)}</td><td class="num">${began === null ? "" : spanText(((ended ?? now) - began) / 1000)}</td></tr>`;
}

function latencyTop(hours) {
  const most = Math.max(0.002, ...hours.flatMap((one) => [one.p95 ?? 0, one.mean ?? 0]));
  return roundUp(most * 1000) / 1000;
}

/** The lanes of `host`, in the time that the address asks for. `now`: in milliseconds. */
export function Lanes({ host, query, now }) {
  const [key, , span, words] = spanOf(query);
  const path = `/hosts/${encodeURIComponent(host.hostname)}`;
  const until = Math.floor(now / MINUTE_MS + 1) * MINUTE_MS;
  const from = until - span;
  // to the hour: what is asked again and again is asked in the same words
  const since = new Date(Math.floor((until - Math.min(span, KEPT_MS)) / HOUR_MS) * HOUR_MS).toISOString();
  const beats = useAnswer(host.metrics === null ? null : `${path}/heartbeats?since=${encodeURIComponent(since)}`, ["verdict"], 10_000);
  const told = useAnswer(`${path}/outages?limit=1000`, ["verdict"], 5000);
  const [pointed, setPointed] = useState(null);
  const outages = told.content?.outages ?? host.outages;
  const hours = useMemo(() => makeHours(beats.content, outages, from, until), [beats.content, outages, from, until]);
  const sum = sumOf(hours);
  const causes = causesOf(outages, span, now);
  const outageSaid = outageWords(host, causes, words, now);
  const ticks = ticksOf(from, until);
  const tickWord = tickWords(span);
  const beatTop = Math.max(2, ...hours.map((one) => Math.ceil(one.expected ?? 0)));
  const lagTop = latencyTop(hours);
  const lossTop = roundUp(Math.max(2, sum.worstLoss * 100));
  const draw = (kind, top, label) => html`<${Chart} kind=${kind} hours=${hours} from=${from} until=${until} top=${top} ticks=${ticks} label=${label} pointed=${pointed} point=${setPointed} />`;
  const silentOn = html`<p class="lane-none">${host.metrics === null ? "It sends no heartbeats." : "Not told by its agent."}</p>`;
  const counted = span > KEPT_MS ? "14 days" : words;
  const beatSaid = `${number(sum.heard)} heartbeats heard of ${number(sum.expected)} expected in ${counted}`;
  const missing = sum.expected - sum.heard;
  const hour = pointed === null ? null : hours[pointed];

  return html`<${Section} title="What happened" class="lanes-sec" aside=${html`<${Choice} label="How far back" options=${SPANS.map(([one, word]) => [one, word])} value=${key}
      choose=${(one) => change({ span: one === SPANS[0][0] ? null : one })} />`}>
    ${[beats, told].filter((one) => one.error).slice(0, 1).map((one) => html`<${ErrorNote} key="fault" what="What happened cannot be had." error=${one.error} again=${one.reload} kept=${one.content !== null} />`)}
    <p class="lane-said small muted" aria-hidden=${hour ? "true" : undefined}>${hour ? hourWords(hour) : `${outageSaid} Times in ${zoneName()}.`}</p>
    <div class="lanes" onPointerLeave=${() => setPointed(null)}>
      <${Lane} name="State" aside=${causes.length === 0 ? "no outage" : `${spanText(causes.reduce((all, one) => all + one.length, 0) / 1000)} in outages`}>
        <${StateBar} host=${{ ...host, outages }} now=${until} span=${span} begun=${parseTime(host.metrics?.began_at)} ticks=${ticks.map(({ x }) => x)} label=${outageSaid} /><//>
      <${Lane} name="Heartbeats" aside=${host.metrics === null ? "" : missing > 0 ? `${number(missing)} of ${number(sum.expected)} missing` : `all ${number(sum.heard)} came`} top=${host.metrics && number(beatTop)}>
        ${host.metrics === null ? silentOn : draw("beats", beatTop, `${beatSaid}; as a table below`)}<//>
      <${Lane} name="Latency" aside=${sum.worst === null ? "" : html`mean; <i>95${NARROW}%</i> under ${secondsText(sum.worst)}`} top=${sum.worst === null ? "" : secondsText(lagTop)}>
        ${sum.worst === null ? silentOn : draw("latency", lagTop, `Latency: in the worst hour of ${counted} 95 % of heartbeats took less than ${secondsText(sum.worst)}; as a table below`)}<//>
      <${Lane} name="Loss" aside=${sum.lost === null ? "" : sum.lost === 0 ? "none" : `${number(sum.lost)} lost, ${percent(sum.lost / (sum.heard + sum.lost))}`} top=${sum.lost === null ? "" : `${lossTop}${NARROW}%`}>
        ${sum.lost === null ? silentOn : draw("loss", lossTop / 100, `${countOf(sum.lost, "heartbeat", "heartbeats")} lost in ${counted}; as a table below`)}<//>
      <div class="xax" aria-hidden="true">${ticks.map(({ at, x }) => html`<span key=${at} style=${{ left: `${x}%` }}>${tickWord(at)}</span>`)}</div>
    </div>
    <div class="lane-foot">
      ${causes.length > 0 && html`<p class="legend">${causes.map((one) => html`<span key=${one.cause}><svg class="key" aria-hidden="true"><rect class=${`f-${one.state.key}`} y=${12 - (one.state.height || 1) * 0.6} width="12" height=${(one.state.height || 1) * 0.6} /></svg>
        ${one.state.word} ${number(one.times)}${"\u00d7"}, ${spanText(one.length / 1000)}</span>`)}</p>`}
      ${span > KEPT_MS && host.metrics !== null && html`<p class="small faint">Heartbeats are counted by the hour for 14 days; before that the state alone is known.</p>`}
      ${told.content?.next && html`<p class="small faint">The newest 1,000 outages are shown.</p>`}
      <${OutageTable} outages=${outages} span=${span} now=${now} />${host.metrics !== null && html`<${HourTable} hours=${hours} />`}
    </div><//>`;
}
