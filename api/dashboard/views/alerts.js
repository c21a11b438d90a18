// The alerts: those that are open, worst first, then those that somebody sees to, then what was. Filters are in the address.

import { html, useEffect, useMemo, useState } from "/vendor/preact.js";
import { Choice, ErrorNote, Further, Icon, Lead, Loading, NoMatch, PageList, SearchField, Section, Stamp, alertLook, change, countOf, focusedRow, groupUp, holdPlace } from "/frame.js";
import { MISSED, isAmongRows, isWaiting, kindWord, later, linkTo, listen, number, parseTime, rankOf, sentence, shortTime, spanText, titleOf } from "/frame.js";
import { useList, useKeys, useMay, useNow, useTitle, useWalk, zoneName } from "/frame.js";

const MOST_LOADED = 5000; // open ones that are asked for unbidden
const SHOWN = 100; // rows of a section, and alerts of an incident, until more are asked for
const ACKED = [["", "All"], ["no", "Unseen"], ["yes", "Seen to"]];
const STATE = [["", "Open first"], ["open", "Open"], ["resolved", "Resolved"]];

const stageOf = (alert) => (alert.state !== "open" ? 2 : alert.acked_at !== null ? 1 : 0);

/**
 * The alerts of one `state`, kept fresh; nothing is asked until they are `wanted`.
 * @returns {[PageList, object, () => void, (alert: object) => void]} the list, what it holds, what asks anew, and what tells of one alert
 */
function useAlerts(state, incident, wanted) {
  const whole = state === "open" || incident !== null;
  const list = useMemo(() => {
    const query = () => (incident ? { state, incident } : { state });
    return new PageList("/alerts", { rows: "alerts", key: "id", query, limit: whole ? 1000 : undefined });
  }, [state, incident, wanted]);
  const told = useMemo(() => new Map(), [list]); // an answer that was under way is older than what was told meanwhile: alerts only go on
  const hear = (alert) => {
    told.set(alert.id, alert);
    list.patch(alert.id, alert);
  };
  // of a history that is read back only what is new is asked for, and it waits until the reader wants it
  const again = () => list.refresh(-1, whole ? Infinity : 0, isAmongRows() || (!whole && list.pages.length > 1));
  const [got, reload] = useList(list, { kinds: ["alert"], calmMs: 2000, wanted, again });
  useEffect(() => (wanted ? listen("alert", hear) : undefined), [list]);
  const newest = (alert) => (told.has(alert.id) && stageOf(told.get(alert.id)) > stageOf(alert) ? told.get(alert.id) : alert);
  const held = useMemo(() => ({ ...got, rows: got.rows.map(newest) }), [got, told]);
  useEffect(() => {
    if (whole && !held.loading && !held.done && held.error === null && held.rows.length < MOST_LOADED) list.more();
  }, [held]);
  return [list, held, reload, hear];
}

/** The `data-row` of a thing: an incident may have the id of an alert. */
const rowOf = (alerts) => (alerts.length === 1 ? alerts[0].id : `incident ${alerts[0].incident}`);

const isAddress = (text) => /^(\d{1,3}\.){3}\d{1,3}$/.test(text) || /^[0-9a-f:.]*:[0-9a-f:.]*$/i.test(text);
const eventsOf = (subject) => linkTo("events", { query: { [isAddress(subject) ? "source_ip" : "q"]: subject, span: "7d" } });

// the host's name and its state stand beside it
function textOf({ text, source_host: host }) {
  const rest = host && text.startsWith(`${host} is `) ? text.slice(host.length + 4).replace(/^offline: /, "") : text;
  return rest === "" ? "" : sentence(rest);
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
        <a class="small" href=${linkTo("alerts", { query: { incident: worst.incident } })}>Only these</a></p>
      <p class="say">${wordsOf(alerts)}</p><//>
    ${open && html`<ol class="alerts members">${alerts.slice(0, most).map((alert) => html`<${One} key=${alert.id} alert=${alert} now=${now} actions=${actions} />`)}</ol>
      <${MoreRows} left=${alerts.length - most} more=${() => setMost(most + SHOWN)} />`}</li>`;
}

const MoreRows = ({ left, more }) => left > 0 && html`<p class="more-line"><button type="button" class="linklike" onClick=${more}>Show more: ${number(left)} are left</button></p>`;

/** Things as rows. `actions`: `ack` and `silence`, absent for who may only read; `partial`: there are more on the server. */
function AlertRows({ groups, now, actions, partial = false }) {
  const [most, setMost] = useState(SHOWN);
  return html`<ol class="alerts">${groups.slice(0, most).map((alerts) => alerts.length === 1
    ? html`<${One} key=${alerts[0].id} alert=${alerts[0]} now=${now} actions=${actions} />`
    : html`<${Many} key=${alerts[0].incident} alerts=${alerts} now=${now} actions=${actions} partial=${partial} />`)}</ol>
    <${MoreRows} left=${groups.length - most} more=${() => setMost(most + SHOWN)} />`;
}

/** What can be done to alerts, and the dialog that asks first. */
function useActions(reload, patch, partial) {
  const [dialog, setDialog] = useState(null);
  const begin = (name) => (alerts) => {
    const restore = holdPlace();
    const close = () => {
      setDialog(null);
      restore();
    };
    return later(() => import("/views/alert-actions.js"), async (actions) => {
      await actions[name]({ alerts, partial, patch, reload, show: setDialog, close });
      restore();
    });
  };
  return [dialog, { ack: begin("acknowledge"), silence: begin("silence") }];
}

function matcher(query) {
  const kinds = query.getAll("kind");
  const text = (query.get("q") ?? "").toLowerCase();
  const acked = query.get("acked");
  return (alert) =>
    (kinds.length === 0 || kinds.includes(alert.kind)) &&
    (acked !== "no" || alert.acked_at === null) &&
    (acked !== "yes" || alert.acked_at !== null) &&
    (text === "" || [alert.source_host, alert.subject, alert.text].some((one) => one?.toLowerCase().includes(text)));
}

function filterWords(query) {
  const said = query.getAll("kind").map((kind) => kindWord(kind).toLowerCase());
  if (query.get("q")) said.push(`“${query.get("q")}”`);
  if (query.get("acked")) said.push(query.get("acked") === "no" ? "unseen" : "seen to");
  return said.join(", ");
}

function FilterBar({ query, kinds }) {
  return html`<div class="filters">
    <${SearchField} label="Part of a host, an address or a text" placeholder="Host, address or text" query=${query} />
    <label><span class="vh">Kind</span><select value=${query.get("kind") ?? ""} onChange=${(event) => change({ kind: event.target.value })}>
      <option value="">All kinds</option>${kinds.map((kind) => html`<option key=${kind} value=${kind}>${kindWord(kind)}</option>`)}</select></label>
    <${Choice} label="Seen by somebody" options=${ACKED} value=${query.get("acked") ?? ""} choose=${(acked) => change({ acked })} />
    <${Choice} label="Open or resolved" options=${STATE} value=${query.get("state") ?? ""} choose=${(state) => change({ state })} />
  </div>`;
}

function leadOf({ open, unseen }) {
  if (open === 0) return "No open alerts";
  const seen = unseen === 0 ? "all seen to" : unseen < open ? `${number(unseen)} unseen by anybody` : open === 1 ? "unseen by anybody" : "all unseen";
  return `${countOf(open, "open alert", "open alerts")}, ${seen}`;
}

function subOf(waiting, groups, now) {
  if (waiting.length === 0) return null;
  const oldest = Math.min(...waiting.map((alert) => parseTime(alert.opened_at) ?? now));
  const things = groups.length < waiting.length ? ` They are ${countOf(groups.length, "thing", "things")}: what opened together is one.` : "";
  return `The oldest has waited ${spanText((now - oldest) / 1000)}.${things}`;
}

/** More of the history, by itself; under a filter, which may fit nothing for long, when it is asked for. */
function History({ list, state, rows, filtered, now }) {
  const oldest = parseTime(state.rows.at(-1)?.opened_at);
  const back = oldest === null ? "" : `, back to ${shortTime(oldest, now)}`;
  return html`<${Further} list=${list} state=${state} asked=${filtered} word=${filtered ? "Look further back" : "Show older ones"}>
    ${filtered ? `${number(rows)} of ${number(state.rows.length)} match${back}.` : ""}<//>`;
}

/** The view at `#/alerts`. */
export function View({ query, summary }) {
  const now = useNow();
  const may = useMay("operate");
  const incident = query.get("incident");
  const which = query.get("state") ?? "";
  const [list, open, reloadOpen, hear] = useAlerts("open", incident, which !== "resolved");
  const [past, history, reloadPast] = useAlerts("resolved", incident, which === "resolved" || (which !== "open" && !open.loading));
  const words = filterWords(query);
  const fits = useMemo(() => matcher(query), [words]);
  const held = useMemo(() => open.rows.filter((alert) => alert.state === "open"), [open.rows]);
  const shown = useMemo(() => held.filter(fits), [held, fits]);
  const [waits, seen] = useMemo(() => {
    const groups = groupUp(shown, true);
    return [groups.filter((group) => group.some(isWaiting)), groups.filter((group) => !group.some(isWaiting))];
  }, [shown]);
  const old = useMemo(() => history.rows.filter(fits), [history.rows, fits]);
  const oldGroups = useMemo(() => (incident ? old.map((alert) => [alert]) : groupUp(old, false)), [old, incident]);
  const kinds = useMemo(() => [...new Set([...MISSED, ...query.getAll("kind"), ...[...open.rows, ...history.rows].map((alert) => alert.kind)])], [open.rows, history.rows, words]);

  const partial = !open.done && !words;
  const reload = () => {
    reloadOpen();
    if (history.error) reloadPast();
  };
  const [dialog, actions] = useActions(reload, hear, partial);
  const byFocus = (act) => () => {
    const row = focusedRow();
    const group = [...waits, ...seen].find((alerts) => alerts.length > 1 && rowOf(alerts) === row) ?? shown.filter((alert) => alert.id === row);
    if (group.length === 0) return false;
    act(group);
    return true;
  };
  useWalk();
  useKeys(may ? [{ keys: "a", say: "Acknowledge", run: byFocus(actions.ack) }, { keys: "s", say: "Silence", run: byFocus(actions.silence) }] : [], [shown, may, partial]);

  const known = open.done && !incident && which !== "resolved";
  const told = summary.content?.alerts;
  const counts = known ? { open: held.length, unseen: held.filter(isWaiting).length } : told ? { open: told.open, unseen: told.open - told.acked } : null;
  const matching = words && !incident ? `${countOf(shown.length + old.length, "alert matches", "alerts match")} ${words}` : null;
  const together = `${number(shown.length + old.length)} opened together, ${shown.length === 0 ? "all over" : `${number(shown.length)} still open`}`;
  const lead = matching ?? (incident ? together : counts ? leadOf(counts) : "Alerts");
  useTitle(lead);

  const loading = (which === "resolved" ? history : open).loading;
  const none = !loading && shown.length + old.length === 0 && !open.error && !history.error;
  const single = (groups) => (incident ? groups.flat().map((alert) => [alert]) : groups);
  const rows = { now, partial, actions: may ? actions : undefined };
  const changed = (one) => one.state.get().waiting > 0 && html`<button type="button" class="btn sm waits" onClick=${() => one.settle()}>Alerts have changed: show them</button>`;
  return html`<${Lead} title=${lead}>${incident ? html`Likely one cause. <a href=${linkTo("alerts")}>All alerts</a>` : subOf(shown.filter(isWaiting), waits, now)}<//>
    <div class="stack alert-top">
    <${FilterBar} query=${query} kinds=${kinds} />
    ${open.error && html`<${ErrorNote} what="The open alerts cannot be had." error=${open.error} again=${reload} kept=${held.length > 0} />`}
    ${history.error && !open.error && html`<${ErrorNote} what="The resolved alerts cannot be had." error=${history.error} again=${reload} kept=${old.length > 0} />`}
    ${loading && html`<${Loading} what="Loading alerts" lead=${false} />`}
    ${changed(list)}
    ${none && words && html`<${NoMatch} what=${`No alert matches ${words}.`} clear=${() => change({ kind: null, q: null, acked: null })} />`}
    ${!loading && !words && which !== "resolved" && !open.error && shown.length === 0 && html`<p class="calm"><${Icon} name="n-ok" /><span>
      Nothing waits for anybody. An alert opens when a host is missed or a rule finds something. <a href=${linkTo("hosts")}>Look at the hosts</a></span></p>`}
    ${waits.length > 0 && html`<${Section} title="Open" aside=${`worst first, times in ${zoneName()}`}><${AlertRows} groups=${single(waits)} ...${rows} /><//>`}
    ${seen.length > 0 && html`<${Section} title="Seen to" aside="somebody has acknowledged them"><${AlertRows} groups=${single(seen)} ...${rows} /><//>`}
    ${!open.done && held.length >= MOST_LOADED && html`<p class="more-line muted">The newest ${number(held.length)} are loaded.
      <button type="button" class="linklike" onClick=${() => list.more()}>Load more</button></p>`}
    ${changed(past)}
    ${old.length > 0 && html`<${Section} title="Resolved" aside="last opened first"><${AlertRows} groups=${oldGroups} now=${now} /><//>`}
    ${!history.loading && !history.done && html`<${History} list=${past} state=${history} rows=${old.length} filtered=${words !== ""} now=${now} />`}
    </div>${dialog}`;
}
