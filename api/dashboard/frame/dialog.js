// What lies over a view: dialogs, a menu, and short messages, which a screen reader is told as well.

import { html, useEffect, useRef, useState } from "/vendor/preact.js";
import { makeCell, useCell } from "./cell.js";
import { Icon } from "./icon.js";
import { inWords } from "./rest.js";
import { sentence } from "./parts.js";

const TOAST_MS = 6000;
const toasts = makeCell([]);
const said = makeCell("");
let toastId = 0;

/** A modal dialog; `close` is called when it is left by Escape or its button. The focus comes back to where it was. */
export function Dialog({ title, close, children, closable = true }) {
  const node = useRef(null);
  useEffect(() => {
    const before = document.activeElement;
    node.current.showModal();
    return () => before instanceof HTMLElement && before.isConnected && before.focus();
  }, []);
  const cancel = (event) => {
    event.preventDefault();
    if (closable) close();
  };
  return html`<dialog ref=${node} class="dialog" aria-labelledby="dialog-title" onCancel=${cancel}>
    <div class="dialog-h"><h2 id="dialog-title">${title}</h2>
      ${closable && html`<button type="button" class="btn quiet icon" onClick=${close} aria-label="Close"><${Icon} name="n-no" /></button>`}</div>
    ${children}
  </dialog>`;
}

/**
 * A dialog that does something: says what will happen, waits while it does, and says what went wrong.
 * @param {{title: string, verb: string, danger?: boolean, act: (form: FormData) => Promise<void>, close: () => void}} props
 */
export function ActDialog({ title, verb, danger = false, act, close, children }) {
  const [fault, setFault] = useState("");
  const [acting, setActing] = useState(false);
  const submit = async (event) => {
    event.preventDefault();
    setActing(true);
    setFault("");
    try {
      await act(new FormData(event.target));
      close();
    } catch (error) {
      setFault(sentence(inWords(error)));
      setActing(false);
    }
  };
  return html`<${Dialog} title=${title} close=${close}>
    <form onSubmit=${submit}>
      ${children}
      <p class="fault" role="alert">${fault}</p>
      <div class="btns end"><button type="button" class="btn" onClick=${close}>Cancel</button>
        <button type="submit" class=${`btn ${danger ? "danger" : "pri"}`} disabled=${acting}>${acting ? "Working …" : verb}</button></div>
    </form>
  <//>`;
}

/**
 * Do something with a module that is fetched when it is first needed: most visits change nothing. What fails is said.
 * @param {() => Promise<object>} load
 * @param {(module: object) => unknown} use
 */
export async function later(load, use) {
  try {
    await use(await load());
  } catch (error) {
    toast(`This cannot be done now: ${inWords(error)}`, { failed: true });
  }
}

/** A button that opens a list of links and buttons (its children, as `li`). */
export function Menu({ label, icon = "n-down", children, class: more = "btn", words = true }) {
  const [open, setOpen] = useState(false);
  const node = useRef(null);
  useEffect(() => {
    if (!open) return undefined;
    const leave = (event) => !node.current?.contains(event.target) && setOpen(false);
    document.addEventListener("pointerdown", leave);
    return () => document.removeEventListener("pointerdown", leave);
  }, [open]);
  const onKeyDown = (event) => {
    if (event.key !== "Escape" || !open) return;
    event.preventDefault();
    event.stopPropagation();
    setOpen(false);
    node.current.querySelector("button").focus();
  };
  return html`<div class="menu" ref=${node} onKeyDown=${onKeyDown}>
    <button type="button" class=${more} aria-expanded=${String(open)} aria-label=${words ? undefined : label} onClick=${() => setOpen(!open)}>
      ${words && html`<span>${label}</span>`}<${Icon} name=${icon} /></button>
    ${open && html`<ul class="menu-list" onClick=${() => setOpen(false)}>${children}</ul>`}
  </div>`;
}

/** Say something to a screen reader, and to nobody else. */
export function announce(text) {
  said.set("");
  // an empty region first: the same words twice are two messages
  setTimeout(() => said.set(text), 50);
}

/** A short message. What failed stays until it is closed. */
export function toast(text, { failed = false } = {}) {
  const id = ++toastId;
  toasts.set([...toasts.get(), { id, text, failed }]);
  if (!failed) setTimeout(() => dropToast(id), TOAST_MS);
}

function dropToast(id) {
  toasts.set(toasts.get().filter((one) => one.id !== id));
}

/** Where short messages appear; once a page. */
export function Toasts() {
  const list = useCell(toasts);
  const text = useCell(said);
  return html`<div class="vh" role="status" aria-live="polite">${text}</div>
    <div class="toasts" role="status" aria-live="polite">
      ${list.map((one) => html`<p key=${one.id} class=${`toast ${one.failed ? "s-offline" : ""}`}>
        <${Icon} name=${one.failed ? "n-warn" : "n-ok"} /><span>${one.text}</span>
        <button type="button" class="btn quiet icon sm" aria-label="Close" onClick=${() => dropToast(one.id)}><${Icon} name="n-no" /></button></p>`)}
    </div>`;
}
