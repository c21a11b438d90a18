// The page: asks the REST API every few seconds and says in words what it answers.

import { HostTable, clockTime, number, systemName, zoneName } from "/table.js";

const EVERY_MS = 5000;
const PATIENCE_MS = 10000;

const $ = (id) => document.getElementById(id);
const table = new HostTable($("rows"));
const address = new URLSearchParams(location.search);

const view = {
  threshold: Number(address.get("threshold")) > 0 ? Number(address.get("threshold")) : 15, // minutes
  query: address.get("q") ?? "",
  side: ["silent", "active"].includes(address.get("show")) ? address.get("show") : "all",
  hosts: null, // the last answer, worst first
  skew: 0, // the server's clock minus ours, in milliseconds
  heard: null, // our clock at the last good answer
  stale: false,
};
let timer = 0;
let asked = 0; // counts requests: an answer to an older one is dropped

const serverNow = () => (view.stale && view.heard !== null ? view.heard : Date.now()) + view.skew;

function write(id, text) {
  if ($(id).textContent !== text) $(id).textContent = text;
}

async function call(path, options = {}) {
  const answer = await fetch(path, { ...options, credentials: "same-origin", cache: "no-store", signal: AbortSignal.timeout(PATIENCE_MS) });
  const content = await answer.json().catch(() => ({}));
  if (!answer.ok) throw Object.assign(new Error(content.detail ?? `the server answers ${answer.status}`), { status: answer.status });
  return { answer, content };
}

// ---------- what is known ----------

function describe(host, active) {
  const seen = host.last_seen === null ? null : Date.parse(host.last_seen);
  const words = [host.hostname, systemName(host.os_type), host.os_type, ...host.tags].join("\n").toLowerCase();
  return { ...host, active, seen: Number.isNaN(seen) ? null : seen, words };
}

function take({ answer, content }) {
  const silent = content.inactive_hosts.map((host) => describe(host, false));
  const active = content.active_hosts.map((host) => describe(host, true));
  // those that fell silent last come first; the active ones stay in the order of their names
  silent.sort((a, b) => (b.seen ?? -Infinity) - (a.seen ?? -Infinity) || (a.hostname < b.hostname ? -1 : 1));
  view.hosts = [...silent, ...active];
  view.silent = silent.length;
  view.answered = content.threshold_minutes;
  view.heard = Date.now();
  const server = Date.parse(answer.headers.get("date"));
  // the header has whole seconds: less than two is no difference of clocks
  view.skew = Math.abs(server - view.heard) > 2000 ? server - view.heard : 0;
  view.stale = false;
}

const minutesText = (minutes) => (minutes < 60 || minutes % 60 ? `${minutes}\u202fmin` : `${minutes / 60}\u202fh`);

function sentence(silent, total, minutes) {
  const since = `silent for more than ${minutesText(minutes)}`;
  const count = number.format(total);
  if (total === 0) return "No machines yet";
  if (total === 1) return silent ? `The one machine has been ${since}` : "The one machine is active";
  if (silent === 0) return `All ${count} machines are active`;
  if (silent === total) return `All ${count} machines have been ${since}`;
  return `${number.format(silent)} of ${count} machines ${silent === 1 ? "has" : "have"} been ${since}`;
}

// ---------- what is shown ----------

function showLive() {
  const state = view.stale ? "stale" : view.heard === null ? "waiting" : "live";
  $("live").dataset.state = state;
  write("live-word", { live: "Live", waiting: "Connecting", stale: view.heard === null ? "No connection" : "Stale since" }[state]);
  write("live-time", view.heard === null ? "" : clockTime(view.stale ? view.heard : Date.now()));
}

function show() {
  showLive();
  $("loading").hidden = true;
  $("hosts-view").setAttribute("aria-busy", String(view.hosts === null));
  if (view.hosts === null) {
    write("lead", "The hosts cannot be shown");
    return;
  }
  const total = view.hosts.length;
  const lead = sentence(view.silent, total, view.answered);
  write("lead", lead);
  document.title = view.silent ? `(${number.format(view.silent)}) Hosts · Heimdall` : "Hosts · Heimdall";
  write("sub", view.stale ? `As of ${clockTime(view.heard)}` : "");
  $("empty").hidden = total !== 0;
  $("list").hidden = total === 0;
  write("n-all", number.format(total));
  write("n-silent", number.format(view.silent));
  write("n-active", number.format(total - view.silent));
  for (const button of document.querySelectorAll("[data-side]")) button.setAttribute("aria-pressed", String(button.dataset.side === view.side));
  const words = view.query.toLowerCase().split(/\s+/).filter(Boolean);
  const fits = view.hosts.filter((host) => (view.side === "all" || host.active === (view.side === "active")) && words.every((word) => host.words.includes(word)));
  const left = table.show(fits, serverNow());
  $("more").hidden = left === 0;
  write("more", left ? `and ${number.format(left)} more: the filter finds them` : "");
  $("no-match").hidden = fits.length !== 0 || total === 0;
  const which = { all: "machine", silent: "silent machine", active: "active machine" }[view.side];
  write("no-match-text", words.length ? `No ${which} matches “${view.query.trim()}”.` : `There is no ${which}.`);
  document.querySelector("table").hidden = fits.length === 0;
}

function fail(error) {
  view.stale = true;
  const what = error.status ? `The server says: ${error.message}.` : "The server cannot be reached.";
  $("trouble").hidden = false;
  write("trouble", `${what} Asking again every ${EVERY_MS / 1000}\u202fs.`);
  show();
}

function askForKey() {
  clearTimeout(timer);
  $("hosts-view").hidden = true;
  $("leave").hidden = true;
  $("live").hidden = true;
  if ($("key-view").hidden) {
    $("key-view").hidden = false;
    $("key").focus();
  }
}

// ---------- asking ----------

async function refresh() {
  clearTimeout(timer);
  const mine = ++asked;
  try {
    const found = await call(`/hosts?inactive_threshold=${encodeURIComponent(view.threshold)}`);
    if (mine !== asked) return;
    take(found);
    $("trouble").hidden = true;
    $("key-view").hidden = true;
    for (const id of ["hosts-view", "leave", "live"]) $(id).hidden = false;
    show();
  } catch (error) {
    if (mine !== asked) return;
    if (error.status === 401 || error.status === 403) {
      askForKey();
      return;
    }
    fail(error);
  }
  timer = setTimeout(refresh, EVERY_MS);
}

function keepAddress() {
  const kept = new URLSearchParams();
  if (view.threshold !== 15) kept.set("threshold", view.threshold);
  if (view.query) kept.set("q", view.query);
  if (view.side !== "all") kept.set("show", view.side);
  history.replaceState(null, "", kept.size ? `?${kept}` : location.pathname);
}

function choose(changes) {
  Object.assign(view, changes);
  keepAddress();
  if (view.hosts !== null) show();
}

// ---------- what people do ----------

$("filter").value = view.query;
$("filter").addEventListener("input", (event) => choose({ query: event.target.value }));
$("clear").addEventListener("click", () => {
  $("filter").value = "";
  choose({ query: "", side: "all" });
  $("filter").focus();
});
for (const button of document.querySelectorAll("[data-side]")) button.addEventListener("click", () => choose({ side: button.dataset.side }));

const threshold = $("threshold");
if (![...threshold.options].some((option) => Number(option.value) === view.threshold)) threshold.add(new Option(minutesText(view.threshold), view.threshold));
threshold.value = String(view.threshold);
threshold.addEventListener("change", () => {
  choose({ threshold: Number(threshold.value) });
  refresh();
});

document.addEventListener("keydown", (event) => {
  const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName);
  if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
    event.preventDefault();
    $("filter").focus();
  } else if (event.key === "Escape" && event.target === $("filter")) {
    $("filter").value = "";
    choose({ query: "" });
  }
});

$("key-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  write("key-fault", "");
  try {
    await call("/sessions", { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ key: $("key").value.trim() }) });
    $("key").value = "";
    await refresh();
    $("main").focus();
  } catch (error) {
    write("key-fault", error.status ? error.message : "The server cannot be reached.");
    $("key").select();
  }
});

$("leave").addEventListener("click", async () => {
  try {
    await call("/sessions", { method: "DELETE" });
  } catch (error) {
    fail(error);
    return;
  }
  asked++;
  view.hosts = null;
  view.heard = null;
  table.show([], Date.now());
  askForKey();
});

// a page in the background asks nothing, and is fresh as soon as it is looked at
document.addEventListener("visibilitychange", () => {
  if (document.hidden) clearTimeout(timer);
  else if ($("key-view").hidden) refresh();
});

write("zone", `At (${zoneName()})`);
write("curl", `curl -X POST ${location.origin}/heartbeat \\\n  -H "api-key: $(cat ~/.heimdall/api-key)" \\\n  -H "source-host: web-01" -H "os-type: LINUX"`);
setInterval(() => {
  if (view.stale || view.hosts === null) return;
  table.tick(serverNow());
  showLive();
}, 1000);
setTimeout(() => {
  $("loading").hidden = view.hosts !== null || view.stale || !$("key-view").hidden;
}, 300);
refresh();
