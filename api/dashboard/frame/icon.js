// Icons: symbols of the sprite in index.html. One without a label says nothing that is not beside it in words.

import { html } from "/vendor/preact.js";

const SYSTEM_ICONS = { LINUX: "o-linux", WINDOWS: "o-windows", MACOS: "o-macos", PIHOLE: "o-pihole", FIREWALL: "o-firewall" };

/** The symbol `name`; `label` when no word beside it says the same. */
export function Icon({ name, label, class: more = "" }) {
  const told = label ? { role: "img", "aria-label": label } : { "aria-hidden": "true" };
  return html`<svg class=${`ico ${more}`} ...${told}><use href=${`#${name}`} /></svg>`;
}

/** A state: its icon and its word. */
export function StateWord({ state }) {
  return html`<span class=${`st ${state.tone}`}><${Icon} name=${`i-${state.key}`} />${state.word}</span>`;
}

/** The icon of a system. */
export function SystemIcon({ type, label }) {
  return html`<${Icon} name=${SYSTEM_ICONS[type] ?? "o-other"} label=${label} />`;
}

/** A severity: its icon and its word. */
export function SeverityWord({ severity }) {
  return html`<span class=${`st ${severity.tone}`}><${Icon} name=${severity.icon} />${severity.word}</span>`;
}
