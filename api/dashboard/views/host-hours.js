// The hours of one host: what of its heartbeats came in each, and how long it was down meanwhile.

import { DAY_MS, HOUR_MS, parseTime, stateOf } from "/frame.js";

export const KEPT_MS = 14 * DAY_MS; // of what the server counts by the hour
const DOWN = ["crashed", "silent", "zombie", "overdue"]; // of these a heartbeat was due all the while

// how much of the hour from `at` lay in outages in which heartbeats were due, 0 to 1
function downShare(outages, at, now) {
  let sum = 0;
  for (const { began_at, ended_at, cause } of outages) {
    if (!DOWN.includes(cause)) continue;
    const began = parseTime(began_at) ?? now;
    const ended = parseTime(ended_at) ?? now;
    sum += Math.max(0, Math.min(ended, at + HOUR_MS, now) - Math.max(began, at));
  }
  return Math.min(1, sum / HOUR_MS);
}

/**
 * Each hour from `from` to `until` (milliseconds): `at`, `heard`, `expected`, `lost`, `loss` (0 to 1), `mean` and `p95` (seconds).
 * What is not known is null.
 * @param {object|null} beats as `GET /hosts/{host}/heartbeats` has it
 * @param {object[]} outages
 */
export function makeHours(beats, outages, from, until) {
  const told = new Map((beats?.hours ?? []).map((one) => [parseTime(one.hour), one]));
  const begun = parseTime(beats?.began_at);
  const full = beats?.interval_s > 0 ? 3600 / beats.interval_s : null;
  const hours = [];
  for (let at = Math.floor(from / HOUR_MS) * HOUR_MS; at < until; at += HOUR_MS) {
    const row = told.get(at);
    const counted = full !== null && begun !== null && at + HOUR_MS > begun && at > until - KEPT_MS;
    const down = counted ? full * downShare(outages, at, until) : 0;
    if (!row && down === 0) {
      hours.push({ at, heard: null, expected: null, lost: null, loss: null, mean: null, p95: null });
      continue;
    }
    const heard = row?.beats ?? 0;
    // of a silence that ended, all that was expected is counted in the hour in which it did
    const due = Math.max(heard, Math.min(full ?? Infinity, (row?.expected ?? 0) + down));
    const lost = beats.loss === null ? null : Math.max(0, row?.lost ?? 0); // below zero: what came late after all
    hours.push({
      at, heard, expected: due, lost, loss: lost === null || heard + lost === 0 ? null : lost / (heard + lost),
      mean: row?.latency_mean ?? null, p95: row?.latency_p95 ?? null,
    });
  }
  return hours;
}

/** What `hours` come to: `heard`, `expected`, `lost` (null when not told), the worst `loss` and `p95`. */
export function sumOf(hours) {
  const add = (key) => hours.reduce((sum, one) => sum + (one[key] ?? 0), 0);
  const most = (key) => Math.max(0, ...hours.map((one) => one[key] ?? 0));
  const told = (key) => hours.some((one) => one[key] !== null);
  return {
    heard: add("heard"), expected: Math.round(add("expected")), lost: told("lost") ? add("lost") : null,
    worstLoss: most("loss"), worst: told("p95") ? most("p95") : null,
  };
}

/** Outages that lasted within `span` before `now`, by cause: how often, and how long in milliseconds within it; the longest first. */
export function causesOf(outages, span, now) {
  const found = new Map();
  for (const { began_at, ended_at, cause } of outages) {
    const began = Math.max(now - span, parseTime(began_at) ?? now);
    const ended = parseTime(ended_at) ?? now;
    if (ended < now - span) continue;
    const held = found.get(cause) ?? { cause, state: stateOf(cause), times: 0, length: 0 };
    found.set(cause, { ...held, times: held.times + 1, length: held.length + Math.max(0, ended - began) });
  }
  return [...found.values()].sort((a, b) => b.length - a.length);
}
