// The alerts: those that are open, worst first, then those that somebody sees to, then what was. Filters are in the address.

import { html, useEffect, useMemo, useRef, useState } from "/vendor/preact.js";
import { ActDialog, Choice, ErrorNote, Icon, Lead, Loading, NoMatch, PageList, Problem, Section, announce, calmly, change, countOf } from "/frame.js";
import { focusedRow, get, holdPlace, inWords, isAmongRows, linkTo, listen, number, parseTime, send, shortTime, spanText, toast } from "/frame.js";
import { useCell, useKeys, useMay, useNow, useTitle, useWalk, zoneName } from "/frame.js";
import { AlertRows, groupUp, kindWord, rowOf, titleOf } from "/views/alert-rows.js";

const MOST_LOADED = 5000; // open ones that are asked for unbidden
const AT_ONCE = 6;
const TYPED_MS = 250;
const COMMON = ["crashed", "silent", "zombie", "overdue"];
const ACKED = [["", "All"], ["no", "Unseen"], ["yes", "Seen to"]];
const STATE = [["", "Open first"], ["open", "Open"], ["resolved", "Resolved"]];

/** The alerts of one `state`, kept fresh; nothing is asked until they are `wanted`. */
function useAlerts(state, incident, wanted) {
  const whole = state === "open" || incident !== null;
  const list = useMemo(() => {
    const pathOf = (cursor, limit) => `/alerts?${new URLSearchParams(Object.entries({ state, incident, limit: whole ? 1000 : limit, cursor }).filter(([, value]) => value))}`;
    return new PageList({ pathOf, rowsOf: (content) => content.alerts, keyOf: (alert) => alert.id });
  }, [state, incident, wanted]);
  useEffect(() => {
    if (!wanted) return undefined;
    // of a history that is read back only what is new is asked for, and it waits until the reader wants it
    const again = () => list.refresh(0, whole ? Infinity : 0, isAmongRows() || (!whole && list.pages.length > 1));
    const refresh = calmly(again, 2000);
    list.start();
    const hear = (alert) => {
      list.patch(alert.id, alert);
      refresh.soon();
    };
    const ends = [listen("alert", hear), listen("tick", refresh.soon), listen("reset", refresh.now)];
    return () => {
      for (const end of ends) end();
      refresh.end();
      list.end();
    };
  }, [list]);
  const held = useCell(list.state);
  useEffect(() => {
    if (whole && !held.loading && !held.done && held.error === null && held.rows.length < MOST_LOADED) list.more();
  }, [held]);
  return [list, held];
}

async function ackAll(alerts) {
  const left = [...alerts];
  let done = 0;
  const work = async () => {
    for (let one = left.shift(); one; one = left.shift()) {
      try {
        await send("POST", `/alerts/${encodeURIComponent(one.id)}/ack`);
        done += 1;
      } catch (error) {
        // it has ended meanwhile
        if (!(error instanceof Problem && (error.status === 404 || error.status === 409))) throw error;
      }
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  return done;
}

async function openOf(incident) {
  const found = [];
  for (let cursor = ""; cursor !== null; ) {
    const page = await get(`/alerts?${new URLSearchParams({ state: "open", incident, limit: 1000, ...(cursor && { cursor }) })}`);
    found.push(...page.alerts);
    cursor = page.next;
  }
  return found;
}

const isWaiting = (alert) => alert.state === "open" && alert.acked_at === null;

function AckDialog({ alerts, partial, close, done }) {
  const waiting = alerts.filter(isWaiting);
  const act = async () => done(await ackAll(partial ? (await openOf(alerts[0].incident)).filter(isWaiting) : waiting));
  return html`<${ActDialog} title=${`Acknowledge ${titleOf(alerts)}`} verb="Acknowledge" act=${act} close=${close}>
    <p>You see to ${partial ? "all alerts of this incident" : countOf(waiting.length, "alert", "alerts")}. They are escalated no more, and who was told is told of their end.
      This cannot be taken back.</p><//>`;
}

/** What can be done to alerts, and the dialog that asks first. */
function useActions(reload, patch, partial) {
  const [dialog, setDialog] = useState(null);
  const close = () => setDialog(null);
  const done = (count) => {
    toast(`${countOf(count, "alert", "alerts")} acknowledged`);
    reload();
  };
  const ack = async (alerts) => {
    const waiting = alerts.filter(isWaiting);
    if (waiting.length === 0) return;
    const restore = holdPlace();
    if (alerts.length > 1) {
      setDialog(html`<${AckDialog} alerts=${alerts} partial=${partial} close=${() => (close(), restore())} done=${done} />`);
      return;
    }
    try {
      const { alert } = await send("POST", `/alerts/${encodeURIComponent(waiting[0].id)}/ack`);
      patch(alert);
      announce(`${titleOf(alerts)} acknowledged`);
      restore();
    } catch (error) {
      toast(`Not acknowledged: ${inWords(error)}`, { failed: true });
    }
    reload();
  };
  const silence = async (alerts) => {
    try {
      const { HoldForm, hostsFor } = await import("/views/hold-form.js");
      const kinds = [...new Set(alerts.map((alert) => alert.kind))];
      const nobodys = alerts.some((alert) => alert.source_host === null); // only * fits those, so their kind must
      setDialog(html`<${HoldForm} hosts=${hostsFor(alerts)} kinds=${nobodys ? kinds : []} offered=${kinds} close=${close} done=${reload} />`);
    } catch (error) {
      toast(`This cannot be done now: ${inWords(error)}`, { failed: true });
    }
  };
  return [dialog, { ack, silence }];
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
  const field = useRef(null);
  const timer = useRef(0);
  const asked = query.get("q") ?? "";
  useEffect(() => {
    // what was typed stands; what came with the address is shown
    if (document.activeElement !== field.current) field.current.value = asked;
  }, [asked]);
  const type = () => {
    clearTimeout(timer.current);
    timer.current = setTimeout(() => change({ q: field.current.value.trim() }, { replace: true }), TYPED_MS);
  };
  useKeys([{ keys: "/", say: "Search", run: () => (field.current.focus(), field.current.select()) }]);
  return html`<div class="filters">
    <div class="search"><label><${Icon} name="n-search" /><span class="vh">Part of a host, an address or a text</span>
      <input ref=${field} type="search" placeholder="Host, address or text" spellcheck=${false} autocomplete="off" maxlength="253" onInput=${type}
        onKeyDown=${(event) => event.key === "Escape" && field.current.blur()} /></label></div>
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
  const many = groups.filter((group) => group.length > 1).flat().length;
  return `The oldest has waited ${spanText((now - oldest) / 1000)}.${many > 0 ? ` ${number(many)} opened together with others: what opened together is one thing.` : ""}`;
}

/** Asks for more of the history when its end comes into view; under a filter, which may fit nothing for long, when it is pressed. */
function Further({ list, state, rows, filtered, now }) {
  const end = useRef(null);
  const oldest = parseTime(state.rows.at(-1)?.opened_at);
  useEffect(() => {
    if (filtered || state.error) return undefined;
    const watch = new IntersectionObserver(([one]) => one.isIntersecting && list.more(), { rootMargin: "600px" });
    watch.observe(end.current);
    return () => watch.disconnect();
  }, [list, state.rows.length, filtered, state.error]);
  const back = oldest === null ? "" : `, back to ${shortTime(oldest, now)}`;
  return html`<p class="more-line muted" ref=${end}>${filtered ? `${number(rows)} of ${number(state.rows.length)} match${back}. ` : ""}
    <button type="button" class="linklike" onClick=${() => list.more()}>${filtered ? "Look further back" : "Show older ones"}</button></p>`;
}

/** The view at `#/alerts`. */
export function View({ query, summary }) {
  const now = useNow();
  const may = useMay("operate");
  const incident = query.get("incident");
  const which = query.get("state") ?? "";
  const [list, open] = useAlerts("open", incident, which !== "resolved");
  const [past, history] = useAlerts("resolved", incident, which === "resolved" || (which !== "open" && !open.loading));
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
  const kinds = useMemo(() => [...new Set([...COMMON, ...query.getAll("kind"), ...[...open.rows, ...history.rows].map((alert) => alert.kind)])], [open.rows, history.rows, words]);

  const partial = !open.done && !words;
  const reload = () => list.refresh(0, Infinity, false);
  const [dialog, actions] = useActions(reload, (alert) => list.patch(alert.id, alert), partial);
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
    ${history.error && html`<${ErrorNote} what="The resolved alerts cannot be had." error=${history.error} again=${() => past.refresh(0, 0, false)} kept=${open.error !== null || old.length > 0} />`}
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
    ${!history.loading && !history.done && html`<${Further} list=${past} state=${history} rows=${old.length} filtered=${words !== ""} now=${now} />`}
    </div>${dialog}`;
}
