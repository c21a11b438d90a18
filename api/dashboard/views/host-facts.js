// What is known of one host: of its system and agent, its score, how long it was up, and what its outages have in common.

import { html } from "/vendor/preact.js";
import { Age, DAY_MS, Icon, Section, SystemIcon, countOf, linkTo, number, systemName } from "/frame.js";
import { secondsText } from "/views/host-words.js";

const PARTS = { present: "Alive", outages: "Outages", loss: "Loss", regularity: "Regularity", latency: "Latency", spool: "Spool", clock: "Clock" };
const WINDOWS = [[1, "24 hours"], [7, "7 days"], [30, "30 days"], [90, "90 days"]];

function clockWords(skew) {
  const off = Math.abs(skew);
  return off < 0.001 ? "agrees with the server's" : `${secondsText(off)} ${skew > 0 ? "behind" : "ahead of"} the server's`;
}

/** Facts, as far as they are known. */
export function Facts({ host }) {
  const info = typeof host.info === "object" && host.info !== null ? host.info : {};
  const beats = host.metrics ?? {};
  const each = beats.interval_s;
  const facts = [
    ["Name", host.hostname],
    ["System", html`<span class="with-ico"><${SystemIcon} type=${host.os_type} />${systemName(host.os_type)}</span>`],
    ["Release", [info.os_release, info.architecture].filter(Boolean).map(String).join(", ")],
    ["Agent", info.version && String(info.version)],
    ["Heartbeats", each > 0 && `every ${secondsText(each)}; late after ${secondsText(2 * each)}, gone after ${secondsText(3 * each)}`],
    ["Last heard", html`<${Age} at=${host.last_seen} ago />`],
    ["First heard", beats.began_at && html`<${Age} at=${beats.began_at} ago />`],
    ["Waiting on it", Number.isFinite(beats.spool) && (beats.spool === 0 ? "nothing" : countOf(beats.spool, "event", "events"))],
    ["Clock", Number.isFinite(beats.skew) && clockWords(beats.skew)],
    ["Boot", (beats.boot ?? info.boot) && html`<code>${String(beats.boot ?? info.boot)}</code>`],
    ["Events", number(host.total_events)],
    ["Tags", host.tags.length > 0 && html`<span class="tag-list">${host.tags.map((tag) => html`<a key=${tag} class="tag" href=${linkTo("hosts", { query: { tag } })} title=${`Hosts with the tag ${tag}`}>${tag}</a>`)}</span>`],
  ].filter(([, value]) => value);
  const said = typeof host.info === "string" ? host.info : null;
  return html`<${Section} title="Facts"><dl class="facts">${facts.map(([word, value]) => html`<dt key=${word}>${word}</dt><dd>${value}</dd>`)}
    ${said && html`<dt>Said of itself</dt><dd>${said}</dd>`}</dl><//>`;
}

function PartRow({ part }) {
  return html`<li><p><b>${PARTS[part.name] ?? part.name}</b> <span class="muted">${part.words}</span></p>
    <span class="num ${part.points_lost > 0 ? "" : "faint"}">${part.points_lost > 0 ? `−${number(part.points_lost)}` : "0"}</span></li>`;
}

/** The score of 100, and what was lost of it for what. */
export function Score({ host }) {
  if (host.score === null) return html`<${Section} title="Score"><p class="small muted">It has none yet: nothing was heard long enough to judge by.</p><//>`;
  const lost = host.score_parts.filter((one) => one.points_lost > 0).sort((a, b) => b.points_lost - a.points_lost);
  const free = host.score_parts.filter((one) => !(one.points_lost > 0));
  const tone = host.score < 50 ? "low" : host.score < 80 ? "fair" : "";
  return html`<${Section} title="Score" aside=${html`<b class=${`score ${tone}`}>${Math.round(host.score)}</b> of 100`}>
    ${lost.length === 0 && html`<p class="calm"><${Icon} name="n-ok" />Nothing is lost.</p>`}
    <ul class="list points">${lost.map((one) => html`<${PartRow} key=${one.name} part=${one} />`)}</ul>
    ${free.length > 0 && html`<details><summary>${countOf(free.length, "part costs", "parts cost")} nothing</summary>
      <ul class="list points">${free.map((one) => html`<${PartRow} key=${one.name} part=${one} />`)}</ul></details>`}<//>`;
}

/** How long it was up, in words; nothing while nobody has counted it. */
export function Uptime({ host }) {
  if (host.uptime.length === 0) return null;
  const wordFor = (seconds) => WINDOWS.find(([days]) => days * DAY_MS === seconds * 1000)?.[1] ?? secondsText(seconds);
  return html`<${Section} title="Uptime"><ul class="list ups">${host.uptime.map((one) => {
    // its words begin with the share; the window stands beside it
    const said = one.words.replace(` over ${wordFor(one.window_seconds)}`, "");
    return html`<li key=${one.window_seconds}><span class="faint">${wordFor(one.window_seconds)}</span><p>${said}</p></li>`;
  })}</ul><//>`;
}

/** What its outages have in common. */
export function Patterns({ host }) {
  if (host.patterns.length === 0) return null;
  return html`<${Section} title="Patterns" aside="90 days"><ul class="list plain">${host.patterns.map((one) => html`<li key=${one.words}><p>${one.words}.</p></li>`)}</ul><//>`;
}
