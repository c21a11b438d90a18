// Keys: a view says which it takes and what they do; `?` shows them all. They can be switched off (WCAG 2.1.4).

import { html, useEffect } from "/vendor/preact.js";
import { makeCell, useCell } from "./cell.js";
import { Dialog } from "./dialog.js";

const SEQUENCE_MS = 1200;
const STORED = "heimdall-keys";

const bindings = makeCell([]);
const overlay = makeCell(false);
const enabled = makeCell(localStorage.getItem(STORED) !== "off");
let begun = null;
let begunAt = 0;

/**
 * Take keys while a component is there.
 * @param {{keys: string, say: string, run: (event: KeyboardEvent) => void}[]} list `keys` as `KeyboardEvent.key` has it, two of them as `g h`
 * @param {unknown[]} needs what `run` depends on
 */
export function useKeys(list, needs = []) {
  useEffect(() => {
    bindings.set([...list, ...bindings.get()]);
    return () => bindings.set(bindings.get().filter((one) => !list.includes(one)));
  }, needs);
}

/** Whether keys go to a field, where letters are text. */
export function isTyping(target) {
  return target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|SELECT|TEXTAREA)$/.test(target.tagName)) && target.type !== "checkbox";
}

document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  if (document.querySelector("dialog[open]")) return;
  if (isTyping(event.target) && event.key !== "Escape") return;
  const named = event.key.length > 1; // Escape and the like are no letters somebody might speak
  if (!enabled.get() && !named) return;
  const sequence = begun && Date.now() - begunAt < SEQUENCE_MS ? `${begun} ${event.key}` : null;
  const found = bindings.get().find((one) => one.keys === sequence) ?? bindings.get().find((one) => one.keys === event.key);
  begun = bindings.get().some((one) => one.keys.startsWith(`${event.key} `)) ? event.key : null;
  begunAt = Date.now();
  if (!found) return;
  if (found.run(event) !== false) event.preventDefault();
});

/** Show all keys. */
export const showKeys = () => overlay.set(true);

/** The overlay of all keys that work here. */
export function KeysOverlay() {
  const open = useCell(overlay);
  const on = useCell(enabled);
  const list = useCell(bindings);
  if (!open) return null;
  const words = new Map(); // the same said of several keys is one line
  for (const one of list) if (one.say) words.set(one.say, [...new Set([...(words.get(one.say) ?? []), one.keys])]);
  const toggle = () => {
    enabled.set(!on);
    localStorage.setItem(STORED, on ? "off" : "on");
  };
  return html`<${Dialog} title="Keys" close=${() => overlay.set(false)}>
    <dl class="keylist">
      ${[...words].map(([say, keys]) => html`<div key=${say}><dt><${KeyNames} keys=${keys} /></dt><dd>${say}</dd></div>`)}
    </dl>
    <label class="check"><input type="checkbox" checked=${on} onChange=${toggle} /> Single keys work</label>
  <//>`;
}

function KeyNames({ keys }) {
  return keys.map((one, index) => html`${index > 0 ? " or " : ""}${one.split(" ").map((key) => html`<kbd>${KEY_WORDS[key] ?? key}</kbd>`)}`);
}

const KEY_WORDS = { ArrowDown: "↓", ArrowUp: "↑", Escape: "Esc", " ": "Space" };
