// What is said of one host: what was observed, then what is concluded, and what to check, on its system.

import { html } from "/vendor/preact.js";
import { CopyLine, DAY_MS, Section, parseTime, serverNow, shortTime, shownState, spanText, stateFor } from "/frame.js";

const NARROW = "\u202f";
const SPOOL_MANY = 1000; // events
const CLOCK_OFF_SECONDS = 5;

/** When `text` (RFC 3339) was, as part of a sentence. */
export function whenWords(text, now) {
  const moment = parseTime(text);
  if (moment === null) return "at an unknown time";
  const said = shortTime(moment, now);
  return `${/^\d/.test(said) && said.includes(":") ? "at" : "on"} ${said}`;
}

/** Seconds in the unit that fits: 12 ms, 1.5 s, 90 s, 3 min. */
export function secondsText(seconds) {
  if (seconds < 1) return `${Math.round(seconds * 1000)}${NARROW}ms`;
  if (seconds < 10) return `${Math.round(seconds * 10) / 10}${NARROW}s`;
  return seconds < 180 ? `${Math.round(seconds)}${NARROW}s` : spanText(seconds); // 90 s are not 1 min
}

const OBSERVED = {
  crashed: ({ since }) => `Its connection broke ${since} and did not come back; it had not said goodbye. Likely it lost power or network, or its agent was killed.`,
  silent: ({ heard }) => `It was last heard ${heard} and has said no goodbye. Likely its power, its network or its agent.`,
  zombie: ({ beat }) => `Its last heartbeat came ${beat}, its session is still open. Likely its agent hangs, or all of the machine.`,
  overdue: ({ back, heard, why }) => `It announced ${why} and to be back ${back}; it was last heard ${heard}. Likely it did not come up again.`,
  late: ({ beat, each }) => `Its last heartbeat came ${beat}${each ? `, and one is due every ${each}` : ""}. It may be a single one that was lost.`,
  missing: ({ heard }) => `It was last heard ${heard}, 30 days ago or more. Likely there is no such machine any more.`,
  new: ({ since }) => `It was enrolled ${since}, and nothing was heard of it yet.`,
  away: ({ back, since, why, due }) => (back ? `It announced ${why} and to be back ${back}${due}.` : `It announced ${why} ${since}.`),
  stopped: ({ since }) => `It said goodbye ${since}: its agent was stopped.`,
  shutdown: ({ since }) => `It said goodbye ${since}: the machine was switched off.`,
  revoked: ({ since }) => `Its credential was revoked ${since}: nothing of it is taken.`,
  unjudged: ({ host, heard }) => (host.last_seen ? `It was last heard ${heard}; nobody has judged it yet.` : "Nothing was heard of it yet."),
  online: ({ beat, since }) => `Its heartbeats come, the last ${beat}. It is online since ${since.replace(/^(at|on) /, "")}.`,
};

/** Why `host` (as `GET /hosts/{host}` has it) is held to be what it is, in sentences. */
export function reasonOf(host, now) {
  const state = shownState(host).key;
  const back = parseTime(host.back_by);
  return OBSERVED[state]({
    host,
    since: whenWords(host.since, now),
    heard: host.last_seen ? whenWords(host.last_seen, now) : "never",
    beat: whenWords(host.metrics?.beat_at ?? host.last_seen, now),
    back: back === null ? "" : `by ${shortTime(back, now)}`,
    due: back !== null && back > now ? `, in ${spanText((back - now) / 1000)}` : "",
    why: host.reason ? `“${host.reason}”` : "to be away",
    each: host.metrics?.interval_s > 0 ? secondsText(host.metrics.interval_s) : "",
  });
}

/** "crashed 12 min ago" */
export function verdictWords(host, now) {
  const state = shownState(host);
  const said = stateFor(state, host.since, now);
  return [state.word.toLowerCase(), said.slice(state.word.length)];
}

const UNIX_AGENT = "/usr/local/lib/heimdall/heimdall-agent.pyz";
const MAC_AGENT = '"/Library/Application Support/Heimdall/heimdall-agent.pyz"';
const LINUX = {
  status: `sudo python3 ${UNIX_AGENT} status`,
  service: "systemctl status heimdall-agent",
  log: "journalctl -u heimdall-agent -n 50",
  restart: "sudo systemctl restart heimdall-agent",
  load: "uptime; df -h",
};
const COMMANDS = {
  LINUX,
  PIHOLE: LINUX,
  FIREWALL: LINUX,
  MACOS: {
    status: `sudo python3 ${MAC_AGENT} status`,
    service: "sudo launchctl print system/heimdall-agent",
    log: "tail -n 50 /Library/Logs/heimdall-agent.log",
    restart: "sudo launchctl kickstart -k system/heimdall-agent",
    load: "uptime; df -h",
  },
  WINDOWS: {
    status: 'py "$env:ProgramFiles\\Heimdall\\heimdall-agent.pyz" status',
    service: 'schtasks /query /tn "Heimdall agent" /v /fo list',
    log: 'Get-Content "$env:ProgramFiles\\Heimdall\\agent\\logs\\agent.log" -Tail 50',
    restart: 'schtasks /end /tn "Heimdall agent"; schtasks /run /tn "Heimdall agent"',
    load: "Get-PSDrive -PSProvider FileSystem",
  },
};

// a name goes into a command only when no shell sees more in it than a name
const plainName = (name) => (/^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(name) ? name : "NAME");

function stepsFor(host) {
  const { key } = shownState(host);
  if (!["crashed", "silent", "zombie", "overdue", "late"].includes(key)) return [];
  const name = plainName(host.hostname);
  const run = COMMANDS[host.os_type] ?? LINUX;
  const ping = { say: "Does it answer from here?", lines: [`ping ${name}`] };
  const told = { say: "On it: does the agent run, is it connected, and if not, why?", lines: [run.status, run.service] };
  const log = { say: "What did the agent say last?", lines: [run.log] };
  const restart = { say: "Start the agent anew. What waits in its spool stays, and it reads on where it was.", lines: [run.restart] };
  const load = { say: "On it: is it overloaded, or a disk full?", lines: [run.load] };
  const byState = {
    crashed: [{ say: "Has it power? Did others fall at the same time, which share its switch or its host?", lines: [] }, ping, told, log],
    silent: [{ say: "Has it power, and is its network there?", lines: [] }, ping, told, log],
    zombie: [load, told, log, restart],
    overdue: [{ say: "Look at its console: it may wait for somebody, or for a disk to be checked.", lines: [] }, ping, told, restart],
    late: [{ say: "Wait for one more interval. When it goes on:", lines: [] }, ping, load, told],
  };
  return [...byState[key], ...ofSystem(host), ...ofSigns(host, name)];
}

function ofSystem(host) {
  if (host.os_type === "PIHOLE") return [{ say: "Does Pi-hole itself run? The agent reads what its FTL keeps.", lines: ["systemctl status pihole-FTL"] }];
  if (host.os_type === "FIREWALL") return [{ say: "This is the machine that takes the firewall's syslog, not the firewall. Does the agent listen there?", lines: ["sudo ss -lntup"] }];
  return [];
}

// what its heartbeats have told besides
function ofSigns(host, name) {
  const beats = host.metrics ?? {};
  const found = [];
  if (Math.abs(beats.skew ?? 0) >= CLOCK_OFF_SECONDS) {
    found.push({ say: `Its clock is ${secondsText(Math.abs(beats.skew))} ${beats.skew > 0 ? "behind" : "ahead"}: certificates may seem invalid to it.`, lines: ["date -u"] });
  }
  if ((beats.spool ?? 0) >= SPOOL_MANY) {
    found.push({ say: "Many events wait in its spool. Is the server reached? When 256 MiB are full, the oldest of the lowest severity go first.", lines: [] });
  }
  if (serverNow() - (parseTime(beats.boot_returned_at) ?? 0) < DAY_MS) {
    found.push({ say: "Two agents use its name and throw each other out: one was copied. Give one of them another.", lines: [] });
  }
  if (host.info === null) {
    const line = `curl -i -X POST ${location.origin}/heartbeat -H "api-key: $KEY" -H "source_host: ${name}" -H "os_type: ${plainName(host.os_type ?? "LINUX")}"`;
    found.push({ say: "It may report over HTTP, without our agent: send one heartbeat by hand. The answer says what is wrong.", lines: [line] });
  }
  return found;
}

/** What to check of a host that is not well; nothing of one that is. */
export function Checks({ host }) {
  const steps = stepsFor(host);
  if (steps.length === 0) return null;
  return html`<${Section} title="What to check" class="checks">
    <ol>${steps.map(({ say, lines }) => html`<li key=${say}><p>${say}</p>${lines.map((line) => html`<${CopyLine} key=${line} text=${line} />`)}</li>`)}</ol><//>`;
}
