// What an operator does to hosts: each is a dialog that says what will happen before it does.

import { html } from "/vendor/preact.js";
import { ActDialog, HOLD_SPANS, HOUR_MS, ackAll, countOf, isWaiting, localText, openAlerts, send } from "/frame.js";

const MOST_AT_ONCE = 100; // hosts that the API takes in one silence
const NAMED = 6;

function named(hosts) {
  const shown = hosts.slice(0, NAMED).join(", ");
  return hosts.length > NAMED ? `${shown} and ${countOf(hosts.length - NAMED, "other", "others")}` : shown;
}

function inParts(hosts) {
  return Array.from({ length: Math.ceil(hosts.length / MOST_AT_ONCE) }, (_, index) => hosts.slice(index * MOST_AT_ONCE, (index + 1) * MOST_AT_ONCE));
}

function Reason() {
  return html`<label>Reason<input class="field" name="reason" maxlength="500" autocomplete="off" placeholder="For those who look later" /></label>`;
}

/** Say that one sees to the open alerts of `hosts`. `done` is told what was done, in a sentence. */
export function acknowledge({ hosts, close, done }) {
  const act = async () => {
    const wanted = new Set(hosts);
    const count = await ackAll((await openAlerts()).filter((alert) => wanted.has(alert.source_host) && isWaiting(alert)));
    done(count === 0 ? "There was no open alert to acknowledge" : `${countOf(count, "alert", "alerts")} acknowledged`);
  };
  return html`<${ActDialog} title=${`Acknowledge ${countOf(hosts.length, "host", "hosts")}`} verb="Acknowledge" act=${act} close=${close}>
    <p>You see to the open alerts of ${named(hosts)}. They are escalated no more; their end is told.</p><//>`;
}

/** Tell nobody of `hosts` for a while. */
export function silence({ hosts, close, done }) {
  const act = async (form) => {
    for (const part of inParts(hosts)) await send("POST", "/silences", { hosts: part, for: form.get("for"), reason: form.get("reason") });
    done(`${countOf(hosts.length, "host", "hosts")} silenced`);
  };
  return html`<${ActDialog} title=${`Silence ${countOf(hosts.length, "host", "hosts")}`} verb="Silence" act=${act} close=${close}>
    <p>Nobody is told of ${named(hosts)}. They are watched as ever; what is still broken at the end is told then.</p>
    <label>For<select class="field" name="for">
      ${HOLD_SPANS.map(([value, words]) => html`<option key=${value} value=${value} selected=${value === "2h"}>${words}</option>`)}</select></label>
    <${Reason} /><//>`;
}

/** Announce maintenance of `hosts`. */
export function maintenance({ hosts, close, done }) {
  const act = async (form) => {
    const [from, until] = ["from", "until"].map((name) => new Date(form.get(name)).toISOString());
    for (const part of inParts(hosts)) await send("POST", "/maintenance", { hosts: part, from, until, reason: form.get("reason") });
    done(`Maintenance of ${countOf(hosts.length, "host", "hosts")} announced`);
  };
  const now = Date.now();
  return html`<${ActDialog} title=${`Maintenance of ${countOf(hosts.length, "host", "hosts")}`} verb="Announce" act=${act} close=${close}>
    <p>Of ${named(hosts)} nothing new is told meanwhile.</p>
    <label>From<input class="field" type="datetime-local" name="from" required value=${localText(now)} /></label>
    <label>Until<input class="field" type="datetime-local" name="until" required value=${localText(now + 2 * HOUR_MS)} /></label>
    <${Reason} /><//>`;
}

/** Forget `hosts`, and their events when that is asked. */
export function remove({ hosts, close, done }) {
  const act = async (form) => {
    const query = form.get("events") ? "?events=true" : "";
    for (const host of hosts) await send("DELETE", `/hosts/${encodeURIComponent(host)}${query}`);
    done(`${countOf(hosts.length, "host", "hosts")} deleted`);
  };
  return html`<${ActDialog} title=${`Delete ${countOf(hosts.length, "host", "hosts")}`} verb="Delete" danger act=${act} close=${close}>
    <p>Heartbeats, verdict, outages and score of ${named(hosts)} are deleted, open alerts end,
      and who is enrolled is cut off: it is heard again only when it is enrolled anew. This cannot be undone.</p>
    <label class="check"><input type="checkbox" name="events" /> Delete their events as well</label><//>`;
}
