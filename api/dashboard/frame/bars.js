// Bars: the last 24 hours of a host (a healthy line lies flat, trouble stands up), and counts over time. Hatching of
// zombies is in the sprite.

import { html } from "/vendor/preact.js";
import { DAY_MS, axisTime, dayWord, monthWord, number, parseTime } from "./clock.js";
import { shownState, stateOf } from "./states.js";

const BAR_HEIGHT = 20;
const SHORTEST = 0.9; // of a past outage, in percent: minutes in a day would be less than a pixel
const PRESENT = 2.4; // of what is now
const UNHEARD = { key: "none", word: "Not yet heard", height: 1 }; // before the first heartbeat

/** The times of a bar that ends at `now`: when it began and the midnight within, as a percentage. */
export function dayOf(now) {
  const midnight = new Date(now);
  midnight.setHours(0, 0, 0, 0);
  return { from: now - DAY_MS, midnight: 100 - ((now - midnight.getTime()) / DAY_MS) * 100 };
}

function segments(host, now, span, begun) {
  const from = now - span;
  const present = shownState(host);
  const found = [];
  const begins = ((begun - from) / span) * 100;
  if (begun !== null && begins > 0) found.push({ state: UNHEARD, x: 0, width: Math.min(100, begins) });
  for (const one of host.outages ?? []) {
    const began = Math.max(from, parseTime(one.began_at) ?? from);
    const ended = parseTime(one.ended_at) ?? now;
    if (ended <= from) continue;
    const x = ((began - from) / span) * 100;
    const width = Math.max(SHORTEST, ((ended - began) / span) * 100);
    found.push({ state: stateOf(one.cause), x: Math.min(x, 100 - width), width });
  }
  if (present.key !== "online" && present.height > 0) {
    const since = Math.max(from, parseTime(host.since) ?? now);
    const width = Math.max(PRESENT, ((now - since) / span) * 100);
    found.push({ state: present, x: 100 - width, width });
  }
  return found.sort((a, b) => a.x - b.x);
}

// where nothing lies, the line of a healthy host: it has no part under the others, which may lie on any background
function gaps(parts) {
  const found = [];
  let at = 0;
  for (const { x, width } of [...parts, { x: 100, width: 0 }]) {
    if (x > at) found.push({ x: at, width: x - at });
    at = Math.max(at, x + width);
  }
  return found;
}

/**
 * `host`, which has its `outages`, in the `span` milliseconds before `now` (in milliseconds).
 * @param {{host: object, now: number, span: number, ticks: number[], begun?: number|null, label?: string, words?: string}} props
 *   `ticks` in percent; `begun`: when it was first heard; `label` says all that is shown, else `words` say which time it is
 */
export function StateBar({ host, now, span, ticks, begun = null, label, words }) {
  const present = shownState(host);
  const unknown = present.height === 0 || present.key === "new"; // such a host has no healthy line
  const parts = segments(host, now, span, begun);
  const told = parts.length === 0 ? (unknown ? "nothing is known" : "nothing happened") : parts.map((one) => one.state.word.toLowerCase()).join(", ");
  return html`<svg class="b24" role="img" aria-label=${label ?? `${words}: ${told}`}>
    ${ticks.map((x) => html`<line key=${`tick${x}`} class="tick" x1=${`${x}%`} x2=${`${x}%`} y1="0" y2=${BAR_HEIGHT} />`)}
    ${gaps(parts).map(({ x, width }) => html`<rect key=${`gap${x}`} class=${unknown ? "f-none" : "f-online"}
      x=${`${x}%`} width=${`${width}%`} y=${unknown ? 19 : 16} height=${unknown ? 1 : 4} />`)}
    ${parts.map(({ state, x, width }, index) => html`<rect key=${index} class=${`f-${state.key}`}
      x=${`${x}%`} width=${`${width}%`} y=${BAR_HEIGHT - state.height} height=${state.height} />`)}
  </svg>`;
}

/** The last 24 hours of `host`, which has its `outages`. `now` in milliseconds. */
export function Bar24({ host, now }) {
  return html`<${StateBar} host=${host} now=${now} span=${DAY_MS} ticks=${[dayOf(now).midnight]} words="Last 24 hours" />`;
}

/** The head of a column of 24-hour bars. */
export function DayAxis({ now }) {
  const { midnight } = dayOf(now);
  // beside its ends the word for midnight would lie on theirs
  const fits = midnight > 28 && midnight < 72;
  return html`<span class="axis24"><span>−24${"\u202f"}h</span>
    ${fits && html`<span class="at" style=${{ left: `${midnight}%` }}>00:00</span>`}<span>now</span></span>`;
}

/** How a time is called on an axis of so many milliseconds. */
export function tickWords(span) {
  if (span <= 2 * DAY_MS) return axisTime;
  return span > 8 * DAY_MS ? monthWord : dayWord;
}

const STEPS_MINUTES = [1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1440, 2880, 10_080];

/** Round times between `from` and `until`, at most five: `at`, and `x` in percent. None is so near to an end that its words would stand out. */
export function ticksOf(from, until) {
  const step = (STEPS_MINUTES.find((minutes) => (until - from) / (minutes * 60_000) <= 5) ?? 10_080) * 60_000;
  // round in the reader's zone: 06:00 there is not 06:00 UTC
  const offset = new Date(until).getTimezoneOffset() * 60_000;
  const ticks = [];
  for (let at = Math.ceil((from - offset) / step) * step + offset; at <= until; at += step) ticks.push({ at, x: ((at - from) / (until - from)) * 100 });
  return ticks.filter(({ x }) => x > 4 && x < 96);
}

/** A round number at or above `most`, which half of it is whole too. */
export function roundUp(most) {
  if (most <= 2) return 2;
  const power = 10 ** Math.floor(Math.log10(most));
  return [1, 2, 4, 6, 8, 10].map((step) => step * power).find((step) => step >= most && step % 2 === 0) ?? 10 * power;
}

/**
 * Counts over time as bars from zero, with two grid lines; `label` says in words what they show.
 * @param {{counts: number[], from: number, until: number, label: string, parts?: {tone: string, counts: number[]}[], chosen?: [number, number]|null}} props
 *   `parts` of each bar lie on each other, the first lowest; `chosen`: the first and the last of some bars
 */
export function CountBars({ counts, from, until, label, parts = [{ tone: "f-count", counts }], chosen = null }) {
  const top = roundUp(Math.max(...counts, 0));
  const width = 100 / counts.length;
  const ticks = ticksOf(from, until);
  const below = counts.map(() => 0);
  return html`<div class="plot">
    <div class="yax" aria-hidden="true"><span>${number(top)}</span><span>${number(top / 2)}</span><span>0</span></div>
    <svg class="bars" role="img" aria-label=${label}>
      ${["0", "50%"].map((y) => html`<line key=${y} class="grid-line" x1="0" x2="100%" y1=${y} y2=${y} />`)}
      ${chosen && html`<rect class="chosen-bars" x=${`${chosen[0] * width}%`} width=${`${(chosen[1] + 1 - chosen[0]) * width}%`} height="100%" />`}
      ${parts.map((part) => part.counts.map((count, index) => {
        if (count === 0) return null;
        const share = (count / top) * 100;
        below[index] += share;
        return html`<rect key=${`${part.tone}${index}`} class=${part.tone} x=${`${index * width}%`} width=${`${width * 0.82}%`} y=${`${100 - below[index]}%`} height=${`${share}%`} />`;
      }))}
      <line class="grid-line" x1="0" x2="100%" y1="100%" y2="100%" />
    </svg>
    <div class="xax" aria-hidden="true">${ticks.map((tick) => html`<span key=${tick.x} style=${{ left: `${tick.x}%` }}>${tickWords(until - from)(tick.at)}</span>`)}</div>
  </div>`;
}
