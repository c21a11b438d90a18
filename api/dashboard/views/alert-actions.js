// What an operator does to alerts: acknowledges one or a whole incident, silences their hosts. Fetched when it is first
// needed: most visits change nothing.

import { html } from "/vendor/preact.js";
import { ActDialog, ackAll, announce, countOf, inWords, isWaiting, openAlerts, send, titleOf, toast } from "/frame.js";
import { HoldForm, hostsFor } from "/views/hold-form.js";

/** Asks before all of an incident is acknowledged. `partial`: there are more of it on the server, which are meant too. */
function AckDialog({ alerts, partial, close, done }) {
  const waiting = alerts.filter(isWaiting);
  const act = async () => done(await ackAll(partial ? (await openAlerts({ incident: alerts[0].incident })).filter(isWaiting) : waiting));
  return html`<${ActDialog} title=${`Acknowledge ${titleOf(alerts)}`} verb="Acknowledge" act=${act} close=${close}>
    <p>You see to ${partial ? "all alerts of this incident" : countOf(waiting.length, "alert", "alerts")}. They are escalated no more, and who was told is told of their end.
      This cannot be taken back.</p><//>`;
}

/**
 * See to `alerts`: at once when it is one alone, else after a question.
 * @param {{alerts: object[], partial: boolean, patch: (alert: object) => void, reload: () => void, show: (dialog: unknown) => void, close: () => void}} how
 */
export async function acknowledge({ alerts, partial, patch, reload, show, close }) {
  const waiting = alerts.filter(isWaiting);
  if (waiting.length === 0) return;
  if (alerts.length > 1) {
    const done = (count) => {
      toast(`${countOf(count, "alert", "alerts")} acknowledged`);
      reload();
    };
    show(html`<${AckDialog} alerts=${alerts} partial=${partial} close=${close} done=${done} />`);
    return;
  }
  try {
    patch((await send("POST", `/alerts/${encodeURIComponent(waiting[0].id)}/ack`)).alert);
    announce(`${titleOf(alerts)} acknowledged`);
  } catch (error) {
    toast(`Not acknowledged: ${inWords(error)}`, { failed: true });
  }
  reload();
}

/** Tell nobody of the hosts of `alerts` for a while. */
export function silence({ alerts, reload, show, close }) {
  const kinds = [...new Set(alerts.map((alert) => alert.kind))];
  const nobodys = alerts.some((alert) => alert.source_host === null); // only * fits those, so their kinds must be said
  show(html`<${HoldForm} hosts=${hostsFor(alerts)} kinds=${nobodys ? kinds : []} offered=${kinds} close=${close} done=${reload} />`);
}
