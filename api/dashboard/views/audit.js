// The audit trail: who did what to what, and when, the newest first. Nothing of it can be changed.

import { html, useMemo } from "/vendor/preact.js";
import { Age, CopyLine, Empty, ErrorNote, Further, Lead, Loading, NoMatch, Note, PageList, SearchField, change, countOf, linkTo } from "/frame.js";
import { number, parseTime, serverNow, shortTime, useList, useMay, useTitle } from "/frame.js";

const ACTIONS = {
  "alert.acked": "acknowledged an alert", "host.disabled": "disabled a host", "host.enrolled": "enrolled a host", "host.forget": "deleted a host",
  "host.renewal_asked": "asked for a new secret", "host.revoked": "revoked a host", "host.secret_renewed": "renewed its secret",
  "key.made": "made a key", "key.revoked": "revoked a key", "maintenance.ended": "ended maintenance", "maintenance.made": "announced maintenance",
  "silence.ended": "ended a silence", "silence.made": "silenced hosts", "token.made": "made a token to let hosts in",
};
const OF_A_HOST = /^host\.(?!renewal_asked)/;

/** What was done, in words. */
const actionWord = (action) => (Object.hasOwn(ACTIONS, action) ? ACTIONS[action] : action.replaceAll(/[._]/g, " "));

const fits = (entry, words) => {
  const text = [entry.who, entry.action, actionWord(entry.action), entry.target, entry.detail].join(" ").toLowerCase();
  return words.every((word) => text.includes(word));
};

function Search({ query, state, found }) {
  const oldest = parseTime(state.rows.at(-1)?.at);
  const reach = state.done ? "all there are" : `the newest${oldest === null ? "" : `, back to ${shortTime(oldest, serverNow())}`}; older ones are not looked through`;
  return html`<div class="filters"><${SearchField} label="Part of who, what or whom" placeholder="Who, what or whom" query=${query} />
    <span class="small faint" role="status">${query.get("q") ? `${number(found)} of ` : ""}${countOf(state.rows.length, "entry", "entries")}: ${reach}</span></div>`;
}

function Entry({ entry }) {
  const target = OF_A_HOST.test(entry.action) ? html`<a href=${linkTo("hosts", { rest: [entry.target] })}>${entry.target}</a>` : entry.target;
  return html`<tr><td class="a-when"><${Age} at=${entry.at} ago /></td><td class="a-who">${entry.who}</td><td class="a-what">${actionWord(entry.action)}</td>
    <td class="a-target">${target}</td><td class="a-more muted">${entry.detail}</td></tr>`;
}

function Trail({ query }) {
  const list = useMemo(() => new PageList("/audit", { rows: "entries", key: "id" }), []);
  const [state] = useList(list, { kinds: ["alert"] });
  const asked = query.get("q") ?? "";
  const words = asked.toLowerCase().split(/\s+/).filter(Boolean);
  const shown = useMemo(() => (words.length === 0 ? state.rows : state.rows.filter((entry) => fits(entry, words))), [state.rows, asked]);
  if (state.loading) return html`<${Loading} what="Reading the audit trail" />`;
  const error = state.error && html`<${ErrorNote} what="The audit trail cannot be read." error=${state.error} again=${() => list.start()} kept=${state.rows.length > 0} />`;
  if (state.rows.length === 0) return error || html`<${Empty} title="Nobody has done anything yet"><p class="muted">Whoever makes a key, lets a host in, silences or acknowledges is written down here, for good.</p><p><a class="btn" href=${linkTo("enroll")}>Add a host</a></p><//>`;
  const [newest] = state.rows;
  return html`<${Lead} title=${`${newest.who} ${actionWord(newest.action)} last`}>${newest.target && html`${newest.target}, `}<${Age} at=${newest.at} ago />. Nothing here can be changed or deleted: the database refuses it.<//>
    ${error}<${Search} query=${query} state=${state} found=${shown.length} />
    ${shown.length === 0 ? html`<${NoMatch} what=${`No entry that is loaded has “${asked}” in it.`} clear=${() => change({ q: null })} />`
      : html`<table class="tbl audit"><thead><tr><th scope="col">When</th><th scope="col">Who</th><th scope="col">What</th><th scope="col">To what</th><th scope="col">More</th></tr></thead>
        <tbody>${shown.map((entry) => html`<${Entry} key=${entry.id} entry=${entry} />`)}</tbody></table>`}
    ${!state.done && html`<${Further} list=${list} state=${state} word="Show older ones">${number(state.rows.length)} loaded.<//>`}`;
}

/** The view at `#/audit`. */
export function View({ query }) {
  const may = useMay("admin");
  useTitle("Audit");
  if (may) return html`<${Trail} query=${query} />`;
  return html`<${Lead} title="Audit" /><${Note} tone="s-away" icon="n-warn" title="Only administrators may read it.">Come in by the link that this prints on the server:<//><${CopyLine} text="heimdall login" />
    <p class="small muted">Or read it there: <code>heimdall audit</code>.</p>`;
}
