// The search of a list: what is typed is in the address.

import { html, useEffect, useRef } from "/vendor/preact.js";
import { change } from "./address.js";
import { Icon } from "./icon.js";
import { useKeys } from "./keys.js";

const TYPED_MS = 250; // after the last letter

/** A field for `q` of the address; `label` says in what is searched. */
export function SearchField({ label, placeholder = label, query }) {
  const field = useRef(null);
  const timer = useRef(0);
  const asked = query.get("q") ?? "";
  useEffect(() => {
    // what was typed stands; what came with the address is shown
    if (document.activeElement !== field.current) field.current.value = asked;
  }, [asked]);
  const type = () => {
    clearTimeout(timer.current);
    timer.current = setTimeout(() => change({ q: field.current.value.trim() }, { replace: true }), TYPED_MS);
  };
  const onKeyDown = (event) => {
    if (event.key !== "Escape") return;
    if (!field.current.value) field.current.blur();
    clearTimeout(timer.current);
    field.current.value = "";
    change({ q: null }, { replace: true });
  };
  useKeys([{ keys: "/", say: "Search", run: () => (field.current.focus(), field.current.select()) }]);
  return html`<div class="search"><label><${Icon} name="n-search" /><span class="vh">${label}</span>
    <input ref=${field} type="search" placeholder=${placeholder} spellcheck=${false} autocomplete="off" maxlength="253" onInput=${type} onKeyDown=${onKeyDown} /></label></div>`;
}
