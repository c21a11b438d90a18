// Charts over the time of the lanes, which all share one time line and one pointer. What came is grey: hue belongs to
// what is missing.

import { html } from "/vendor/preact.js";
import { HOUR_MS } from "/frame.js";

const GAP = 0.22; // between bars, of an hour

/** Bars from zero, of what is known. */
function Bars({ values, spots, name }) {
  const path = values.map((value, index) => (value ? `M${spots[index]} 100v${-value}h${1 - GAP}v${value}z` : "")).join("");
  return html`<path class=${name} d=${path} />`;
}

/** Steps, an hour each; broken where nothing is known. */
function Steps({ values, spots, name }) {
  const path = values.map((value, index) => (value === null ? "" : `${(values[index - 1] ?? null) === null ? "M" : "L"}${spots[index]} ${100 - value}h1`)).join("");
  return html`<path class=${`step ${name}`} d=${path} />`;
}

/**
 * A chart in a lane; `label` says in words what it shows.
 * @param {{kind: "beats"|"latency"|"loss", hours: object[], from: number, until: number, top: number, ticks: object[], label: string,
 *   pointed: number|null, point: (index: number|null) => void}} props `hours` as makeHours() tells them; the hour pointed at by its place
 */
export function Chart({ kind, hours, from, until, top, ticks, label, pointed, point }) {
  const width = (until - from) / HOUR_MS;
  const spots = hours.map(({ at }) => (at - from) / HOUR_MS);
  const of = (measure) => hours.map((one) => { const value = measure(one); return value === null ? null : Math.min(100, (value / top) * 100); });
  // an hour of which all came has no outline: it would stand around each bar
  const due = (one) => (one.expected !== null && one.expected - one.heard >= Math.max(1, one.expected * 0.02) ? one.expected : null);
  const find = (event) => {
    const { left, width: pixels } = event.currentTarget.getBoundingClientRect();
    const index = Math.floor(((event.clientX - left) / pixels) * width - spots[0]);
    point(hours[index] ? index : null);
  };
  return html`<svg class=${`chart ${kind}`} viewBox=${`0 0 ${width} 100`} preserveAspectRatio="none" role="img" aria-label=${label} onPointerMove=${find}>
    ${[0, 50, 100].map((y) => html`<path key=${y} class="grid-line" d=${`M0 ${y}H${width}`} />`)}
    ${ticks.map(({ x }) => html`<path key=${x} class="grid-line" d=${`M${(x / 100) * width} 0V100`} />`)}
    ${kind === "beats" && html`<${Bars} name="due" values=${of(due)} spots=${spots} /><${Bars} name="came" values=${of((one) => one.heard)} spots=${spots} />`}
    ${kind === "latency" && html`<${Steps} name="most" values=${of((one) => one.p95)} spots=${spots} /><${Steps} name="mean" values=${of((one) => one.mean)} spots=${spots} />`}
    ${kind === "loss" && html`<${Bars} name="f-late" values=${of((one) => one.loss)} spots=${spots} />`}
    ${pointed !== null && html`<path class="at" d=${`M${spots[pointed] + 0.5} 0V100`} />`}
  </svg>`;
}
