// The table of hosts. A row is made once a host and only what changed in it is written, so nothing flickers.
// Every text comes in by textContent: names, systems and tags are words of strangers.

const SHOWN = 500; // rows; more would slow the browser, and the filter finds the rest

const SYSTEMS = { LINUX: "Linux", WINDOWS: "Windows", MACOS: "macOS", PIHOLE: "Pi-hole", FIREWALL: "Firewall" };

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const day = new Intl.DateTimeFormat(undefined, { year: "numeric", month: "short", day: "numeric" });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "long" });
export const number = new Intl.NumberFormat();

/** The reader's zone, such as CET. */
export function zoneName() {
  const parts = new Intl.DateTimeFormat(undefined, { timeZoneName: "short" }).formatToParts(new Date());
  return parts.find((part) => part.type === "timeZoneName")?.value ?? "";
}

/** The time of day of `moment` (milliseconds). */
export const clockTime = (moment) => clock.format(moment);

/** How long ago, in one unit. `seconds` below 0 are a clock that differs, not the future. */
export function ageOf(seconds) {
  if (seconds < 60) return `${Math.max(0, Math.floor(seconds))}\u202fs`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)}\u202fmin`;
  if (seconds < 48 * 3600) return `${Math.floor(seconds / 3600)}\u202fh`;
  return `${number.format(Math.floor(seconds / 86400))}\u202fd`;
}

/** The word for a system. */
export const systemName = (type) => SYSTEMS[type] ?? type;

function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function cell(row, name) {
  const td = document.createElement("td");
  td.className = name;
  row.append(td);
  return td;
}

class Row {
  constructor() {
    this.node = document.createElement("tr");
    const state = cell(this.node, "state");
    this.badge = document.createElement("span");
    const icon = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    icon.setAttribute("aria-hidden", "true");
    this.use = document.createElementNS("http://www.w3.org/2000/svg", "use");
    icon.append(this.use);
    this.word = document.createElement("span");
    this.badge.append(icon, this.word);
    state.append(this.badge);
    const host = cell(this.node, "host");
    this.name = document.createElement("span");
    this.tags = document.createElement("span");
    this.tags.className = "tags";
    host.append(this.name, this.tags);
    this.system = cell(this.node, "system");
    this.age = cell(this.node, "age num");
    this.at = document.createElement("time");
    cell(this.node, "at num").append(this.at);
    this.events = cell(this.node, "events num");
  }

  update(host) {
    const kind = host.active ? "active" : "silent";
    if (this.kind !== kind) {
      this.kind = kind;
      this.badge.className = `st s-${kind}`;
      this.use.setAttribute("href", `#i-${kind}`);
      write(this.word, host.active ? "Active" : "Silent");
    }
    write(this.name, host.hostname);
    this.name.title = host.hostname;
    const tags = host.tags.join("\u0000");
    if (this.tagText !== tags) {
      this.tagText = tags;
      this.tags.replaceChildren(...host.tags.slice(0, 8).map((tag) => {
        const node = document.createElement("span");
        node.textContent = tag;
        return node;
      }));
    }
    write(this.system, systemName(host.os_type));
    write(this.events, number.format(host.total_events));
    this.seen = host.seen;
    if (this.dated !== host.last_seen) {
      this.dated = host.last_seen;
      this.at.dateTime = host.last_seen ?? "";
      this.at.title = host.seen === null ? "" : full.format(host.seen);
    }
  }

  tick(now) {
    write(this.age, this.seen === null ? "unknown" : ageOf((now - this.seen) / 1000));
    // the date beside the time once the time alone would mislead
    const text = this.seen === null ? "" : now - this.seen < 12 * 3600e3 ? clock.format(this.seen) : `${day.format(this.seen)}, ${clock.format(this.seen)}`;
    write(this.at, text);
  }
}

export class HostTable {
  constructor(body) {
    this.body = body;
    this.rows = new Map();
    this.visible = [];
  }

  /** Show `hosts` in their order, as of `now` (milliseconds); returns how many were left out. */
  show(hosts, now) {
    const shown = hosts.slice(0, SHOWN);
    const kept = new Map();
    this.visible = shown.map((host) => {
      const row = this.rows.get(host.hostname) ?? new Row();
      row.update(host);
      row.tick(now);
      kept.set(host.hostname, row);
      return row;
    });
    for (const [name, row] of this.rows) if (!kept.has(name)) row.node.remove();
    this.rows = kept;
    let place = this.body.firstChild;
    for (const row of this.visible) {
      if (row.node === place) place = place.nextSibling;
      else this.body.insertBefore(row.node, place);
    }
    return hosts.length - shown.length;
  }

  /** Let the ages count. */
  tick(now) {
    for (const row of this.visible) row.tick(now);
  }
}
