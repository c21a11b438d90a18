// The hosts: every one as a row, worst first. Filter, order and search are in the address.

import { html, useEffect, useMemo, useRef, useState } from "/vendor/preact.js";
import { Age, Bar24, DayAxis, ErrorNote, FirstHost, Grid, Icon, Ledger, Lead, Loading, NoMatch, PageList, SearchField, StateWord, SystemIcon } from "/frame.js";
import { DAY_MS, STATES, SYSTEM_TYPES, announce, change, countOf, go, isReading, later, linkTo, listen, minuteAgo, needing, number, serverNow } from "/frame.js";
import { shownState, stateOf, systemName, toast, useList, useKeys, useMay, useTitle, whatIsKnown, withChanges, zoneName } from "/frame.js";

const FILTERS = ["q", "state", "os_type", "tag"];

/** What the address asks, as the API takes it. */
function askedBy(query) {
  const asked = new URLSearchParams();
  for (const name of [...FILTERS, "sort"]) for (const value of query.getAll(name)) if (value) asked.append(name, value);
  asked.set("outages_since", minuteAgo(DAY_MS));
  return asked;
}

/** The rows that the address asks for, kept fresh; `view` holds which of them are seen. */
function useHosts(query, view) {
  const asked = withChanges(query, {}).toString();
  const list = useMemo(() => new PageList("/hosts", { rows: "hosts", key: "hostname", query: () => askedBy(query) }), [asked]);
  const again = () => list.refresh(view.current.from, view.current.until, isReading());
  const [state] = useList(list, { kinds: ["verdict"], calmMs: 5000, again });
  useEffect(() => listen("verdict", ({ hostname, ...changes }) => list.patch(hostname, changes)), [list]);
  return [list, state];
}

function Tags({ tags }) {
  if (tags.length === 0) return null;
  const shown = tags.slice(0, 2);
  return html`<span class="tags">
    ${shown.map((tag) => html`<a key=${tag} class="tag" tabindex="-1" href=${linkTo("hosts", { query: { tag } })} title=${`Hosts with the tag ${tag}`}>${tag}</a>`)}
    ${tags.length > shown.length && html`<span class="tag" title=${tags.join(", ")}>+${tags.length - shown.length}</span>`}</span>`;
}

function Score({ of }) {
  if (of === null) return html`<span class="faint">–</span>`;
  return html`<span class=${of < 50 ? "score low" : of < 80 ? "score fair" : "score"}>${Math.round(of)}</span>`;
}

function columnsFor({ now, ticked, onTick, onAll }) {
  const tick = {
    key: "tick",
    name: html`<input type="checkbox" aria-label="Choose all that are loaded" checked=${ticked.size > 0} onChange=${onAll} />`,
    cell: (host) => html`<input type="checkbox" tabindex="-1" aria-label=${`Choose ${host.hostname}`} checked=${ticked.has(host.hostname)} onChange=${() => onTick(host.hostname)} />`,
  };
  const columns = [
    { key: "state", name: "State", sort: "state", cell: (host) => html`<${StateWord} state=${shownState(host)} />` },
    {
      key: "host", name: "Host", sort: "hostname",
      cell: (host) => html`<span><${SystemIcon} type=${host.os_type} label=${systemName(host.os_type)} />
        <a tabindex="-1" href=${linkTo("hosts", { rest: [host.hostname] })} title=${host.hostname}>${host.hostname}</a></span>`,
    },
    { key: "seen", name: "Last heard", sort: "last_seen", first: "-last_seen", class: "num", cell: (host) => html`<${Age} at=${host.last_seen} ago />` },
    {
      key: "say", name: "What we know",
      cell: (host) => html`<span><span class="words" title=${whatIsKnown(host, now)}>${whatIsKnown(host, now)}</span><${Tags} tags=${host.tags} /></span>`,
    },
    { key: "bar", name: html`<${DayAxis} now=${now} />`, cell: (host) => html`<${Bar24} host=${host} now=${now} />` },
    {
      key: "events", name: "Events", sort: "total_events", first: "-total_events", class: "num",
      cell: (host) => html`<span class=${host.total_events === 0 ? "faint" : ""}>${number(host.total_events)}</span>`,
    },
    { key: "score", name: "Score", sort: "score", class: "num", cell: (host) => html`<${Score} of=${host.score} />` },
  ];
  return onTick ? [tick, ...columns] : columns;
}

function FilterBar({ query }) {
  const tags = query.getAll("tag");
  return html`<div class="filters">
    <${SearchField} label="Part of a host's name" placeholder="Part of a name" query=${query} />
    ${tags.map((tag) => html`<button type="button" class="tok" key=${tag} onClick=${() => change({ tag: null })}
      aria-label=${`No longer only the tag ${tag}`}>tag: ${tag}<${Icon} name="n-no" /></button>`)}
    <label><span class="vh">System</span><select value=${query.get("os_type") ?? ""} onChange=${(event) => change({ os_type: event.target.value })}>
      <option value="">All systems</option>${SYSTEM_TYPES.map((type) => html`<option key=${type} value=${type}>${systemName(type)}</option>`)}</select></label>
  </div>`;
}

/** The filter of `query` in words, such as "web", crashed, Linux. */
function filterWords(query) {
  const said = [];
  if (query.get("q")) said.push(`“${query.get("q")}”`);
  for (const key of query.getAll("state")) said.push(stateOf(key).word.toLowerCase());
  if (query.get("os_type")) said.push(systemName(query.get("os_type")));
  for (const tag of query.getAll("tag")) said.push(`the tag ${tag}`);
  return said.join(", ");
}

function leadFor(summary, query, state) {
  const words = filterWords(query);
  if (words && state.total > 0) return `${countOf(state.total, "host matches", "hosts match")} ${words}`;
  if (!summary) return "Hosts";
  const { total, states } = summary.hosts;
  const need = needing(states);
  if (total === 1) return oneHost(states, need);
  if (need > 0) return `${number(need)} of ${number(total)} hosts ${need === 1 ? "needs" : "need"} you`;
  return states.online === total ? `All ${number(total)} hosts are online` : `None of ${number(total)} hosts needs you`;
}

function oneHost(states, need) {
  if (need > 0) return "The one host needs you";
  const state = STATES.find((one) => states[one.key] > 0);
  return state ? `The one host is ${state.word.toLowerCase()}` : "Hosts";
}

function footOf({ rows, total, done }) {
  if (done) return `${countOf(rows.length, "host", "hosts")}. Times in ${zoneName()}.`;
  return `${number(rows.length)} of ${number(total ?? rows.length)} are loaded; the others come as you scroll.`;
}

const ACTIONS = [
  { key: "acknowledge", word: "Acknowledge", keys: "a", say: "Acknowledge" },
  { key: "silence", word: "Silence", keys: "s", say: "Silence" },
  { key: "maintenance", word: "Maintenance", keys: "w", say: "Announce maintenance" },
  { key: "remove", word: "Delete", keys: "" },
];

function Chosen({ ticked, clear, begin }) {
  useKeys([{ keys: "Escape", say: "Choose nothing", run: clear }], [ticked]);
  return html`<div class="chosen" role="group" aria-label="What is chosen">
    <b>${countOf(ticked.size, "host", "hosts")} chosen</b>
    ${ACTIONS.map((one) => html`<button type="button" class="btn sm" key=${one.key} onClick=${() => begin(one.key)}>${one.word}</button>`)}
    <button type="button" class="btn sm quiet" onClick=${clear}>Clear</button>
  </div>`;
}

/** The dialog of what is done to `hosts`, fetched when it is first needed: most visits change nothing. */
function useAction(done) {
  const [dialog, setDialog] = useState(null);
  const begin = (key, hosts) => hosts.length > 0 && later(() => import("/views/host-actions.js"), (actions) => setDialog({ Form: actions[key], hosts }));
  const finish = (text) => {
    toast(text);
    done();
  };
  return [dialog && html`<${dialog.Form} hosts=${dialog.hosts} close=${() => setDialog(null)} done=${finish} />`, begin];
}

/** The view at `#/hosts`. */
export function View({ query, summary }) {
  const may = useMay("operate");
  const [ticked, setTicked] = useState(new Set());
  const [now, setNow] = useState(serverNow);
  const active = useRef(null);
  const view = useRef({ from: 0, until: 40 });
  const [list, state] = useHosts(query, view);
  const content = summary.content;
  const lead = leadFor(content, query, state);
  const words = filterWords(query);
  useTitle(lead);

  useEffect(() => setNow(serverNow()), [state]);
  useEffect(() => {
    if (words && state.total !== null) announce(`${countOf(state.total, "host matches", "hosts match")}`);
  }, [words, state.total]);

  const tick = (key) => setTicked((before) => {
    const after = new Set(before);
    if (!after.delete(key)) after.add(key);
    return after;
  });
  const clear = () => setTicked(new Set());
  const tickAll = () => (ticked.size > 0 ? clear() : setTicked(new Set(state.rows.map((host) => host.hostname))));
  const reload = () => list.refresh(view.current.from, view.current.until, false);
  const [dialog, begin] = useAction(() => {
    clear();
    reload();
  });
  // what is ticked; with nothing ticked, the row that the keyboard is on
  const beginChosen = (key) => begin(key, ticked.size > 0 ? [...ticked] : [active.current].filter((one) => one !== null));
  useKeys(may ? ACTIONS.filter((one) => one.keys).map((one) => ({ keys: one.keys, say: one.say, run: () => beginChosen(one.key) })) : [], [ticked, may]);
  const sort = query.get("sort") ?? "state";
  const clearFilter = () => change(Object.fromEntries(FILTERS.map((name) => [name, null])));
  const onView = (from, until) => {
    view.current = { from, until };
    if (until + 40 > state.rows.length && !state.done && !state.loading) list.more();
  };
  const columns = useMemo(() => columnsFor({ now, ticked, onTick: may ? tick : undefined, onAll: tickAll }), [now, ticked, may, state.rows]);
  const linkOf = (keys) => linkTo("hosts", { query: withChanges(query, { state: keys }) });

  if (!words && state.rows.length === 0 && (state.total === 0 || content?.hosts.total === 0)) {
    return html`<${FirstHost} />`;
  }
  const shown = state.rows.length;
  return html`<${Lead} title=${lead} />
    <div class="hosts-top">
      ${content && html`<${Ledger} all states=${content.hosts.states} total=${content.hosts.total} current=${query.getAll("state")} linkOf=${linkOf} />`}
      <${FilterBar} query=${query} />
      ${ticked.size > 0 && html`<${Chosen} ticked=${ticked} clear=${clear} begin=${beginChosen} />`}
      ${state.error && html`<${ErrorNote} what="The hosts cannot be had." error=${state.error} again=${reload} kept=${shown > 0} />`}
      ${state.waiting > 0 && html`<button type="button" class="btn sm waits" onClick=${() => list.settle()}>
        ${countOf(state.waiting, "row has", "rows have")} changed place: show the new order</button>`}
      ${state.loading && html`<${Loading} what="Loading hosts" lead=${false} rows=${12} />`}
      ${!state.loading && shown === 0 && !state.error && html`<${NoMatch} what=${`No host matches ${words}.`} clear=${clearFilter} />`}
      ${shown > 0 && html`<section><${Grid} class=${`hosts ${may ? "ticks" : ""}`} label=${`Hosts, times in ${zoneName()}`}
          columns=${columns} rows=${state.rows} total=${state.total} keyOf=${(host) => host.hostname}
          sort=${sort} onSort=${(next) => change({ sort: next === "state" ? null : next })} onOpen=${(host) => go("hosts", { rest: [host.hostname] })} onView=${onView}
          ticked=${ticked} onTick=${may ? tick : undefined} onActive=${(key) => (active.current = key)} />
        <p class="grid-foot" aria-hidden="true">${footOf(state)}</p></section>`}
      ${dialog}
    </div>`;
}
