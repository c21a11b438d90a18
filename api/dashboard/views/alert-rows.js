// An alert as a row, and alerts that were opened together as one row that opens.

import { html, useState } from "/vendor/preact.js";
import { Icon, STATES, alertLook, countOf, fullTime, linkTo, number, parseTime, sentence, shortTime, spanText } from "/frame.js";

const SHOWN = 100; // rows of a section, and alerts of an incident, until more are asked for
const MISSED = ["crashed", "silent", "zombie", "overdue"];
const WORDS = { clone: "Two agents, one name", score: "Low score", sigma: "Sigma rule" };

/** A kind of alerts in words; that of somebody's own rule is its name. */
export function kindWord(kind) {
  const state = STATES.find((one) => one.key === kind);
  if (state) return state.word;
  const text = Object.hasOwn(WORDS, kind) ? WORDS[kind] : kind.replaceAll("_", " ");
  return text.charAt(0).toUpperCase() + text.slice(1);
}

// critical findings before crashed hosts, others between silent and late
function rankOf(alert) {
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

/** The `data-row` of a thing: an incident may have the id of an alert. */
export const rowOf = (alerts) => (alerts.length === 1 ? alerts[0].id : `incident ${alerts[0].incident}`);

const isAddress = (text) => /^(\d{1,3}\.){3}\d{1,3}$/.test(text) || /^[0-9a-f:.]*:[0-9a-f:.]*$/i.test(text);
const eventsOf = (subject) => linkTo("events", { query: { [isAddress(subject) ? "source_ip" : "q"]: subject, span: "7d" } });

// the host's name and its state stand beside it
function textOf({ text, source_host: host }) {
  const rest = host && text.startsWith(`${host} is `) ? text.slice(host.length + 4).replace(/^offline: /, "") : text;
  return rest === "" ? "" : sentence(rest);
}

function Stamp({ at, now }) {
  const moment = parseTime(at);
  return moment === null ? "an unknown time" : html`<time dateTime=${at} title=${fullTime(moment)}>${shortTime(moment, now)}</time>`;
}

function Told({ alerts, now }) {
  const since = alerts.map((alert) => alert.since).sort()[0];
  const ends = alerts.map((alert) => alert.resolved_at);
  const over = ends.every((one) => one !== null);
  const acked = alerts.filter((alert) => alert.acked_at !== null);
  const whom = [...new Set(acked.map((alert) => alert.acked_by ?? "somebody"))];
  const who = whom.length > 2 ? `${whom[0]} and ${number(whom.length - 1)} others` : whom.join(" and ");
  const some = acked.length < alerts.length ? ` of ${number(acked.length)}` : "";
  return html`<div class="told"><p>${over ? "" : "since "}<${Stamp} at=${since} now=${now} />${over && html` to <${Stamp} at=${ends.sort().at(-1)} now=${now} />`}</p>
    ${acked.length > 0 && html`<p><b>${who}</b> ${over ? "saw" : whom.length > 1 ? "see" : "sees"} to it${some}, <${Stamp} at=${acked[0].acked_at} now=${now} /></p>`}</div>`;
}

function lengthOf(alerts, now) {
  const since = Math.min(...alerts.map((alert) => parseTime(alert.since) ?? now));
  const until = Math.max(...alerts.map((alert) => (alert.resolved_at === null ? now : (parseTime(alert.resolved_at) ?? now))));
  return spanText((until - since) / 1000);
}

function Row({ alerts, look, now, actions, children }) {
  const waits = alerts.some((alert) => alert.state === "open" && alert.acked_at === null);
  const title = titleOf(alerts);
  const over = alerts.every((alert) => alert.state !== "open");
  return html`<div class=${`need al ${over ? "over" : look.tone}`}>
    <${Icon} name=${look.icon} label=${look.word} />
    <div>${children}</div>
    <${Told} alerts=${alerts} now=${now} />
    <span class="age">${over && html`<span class="faint">lasted </span>`}${lengthOf(alerts, now)}</span>
    <div class="acts">${actions && !over && html`
      <button type="button" class="btn sm quiet" onClick=${() => actions.silence(alerts)} aria-label=${`Silence ${title}`}>Silence</button>
      ${waits && html`<button type="button" class="btn sm" onClick=${() => actions.ack(alerts)} aria-label=${`Acknowledge ${title}`}>Acknowledge</button>`}`}</div>
  </div>`;
}

function One({ alert, now, actions }) {
  const { source_host: host, subject } = alert;
  const about = subject && subject !== host && alert.kind !== "sigma"; // what a Sigma rule is about has no name of its own
  const link = host ? linkTo("hosts", { rest: [host] }) : subject ? eventsOf(subject) : linkTo("alerts", { query: { incident: alert.incident } });
  return html`<li data-row=${alert.id}><${Row} alerts=${[alert]} look=${alertLook(alert)} now=${now} actions=${actions}>
    <p class="t"><a href=${link}>${titleOf([alert])}</a> <span class="kind">${kindWord(alert.kind)}</span></p>
    <p class="say">${textOf(alert)}${about && html` <a href=${eventsOf(subject)}>${host ? html`Events with ${subject}` : "Its events"}</a>`}</p><//></li>`;
}

function wordsOf(alerts) {
  const kinds = new Map();
  for (const { kind } of alerts) kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
  const names = [...new Set(alerts.map((alert) => alert.source_host ?? alert.subject).filter(Boolean))];
  const more = names.length > 3 ? ` and ${countOf(names.length - 3, "other", "others")}` : "";
  const said = [...kinds].map(([kind, count]) => `${number(count)} ${kindWord(kind).toLowerCase()}`).join(", ");
  return `${said}: ${names.slice(0, 3).join(", ")}${more}. Likely one cause.`;
}

function Many({ alerts, now, actions, partial }) {
  const [open, setOpen] = useState(false);
  const [most, setMost] = useState(SHOWN);
  const worst = [...alerts].sort((a, b) => rankOf(a) - rankOf(b))[0];
  return html`<li data-row=${rowOf(alerts)}><${Row} alerts=${alerts} look=${alertLook(worst)} now=${now} actions=${actions}>
      <p class="t"><button type="button" class="fold" aria-expanded=${String(open)} onClick=${() => setOpen(!open)}>
        <${Icon} name=${open ? "n-down" : "n-right"} />${partial && "At least "}${titleOf(alerts)}</button>
        <a class="small" href=${linkTo("alerts", { query: { incident: worst.incident } })}>by themselves</a></p>
      <p class="say">${wordsOf(alerts)}</p><//>
    ${open && html`<ol class="alerts members">${alerts.slice(0, most).map((alert) => html`<${One} key=${alert.id} alert=${alert} now=${now} actions=${actions} />`)}</ol>
      <${MoreRows} left=${alerts.length - most} more=${() => setMost(most + SHOWN)} />`}</li>`;
}

const MoreRows = ({ left, more }) => left > 0 && html`<p class="more-line"><button type="button" class="linklike" onClick=${more}>Show more: ${number(left)} are left</button></p>`;

/** Things as rows. `actions`: `ack` and `silence`, absent for who may only read; `partial`: there are more on the server. */
export function AlertRows({ groups, now, actions, partial = false }) {
  const [most, setMost] = useState(SHOWN);
  return html`<ol class="alerts">${groups.slice(0, most).map((alerts) => alerts.length === 1
    ? html`<${One} key=${alerts[0].id} alert=${alerts[0]} now=${now} actions=${actions} />`
    : html`<${Many} key=${alerts[0].incident} alerts=${alerts} now=${now} actions=${actions} partial=${partial} />`)}</ol>
    <${MoreRows} left=${groups.length - most} more=${() => setMost(most + SHOWN)} />`;
}
