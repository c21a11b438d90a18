// The alerts: what somebody should know, the newest first; those that were opened together are one thing.

import { html, useEffect, useMemo, useState } from "/vendor/preact.js";
import { ActDialog, Age, Choice, ErrorNote, Icon, Lead, Loading, PageList, Section, alertLook, calmly, change, countOf, linkTo, listen } from "/frame.js";
import { number, parseTime, send, spanText, toast, useCell, useMay, useNow, useTitle } from "/frame.js";

const SHOWN = 5; // of an incident, until it is opened

function useAlerts(state, incident) {
  const list = useMemo(() => {
    const asked = new URLSearchParams(Object.entries({ state, incident }).filter(([, value]) => value));
    const pathOf = (cursor, limit) => `/alerts?${new URLSearchParams([...asked, ["limit", String(limit)], ...(cursor ? [["cursor", cursor]] : [])])}`;
    return new PageList({ pathOf, rowsOf: (content) => content.alerts, keyOf: (alert) => alert.id });
  }, [state, incident]);
  useEffect(() => {
    const refresh = calmly(() => list.refresh(0, 0, false), 2000);
    list.start();
    const ends = [listen("alert", refresh.soon), listen("tick", refresh.soon), listen("reset", refresh.now)];
    return () => {
      for (const end of ends) end();
      refresh.end();
      list.end();
    };
  }, [list]);
  return [list, useCell(list.state)];
}

/** Alerts that were opened together, in the order in which the newest of each comes. */
function groupUp(alerts) {
  const found = new Map();
  for (const alert of alerts) found.set(alert.incident, [...(found.get(alert.incident) ?? []), alert]);
  return [...found.values()];
}

function Acknowledge({ alerts, close }) {
  const act = async () => {
    for (const alert of alerts) await send("POST", `/alerts/${encodeURIComponent(alert.id)}/ack`);
    toast(`${countOf(alerts.length, "alert", "alerts")} acknowledged`);
  };
  return html`<${ActDialog} title=${`Acknowledge ${countOf(alerts.length, "alert", "alerts")}`} verb="Acknowledge" act=${act} close=${close}>
    <p>You see to it. It is escalated no more; its end is told.</p><//>`;
}

function Alert({ alert, now }) {
  const look = alertLook(alert);
  const ended = parseTime(alert.resolved_at);
  const since = parseTime(alert.since) ?? now;
  return html`<li class=${look.tone}><${Icon} name=${look.icon} label=${look.word} />
    <p class="say">${alert.source_host && html`<strong><a href=${linkTo("hosts", { rest: [alert.source_host] })}>${alert.source_host}</a></strong> `}
      <b>${look.word}</b> <span class="muted">${alert.text}${alert.acked_by ? `; ${alert.acked_by} sees to it` : ""}</span>
      ${alert.subject && html` <a href=${linkTo("events", { query: { q: alert.subject, span: "7d" } })}>Events with ${alert.subject}</a>`}</p>
    <span class="when">${ended === null ? html`<${Age} at=${alert.since} ago />` : `lasted ${spanText((ended - since) / 1000)}`}</span></li>`;
}

function Incident({ alerts, now, may }) {
  const [open, setOpen] = useState(false);
  const [asks, setAsks] = useState(false);
  const waiting = alerts.filter((alert) => alert.state === "open" && alert.acked_at === null);
  const shown = open ? alerts : alerts.slice(0, SHOWN);
  const title = alerts.length > 1 ? `${number(alerts.length)} together` : alertLook(alerts[0]).word;
  const button = may && waiting.length > 0 && html`<button type="button" class="btn sm" onClick=${() => setAsks(true)}>Acknowledge${waiting.length > 1 ? ` ${number(waiting.length)}` : ""}</button>`;
  return html`<${Section} title=${title} aside=${button}>
    <ul class="list">${shown.map((alert) => html`<${Alert} key=${alert.id} alert=${alert} now=${now} />`)}</ul>
    ${alerts.length > shown.length && html`<p class="more-line"><button type="button" class="linklike" onClick=${() => setOpen(true)}>${number(alerts.length - shown.length)} more of the same</button></p>`}
    ${asks && html`<${Acknowledge} alerts=${waiting} close=${() => setAsks(false)} />`}<//>`;
}

/** The view at `#/alerts`. */
export function View({ query, summary }) {
  const now = useNow();
  const may = useMay("operate");
  const shown = query.get("state") === "resolved" ? "resolved" : "open";
  const incident = query.get("incident");
  const [list, state] = useAlerts(shown, incident);
  const counts = summary.content?.alerts;
  const open = counts ? counts.open : state.rows.length;
  const unseen = counts ? counts.open - counts.acked : null;
  const lead = open === 0 ? "No open alert" : `${countOf(open, "open alert", "open alerts")}${unseen === null ? "" : unseen === 0 ? ", each seen to" : `, ${number(unseen)} that nobody sees to`}`;
  useTitle(lead);
  return html`
    <${Lead} title=${lead}>${incident && html`Of one incident. <a href=${linkTo("alerts")}>All alerts</a>`}<//>
    <div class="btns"><${Choice} label="Which alerts" options=${[["open", "Open"], ["resolved", "Resolved"]]} value=${shown} choose=${(one) => change({ state: one === "open" ? null : one })} /></div>
    ${state.error && html`<${ErrorNote} what="The alerts cannot be had." error=${state.error} again=${() => list.start()} kept=${state.rows.length > 0} />`}
    ${state.loading && html`<${Loading} what="Looking for alerts" lead=${false} />`}
    ${!state.loading && !state.error && state.rows.length === 0 && html`<p class="calm"><${Icon} name="n-ok" />${shown === "open" ? "Nothing is wrong that anybody should know of." : "No alert was resolved yet."}</p>`}
    ${groupUp(state.rows).map((alerts) => html`<${Incident} key=${alerts[0].incident} alerts=${alerts} now=${now} may=${may} />`)}
    ${!state.done && state.rows.length > 0 && html`<div class="btns"><button type="button" class="btn" onClick=${() => list.more()}>Show more</button></div>`}`;
}
