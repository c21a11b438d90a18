// The clock: ages count by the server's time, times are shown in the reader's zone. While the connection is lost
// both stand still, so that nothing old looks present.

import { html, useEffect, useState } from "/vendor/preact.js";
import { makeCell } from "./cell.js";
import { contact, skew } from "./rest.js";

export const MINUTE_MS = 60_000;
export const HOUR_MS = 3_600_000;
export const DAY_MS = 86_400_000;

const second = makeCell(0);
const NARROW = "\u202f";

const timeOfDay = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const hourMinute = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const weekday = new Intl.DateTimeFormat(undefined, { weekday: "short", hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const dayOnly = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", year: "numeric" });
const dayTime = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const dayOfWeek = new Intl.DateTimeFormat(undefined, { weekday: "short", day: "numeric" });
const dayOfMonth = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const everything = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "long" });
const figures = new Intl.NumberFormat();

setInterval(() => {
  if (!document.hidden && contact.get().failed === null) second.set(second.get() + 1);
}, 1000);

/** Now by the server's clock, in milliseconds; the moment of its last answer while it is not reached. */
export function serverNow() {
  const { at, failed } = contact.get();
  return (failed !== null && at !== null ? at : Date.now()) + skew.get();
}

/** The minute that was `length` milliseconds ago, in RFC 3339: what is asked again and again is asked in the same words. */
export const minuteAgo = (length) => new Date(Math.floor((serverNow() - length) / MINUTE_MS) * MINUTE_MS).toISOString();

/** `serverNow()` in a component that is drawn anew each second. */
export function useNow() {
  const [, setCount] = useState(0);
  useEffect(() => second.watch(setCount), []);
  return serverNow();
}

/** A number with the reader's separators. */
export const number = (value) => figures.format(value);

/** `one` or `many` for `count`, with the count before it. */
export const countOf = (count, one, many) => `${number(count)} ${count === 1 ? one : many}`;

/** How long `seconds` are, in one unit. Less than 0 is a clock that differs, not the future. */
export function spanText(seconds) {
  if (seconds < 60) return `${Math.max(0, Math.floor(seconds))}${NARROW}s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)}${NARROW}min`;
  if (seconds < 48 * 3600) return `${Math.floor(seconds / 3600)}${NARROW}h`;
  return `${number(Math.floor(seconds / 86_400))}${NARROW}d`;
}

/** Milliseconds of an RFC 3339 time; null when it is none. */
export function parseTime(text) {
  const moment = text ? Date.parse(text) : NaN;
  return Number.isNaN(moment) ? null : moment;
}

/** The time of day of `moment` (milliseconds), with seconds. */
export const clockTime = (moment) => timeOfDay.format(moment);

/** As short as it is clear at `now`: a time of day today, a week day within six days, else the day. */
export function shortTime(moment, now) {
  const apart = Math.abs(now - moment);
  if (apart < 86_400_000 && new Date(moment).getDate() === new Date(now).getDate()) return clockTime(moment);
  return apart < 6 * 86_400_000 ? weekday.format(moment) : dayOnly.format(moment);
}

/** Hour and minute of `moment`, for an axis. */
export const axisTime = (moment) => hourMinute.format(moment);

/** A day of some weeks, as Tue 3. */
export const dayWord = (moment) => dayOfWeek.format(moment);

/** A day of some months, as 3 Dec. */
export const monthWord = (moment) => dayOfMonth.format(moment);

/** `moment` as a field of date and time takes it: the reader's own time, without a zone, to the minute. */
export const localText = (moment) => new Date(moment - new Date(moment).getTimezoneOffset() * MINUTE_MS).toISOString().slice(0, 16);

/** All of `moment`, with the zone, to be read on hover. */
export const fullTime = (moment) => everything.format(moment);

/** The reader's zone, such as CET. */
export function zoneName() {
  const parts = new Intl.DateTimeFormat(undefined, { timeZoneName: "short" }).formatToParts(new Date());
  return parts.find((part) => part.type === "timeZoneName")?.value ?? "";
}

/** How long ago `at` (RFC 3339) is; all of it on hover. `never` is said when there is none. */
export function Age({ at, never = "never", ago = false }) {
  const now = useNow();
  const moment = parseTime(at);
  if (moment === null) return html`<span class="faint">${at ? "unknown" : never}</span>`;
  const text = spanText((now - moment) / 1000);
  return html`<time dateTime=${at} title=${fullTime(moment)}>${ago ? `${text} ago` : text}</time>`;
}

/** The time `at` (RFC 3339) as short as it is clear at `now`, never without the time of day; all of it on hover. */
export function Stamp({ at, now }) {
  const moment = parseTime(at);
  if (moment === null) return html`<span class="faint">an unknown time</span>`;
  const near = Math.abs(now - moment) < 6 * 86_400_000;
  return html`<time dateTime=${at} title=${fullTime(moment)}>${near ? shortTime(moment, now) : dayTime.format(moment)}</time>`;
}
