// Alerts: what their kinds are called, which of them belong together, and which is worst.

import { number } from "./clock.js";
import { STATES } from "./states.js";

/** The kinds that say of a host that it is missed. */
export const MISSED = ["crashed", "silent", "zombie", "overdue"];
const KIND_WORDS = { clone: "Two agents, one name", score: "Low score", sigma: "Sigma rule" };

/** A kind of alerts in words; that of somebody's own rule is its name. */
export function kindWord(kind) {
  const known = STATES.find((one) => one.key === kind);
  if (known) return known.word;
  const text = Object.hasOwn(KIND_WORDS, kind) ? KIND_WORDS[kind] : kind.replaceAll("_", " ");
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** How bad an alert is, the less the worse: critical findings come before crashed hosts, others between zombie and late. */
export function rankOf(alert) {
  const place = STATES.findIndex((one) => one.key === alert.kind);
  if (place >= 0) return place;
  return { 5: -1, 4: 2.5, 3: 4 }[alert.severity] ?? 5;
}

/** `alerts` (last opened first) as things: those of one incident are one. `worst`: many together first, then by what they are. */
export function groupUp(alerts, worst) {
  const found = new Map();
  for (const alert of alerts) {
    if (found.has(alert.incident)) found.get(alert.incident).push(alert);
    else found.set(alert.incident, [alert]);
  }
  const groups = [...found.values()];
  if (!worst) return groups;
  const ranks = new Map(groups.map((group) => [group, group.length > 2 ? -2 : Math.min(...group.map(rankOf))]));
  return groups.sort((a, b) => ranks.get(a) - ranks.get(b) || (a[0].opened_at < b[0].opened_at ? 1 : -1));
}

/** What a thing is called: its host or what it is about, or how many they are. */
export function titleOf(alerts) {
  const [first] = alerts;
  if (alerts.length === 1) return first.source_host ?? first.subject ?? kindWord(first.kind);
  const lost = alerts.every((alert) => MISSED.includes(alert.kind));
  return `${number(alerts.length)} ${lost ? "hosts lost" : "alerts opened"} together`;
}

/** Whether nobody sees to an alert. */
export const isWaiting = (alert) => alert.state === "open" && alert.acked_at === null;
