// Parts that every view is made of: lead sentence, ledger of states, notes, and what is drawn while there is nothing to draw.

import { html, useEffect, useState } from "/vendor/preact.js";
import { number } from "./clock.js";
import { Icon, StateWord } from "./icon.js";
import { useCell } from "./cell.js";
import { contact, inWords } from "./rest.js";
import { STATES } from "./states.js";

const SLOW_MS = 300;

/** The one sentence that the eye meets first, and what follows from it. It is read out when it changes. */
export function Lead({ title, children }) {
  return html`<header class="lead">
    <p class="lead-t" role="status">${title}</p>
    ${children && html`<p class="lead-s">${children}</p>`}
  </header>`;
}

/** A section under a heading; `aside` stands at its right end. */
export function Section({ title, aside, children, class: more = "" }) {
  return html`<section class=${`sec ${more}`}>
    <div class="sec-h"><h2>${title}</h2>${aside && html`<span class="small faint">${aside}</span>`}</div>
    ${children}
  </section>`;
}

/**
 * Every state that has hosts, worst first, each a filter.
 * @param {{states: Record<string, number>, total: number, current: string[], linkOf: (keys: string[]) => string, all?: boolean}} props
 */
export function Ledger({ states, total, current = [], linkOf, all = false }) {
  const shown = STATES.filter((one) => states[one.key] > 0 || current.includes(one.key));
  return html`<nav aria-label="Hosts by state"><ul class=${`ledger ${shown.length > 9 ? "many" : ""}`}>
    ${all && html`<li><a href=${linkOf([])} aria-current=${current.length === 0 ? "true" : undefined}>
      <span class="v">${number(total)}</span><span class="st">All</span></a></li>`}
    ${shown.map(
      (one) => html`<li key=${one.key}><a class=${one.tone} href=${linkOf([one.key])} aria-current=${current.includes(one.key) ? "true" : undefined}>
        <span class="v">${number(states[one.key] ?? 0)}</span><${StateWord} state=${one} /></a></li>`,
    )}
  </ul></nav>`;
}

/** Something that stays until it is solved: stale, paused, failed. `tone` is a class of colours. */
export function Note({ tone = "s-late", icon = "n-warn", title, children, action }) {
  return html`<div class=${`note ${tone}`} role="status">
    <${Icon} name=${icon} /><p>${title && html`<b>${title}</b> `}${children}</p>${action}
  </div>`;
}

/**
 * What failed, what it said, and that it is tried again. `kept`: older content is still shown, so while nothing at all is heard
 * the frame's own note says enough.
 */
export function ErrorNote({ what, error, again, kept = false }) {
  const { failed } = useCell(contact);
  if (kept && failed !== null) return null;
  const action = again && html`<button type="button" class="btn sm" onClick=${again}>Try now</button>`;
  return html`<${Note} tone="s-offline" icon="i-silent" title=${what} action=${action}>
    ${sentence(inWords(error))} It is asked again by itself.<//>`;
}

/** `text` with a capital at its beginning and a stop at its end. */
export function sentence(text) {
  const begun = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?…]$/.test(begun) ? begun : `${begun}.`;
}

/** Bars in the shape of what is loaded, after 300 ms; before that nothing, so that what is quick does not flicker. */
export function Loading({ what, rows = 8, lead = true }) {
  const [slow, setSlow] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => setSlow(true), SLOW_MS);
    return () => clearTimeout(timer);
  }, []);
  if (!slow) return html`<div class="loading" aria-busy="true"></div>`;
  return html`<div class="loading" aria-busy="true">
    ${lead && html`<p class="lead-t faint" role="status">${what}</p>`}
    ${Array.from({ length: rows }, (_, index) => html`<i class="skel" key=${index}></i>`)}
  </div>`;
}

/** Nothing fits a filter: says which, and clears it. */
export function NoMatch({ what, clear }) {
  return html`<div class="nomatch" role="status"><p>${what}</p>
    <button type="button" class="btn" onClick=${clear}>Clear the filter</button></div>`;
}

/** Something that is not there yet: what, and the one next step. */
export function Empty({ title, children }) {
  return html`<div class="empty"><p class="lead-t" role="status">${title}</p>${children}</div>`;
}

/** A line to be copied. */
export function CopyLine({ text, label = "Copy" }) {
  const [done, setDone] = useState("");
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      setDone("Copied");
    } catch {
      setDone("Select it and copy by hand"); // over plain HTTP a browser gives no clipboard
    }
    setTimeout(() => setDone(""), 3000);
  };
  return html`<div class="code"><code tabindex="0">${text}</code>
    <button type="button" class="btn sm" onClick=${copy} aria-live="polite">${done || label}</button></div>`;
}

/** One of a few: buttons side by side. `options` are pairs of value and word. */
export function Choice({ label, options, value, choose }) {
  return html`<div class="seg" role="group" aria-label=${label}>
    ${options.map(
      ([key, word]) =>
        html`<button type="button" key=${key} aria-pressed=${String(key === value)} onClick=${() => choose(key)}>${word}</button>`,
    )}
  </div>`;
}
