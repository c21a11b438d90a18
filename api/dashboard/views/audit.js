// The audit trail: who did what, and when. It is append-only.

import { html, useEffect, useMemo } from "/vendor/preact.js";
import { Age, ErrorNote, Lead, Loading, Note, PageList, countOf, fullTime, number, parseTime, useCell, useMay, useTitle } from "/frame.js";

const ACTIONS = {
  "alert.acked": "saw to an alert", "host.forget": "deleted a host", "host.enrolled": "enrolled a host", "host.revoked": "revoked a host",
  "key.made": "made a key", "key.revoked": "revoked a key",
};

/** The view at `#/audit`. */
export function View() {
  const may = useMay("admin");
  useTitle("Audit");
  const list = useMemo(
    () => new PageList({ pathOf: (cursor, limit) => `/audit?limit=${limit}${cursor ? `&cursor=${cursor}` : ""}`, rowsOf: (content) => content.entries, keyOf: (entry) => String(entry.id) }),
    [],
  );
  useEffect(() => {
    if (may) list.start();
    return () => list.end();
  }, [list]);
  const state = useCell(list.state);
  if (!may)
    return html`<${Lead} title="Audit" /><${Note} tone="s-away" icon="n-warn" title="Only administrators may read it.">Come in by the link that <code>heimdall login</code> prints, or type <code>heimdall audit</code> on the server.<//>`;
  if (state.loading) return html`<${Loading} what="Reading the audit trail" />`;
  return html`<${Lead} title=${state.rows.length === 0 ? "Nobody has done anything yet" : `${state.done ? "" : "The newest "}${countOf(state.rows.length, "entry", "entries")}`}>Nothing of it can be changed or deleted.<//>
    ${state.error && html`<${ErrorNote} what="The audit trail cannot be had." error=${state.error} again=${() => list.start()} kept=${state.rows.length > 0} />`}
    <table class="tbl"><thead><tr><th scope="col">When</th><th scope="col">Who</th><th scope="col">What</th><th scope="col">To what</th><th scope="col">More</th></tr></thead>
      <tbody>${state.rows.map((one) => html`<tr key=${one.id}><td class="nowrap" title=${fullTime(parseTime(one.at) ?? 0)}><${Age} at=${one.at} ago /></td><td>${one.who}</td>
        <td>${ACTIONS[one.action] ?? one.action}</td><td>${one.target}</td><td class="muted">${one.detail}</td></tr>`)}</tbody></table>
    ${!state.done && state.rows.length > 0 && html`<div class="btns"><button type="button" class="btn" onClick=${() => list.more()}>Show more (${number(state.rows.length)} shown)</button></div>`}`;
}
