// Events as rows, each of which opens in place.

import { html } from "/vendor/preact.js";
import { SeverityWord, fullTime, linkTo, parseTime, serverNow, severityOf, shortTime, withChanges, zoneName } from "/frame.js";

/** `LOGIN_FAIL` as people say it. */
export const typeWord = (type) => (type.charAt(0) + type.slice(1).toLowerCase().replaceAll("_", " ")).replace("Dns", "DNS");

const momentOf = (text) => fullTime(parseTime(text) ?? 0);

function Detail({ event, query }) {
  const alike = [["Type", "event_type", event.event_type, typeWord(event.event_type)], ["Host", "source_host", event.source_host], ["Address", "source_ip", event.source_ip], ["System", "os_type", event.os_type]];
  return html`<tr class="detail"><td colspan="5"><div>
    <dl class="facts">
      <dt>Happened</dt><dd>${momentOf(event.timestamp)}</dd>
      <dt>Stored</dt><dd>${momentOf(event.created_at)}</dd>
      ${alike.map(([word, name, value, shown]) => html`<dt key=${name}>${word}</dt><dd>${shown ?? value}
        ${value !== "N/A" && html` · <a href=${linkTo("events", { query: withChanges(query, { [name]: value }) })}>like this</a>`}</dd>`)}
      <dt>User</dt><dd>${event.user}</dd><dt>Id</dt><dd>${event.event_id}</dd>
    </dl><pre tabindex="0" aria-label="Message">${event.raw_message}</pre></div></td></tr>`;
}

function Row({ event, open, toggle, query }) {
  const key = event.event_id;
  return html`<tr class=${open ? "open" : ""} data-row=${key}>
      <td class="nowrap"><button type="button" class="linklike" aria-expanded=${String(open)} title=${momentOf(event.timestamp)} onClick=${() => toggle(key)}>${shortTime(parseTime(event.timestamp), serverNow())}</button></td>
      <td><${SeverityWord} severity=${severityOf(event.severity)} /></td>
      <td>${typeWord(event.event_type)}</td>
      <td><a href=${linkTo("hosts", { rest: [event.source_host] })}>${event.source_host}</a></td>
      <td class="words">${event.raw_message}</td></tr>
    ${open && html`<${Detail} event=${event} query=${query} />`}`;
}

/** `events` in a table; that whose id is `opened` shows all that is known of it. */
export function EventTable({ events, opened, toggle, query }) {
  return html`<table class="tbl events"><thead><tr>${[`Time, ${zoneName()}`, "Severity", "Type", "Host", "Message"].map((word) => html`<th scope="col" key=${word}>${word}</th>`)}</tr></thead>
    <tbody>${events.map((event) => html`<${Row} key=${event.event_id} event=${event} open=${opened === event.event_id} toggle=${toggle} query=${query} />`)}</tbody></table>`;
}
