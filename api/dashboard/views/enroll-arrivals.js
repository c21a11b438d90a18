// Who has come in since the view was opened, and as what they are held.

import { html, useEffect, useRef } from "/vendor/preact.js";
import { Age, ErrorNote, Icon, linkTo, parseTime, shownState, spanText, useAnswer, useNow, whatIsKnown } from "/frame.js";

const CALM_MS = 3000;
const WAIT_MS = 3000; // between two looks while somebody waits
const SLACK_MS = 5000; // that the server's clock, told in whole seconds, may differ unnoticed

/**
 * The hosts that have come in since `opened` (our clock), the newest first: who has enrolled, as the audit trail has it (for those who `may` read
 * it), and who is enrolled and was not heard yet. `wait`: it is asked every few seconds, whatever is told meanwhile.
 */
export function useArrivals(may, opened, wait) {
  const trail = useAnswer(may ? "/audit?limit=100" : null, ["verdict"], CALM_MS);
  const unheard = useAnswer("/hosts?state=new&sort=-since&limit=50", ["verdict"], CALM_MS);
  const changed = useAnswer("/hosts?sort=-since&limit=200", ["verdict"], CALM_MS);
  const kept = useRef(new Map()); // host -> {at, enrolled}: who is heard is no longer new, and has come in all the same
  const reload = useRef(() => {});
  reload.current = () => [trail, unheard, changed].forEach((one) => one.reload());
  useEffect(() => {
    if (!wait) return undefined;
    const timer = setInterval(() => reload.current(), WAIT_MS);
    return () => clearInterval(timer);
  }, [wait]);

  const from = opened - SLACK_MS;
  const add = (hostname, text, enrolled) => {
    const at = parseTime(text);
    const before = kept.current.get(hostname);
    if (at !== null && at >= from && (!before || before.at < at || (enrolled && !before.enrolled))) kept.current.set(hostname, { at, text, enrolled });
  };
  for (const host of unheard.content?.hosts ?? []) add(host.hostname, host.since, false);
  for (const one of trail.content?.entries ?? []) if (one.action === "host.enrolled") add(one.target, one.at, true);
  const states = new Map([...(changed.content?.hosts ?? []), ...(unheard.content?.hosts ?? [])].map((host) => [host.hostname, host]));
  const rows = [...kept.current].map(([hostname, one]) => ({ hostname, ...one, host: states.get(hostname) ?? null })).sort((a, b) => b.at - a.at);
  return { rows, error: unheard.error ?? trail.error ?? null, reload: () => reload.current() };
}

function Arrival({ one, now }) {
  const state = one.host ? shownState(one.host) : null;
  return html`<li class=${state ? state.tone : "s-new"}><${Icon} name=${state ? `i-${state.key}` : "n-ok"} />
    <p><strong><a href=${linkTo("hosts", { rest: [one.hostname] })}>${one.hostname}</a></strong> ${state && html`<span class=${`st ${state.tone}`}>${state.word}</span>`}
      <span class="muted">${one.host ? whatIsKnown(one.host, now) : "Enrolled; what it is held to be is not told yet"}</span></p>
    <span class="when"><${Age} at=${one.text} ago /></span></li>`;
}

/** The list, with what is waited for; `ours` are those of it that the line on show let in. */
export function Arrivals({ arrivals, waiting, ours, may }) {
  const now = useNow();
  const awaits = waiting && ours.length < (waiting.uses ?? 1);
  const { rows } = arrivals;
  return html`${arrivals.error && html`<${ErrorNote} what="Who has come in cannot be asked." error=${arrivals.error} again=${arrivals.reload} kept />`}
    <div class="ghost"><ul class="list arrive">
      ${awaits && html`<li key="wait" class="s-new"><${Icon} name="n-wait" class="pulse" /><p><strong>Waiting for ${waiting.uses ? `hosts that fit ${waiting.host}` : waiting.host}</strong></p><span class="when">for ${spanText((Date.now() - waiting.begun) / 1000)}</span></li>`}
      ${rows.map((one) => html`<${Arrival} key=${one.hostname} one=${one} now=${now} />`)}
      ${!awaits && rows.length === 0 && html`<li key="none" class="s-low"><${Icon} name="n-dash" /><p class="muted">${may ? "Nobody has come in since this view was opened." : "No host was enrolled since this view was opened."}</p></li>`}
    </ul></div>
    ${awaits && Date.now() - waiting.begun > 60_000 && html`<p class="small muted">Nothing after a minute? The host must reach the address in the line; what its agent says is in the window where the line was typed, and in <code>journalctl -u heimdall-agent</code> later.</p>`}`;
}
