// The dead letters: what was refused, and why, the newest first. All of it may be hostile, and is shown as text on demand.

import { html, useMemo, useState } from "/vendor/preact.js";
import { Age, ErrorNote, Icon, Loading, PageList, Section, countOf, linkTo, number, sentence, useList } from "/frame.js";

function Letter({ letter, open, toggle }) {
  const id = `dead-${letter.id}`;
  const from = letter.source_host ? html`<a href=${linkTo("hosts", { rest: [letter.source_host] })}>${letter.source_host}</a>` : letter.topic;
  return html`<li class="s-late"><${Icon} name="n-warn" />
    <div class="letter"><p><strong>${from}</strong> ${sentence(letter.reason)}</p>
      <p><button type="button" class="linklike" aria-expanded=${String(open)} aria-controls=${id} onClick=${toggle}>${open ? "Hide what it was" : "What it was"}</button>${" "}
        <span class="faint">${countOf(letter.size, "byte", "bytes")} on ${letter.topic}</span></p>
      ${open && html`<div id=${id}><pre class="payload" tabindex="0" role="region" aria-label="What was refused">${letter.payload || "(nothing)"}</pre>${letter.cut && html`<p class="faint">These are the first 4 KiB of it.</p>`}</div>`}</div>
    <span class="when"><${Age} at=${letter.received_at} ago /></span></li>`;
}

/** The section of dead letters, for who may read them. */
export function Dead() {
  const list = useMemo(() => new PageList("/dead", { rows: "dead", key: "id" }), []);
  const [state] = useList(list, { calmMs: 5000, stays: () => document.querySelector(".dead:focus-within") !== null });
  const [open, setOpen] = useState(null);
  const { rows } = state;
  const aside = rows.length > 0 ? `${number(rows.length)}${state.done ? "" : " newest"}` : "";
  return html`<${Section} title="Refused" aside=${aside} class="dead">
    ${state.error && html`<${ErrorNote} what="What was refused cannot be read." error=${state.error} again=${() => list.start()} kept=${rows.length > 0} />`}
    ${state.loading && !state.error ? html`<${Loading} what="Reading what was refused" lead=${false} rows=${4} />` : rows.length === 0 && !state.error && html`<p class="calm"><${Icon} name="n-ok" />Nothing is refused: all that hosts sent was understood.</p>`}
    <ul class="list">${rows.map((letter) => html`<${Letter} key=${letter.id} letter=${letter} open=${open === letter.id} toggle=${() => setOpen(open === letter.id ? null : letter.id)} />`)}</ul>
    ${!state.done && rows.length > 0 && html`<p class="more-line"><button type="button" class="btn" onClick=${() => list.more()}>Show older</button></p>`}<//>`;
}
