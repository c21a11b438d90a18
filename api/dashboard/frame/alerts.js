// Alerts: what their kinds are called, which of them belong together, and which is worst.

import { number } from "./clock.js";
import { Problem, get, send } from "./rest.js";
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

const AT_ONCE = 6;

/** Acknowledge `alerts`, a few at once. What has ended meanwhile is no fault. Resolves to how many were. */
export async function ackAll(alerts) {
  const left = [...alerts];
  let done = 0;
  const work = async () => {
    for (let one = left.shift(); one; one = left.shift()) {
      try {
        await send("POST", `/alerts/${encodeURIComponent(one.id)}/ack`);
        done += 1;
      } catch (error) {
        if (!(error instanceof Problem && (error.status === 404 || error.status === 409))) throw error;
      }
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  return done;
}

/** All open alerts that `query` asks for besides. */
export async function openAlerts(query = {}) {
  const found = [];
  for (let cursor = ""; cursor !== null; ) {
    const page = await get(`/alerts?${new URLSearchParams({ state: "open", ...query, limit: 1000, ...(cursor && { cursor }) })}`);
    found.push(...page.alerts);
    cursor = page.next;
  }
  return found;
}

/** For how long people may be told nothing, for a choice: as the API takes it, and in words. */
export const HOLD_SPANS = [["30m", "30 minutes"], ["2h", "2 hours"], ["8h", "8 hours"], ["1d", "1 day"], ["7d", "7 days"]];

/** Whether nobody sees to an alert. */
export const isWaiting = (alert) => alert.state === "open" && alert.acked_at === null;
