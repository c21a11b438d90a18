// States: what a host is held to be, as it is shown. An offline host is shown by its reason. Severities of events, too.

import { parseTime, shortTime, spanText } from "./clock.js";

/**
 * All states, worst first. `tone` is its class of colours, `height` that of its part of a 24-hour bar (of 20), `needs`: somebody should look.
 */
export const STATES = [
  { key: "crashed", word: "Crashed", tone: "s-offline", height: 20, needs: true },
  { key: "silent", word: "Silent", tone: "s-offline", height: 20, needs: true },
  { key: "zombie", word: "Zombie", tone: "s-zombie", height: 20, needs: true },
  { key: "overdue", word: "Overdue", tone: "s-late", height: 11, needs: true },
  { key: "late", word: "Late", tone: "s-late", height: 11 },
  { key: "missing", word: "Missing", tone: "s-missing", height: 0 },
  { key: "new", word: "New", tone: "s-new", height: 11 },
  { key: "away", word: "Away", tone: "s-away", height: 11 },
  { key: "stopped", word: "Stopped", tone: "s-stopped", height: 7 },
  { key: "shutdown", word: "Shut down", tone: "s-stopped", height: 7 },
  { key: "revoked", word: "Revoked", tone: "s-stopped", height: 7 },
  { key: "unjudged", word: "Not judged", tone: "s-stopped", height: 0 },
  { key: "online", word: "Online", tone: "s-online", height: 4 },
];
// what an outage may be called besides
const UNSEEN = { key: "unseen", word: "Unseen", tone: "s-stopped", height: 7 };

const byKey = new Map([...STATES, UNSEEN].map((one) => [one.key, one]));

/** The state of `key`, a strange one as one that nobody has judged. */
export const stateOf = (key) => byKey.get(key) ?? byKey.get("unjudged");

/** As what `host` (or a verdict) is shown. */
export function shownState({ state, reason }) {
  if (state === null || state === undefined) return stateOf("unjudged");
  return state === "offline" ? (byKey.get(reason) ?? stateOf("silent")) : stateOf(state);
}

/** How many hosts of a summary's `states` somebody should look at. */
export const needing = (states) => STATES.reduce((sum, one) => sum + (one.needs ? (states[one.key] ?? 0) : 0), 0);

const SAY = {
  crashed: (host, at) => `Connection broke ${at(host.since)}, no goodbye`,
  silent: (host, at) => `Nothing since ${at(host.last_seen ?? host.since)}: power, network or agent`,
  zombie: (host, at) => `Session still open, no heartbeat since ${at(host.since)}: the agent hangs`,
  overdue: (host, at) => `Announced to be back by ${at(host.since)}, nothing heard since ${at(host.last_seen)}`,
  late: (host, at) => `Heartbeat missed; last heard ${at(host.last_seen)}`,
  missing: (host, at) => `Not heard since ${at(host.last_seen ?? host.since)}`,
  new: (host, at) => `Enrolled ${at(host.since)}, nothing heard yet`,
  stopped: (host, at) => `Said goodbye ${at(host.since)}: its agent was stopped`,
  shutdown: (host, at) => `Said goodbye ${at(host.since)}: shut down`,
  revoked: (host, at) => `Revoked ${at(host.since)}: nothing of it is taken`,
  unjudged: (host, at) => (host.last_seen ? `Last heard ${at(host.last_seen)}; nobody has judged it yet` : "Nothing heard yet"),
  online: (host, at) => `Online since ${at(host.since)}`,
  away: (host, at, now) => sayAway(host, at, now),
};

function sayAway(host, at, now) {
  const why = host.reason ? `${host.reason[0].toUpperCase()}${host.reason.slice(1)}` : "Announced";
  const due = parseTime(host.back_by);
  if (due === null) return `${why}, since ${at(host.since)}`;
  return `${why}, back by ${at(host.back_by)}${due > now ? ` (in ${spanText((due - now) / 1000)})` : ""}`;
}

/** What is known of `host` at `now`, in a sentence that does not repeat its state. */
export function whatIsKnown(host, now) {
  const at = (text) => {
    const moment = parseTime(text);
    return moment === null ? "at an unknown time" : shortTime(moment, now);
  };
  return SAY[shownState(host).key](host, at, now);
}

/** The system's word. One that is not known is shown as it came. */
export const systemName = (type) => ({ LINUX: "Linux", WINDOWS: "Windows", MACOS: "macOS", PIHOLE: "Pi-hole", FIREWALL: "Firewall" })[type] ?? type ?? "unknown";

/** The systems that the API takes, for a choice. */
export const SYSTEM_TYPES = ["LINUX", "WINDOWS", "MACOS", "PIHOLE", "FIREWALL"];

/** Severities of events, the gravest first; `level` is the number that the API has. */
export const SEVERITIES = [
  { level: 5, word: "Critical", icon: "v-critical", tone: "s-critical", fill: "f-critical" },
  { level: 4, word: "High", icon: "v-high", tone: "s-high", fill: "f-high" },
  { level: 3, word: "Medium", icon: "v-medium", tone: "s-medium", fill: "f-medium" },
  { level: 2, word: "Low", icon: "v-low", tone: "s-low", fill: "f-low" },
  { level: 1, word: "Info", icon: "v-info", tone: "s-low", fill: "f-info" },
];

/** The severity of `level`; a strange one is the lowest. */
export const severityOf = (level) => SEVERITIES.find((one) => one.level === level) ?? SEVERITIES.at(-1);

/** As what an alert is shown: by its kind when that is a state, else by its severity. */
export function alertLook(alert) {
  const state = byKey.get(alert.kind);
  if (state) return { word: state.word, icon: `i-${state.key}`, tone: state.tone };
  return severityOf(alert.severity ?? 4);
}

/** "Silent for 4 min", "Crashed 12 min ago": a state and how long, as a verdict begins. */
export function stateFor(state, since, now) {
  const moment = parseTime(since);
  if (moment === null) return state.word;
  const span = spanText((now - moment) / 1000);
  if (["crashed", "stopped", "shutdown", "revoked"].includes(state.key)) return `${state.word} ${span} ago`;
  return state.key === "overdue" ? `${state.word} by ${span}` : `${state.word} for ${span}`;
}
