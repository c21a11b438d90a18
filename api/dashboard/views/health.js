// Heimdall's own health: its services, how far behind the ingest is, and what was refused.

import { html, useState } from "/vendor/preact.js";
import { Age, ErrorNote, Icon, Lead, Loading, Section, countOf, spanText, useAnswer, useMay, useTitle } from "/frame.js";

function Services({ services }) {
  return html`<${Section} title="Services"><ul class="list">${services.map((one) => {
    const broken = Object.entries(one.parts).filter(([, said]) => said !== "ok");
    return html`<li key=${`${one.name} ${one.instance}`} class=${one.state === "ok" ? "s-online" : "s-offline"}><${Icon} name=${one.state === "ok" ? "i-online" : "i-silent"} label=${one.state === "ok" ? "Works" : "Broken"} />
      <p><strong>${one.name}</strong> <span class="muted">${one.instance}${one.state === "ok" ? "" : `: ${one.state}`}${broken.map(([part, said]) => `; ${part}: ${said}`)}</span></p>
      <span class="when"><${Age} at=${one.at} ago /></span></li>`;
  })}</ul><//>`;
}

function Dead() {
  const { content, error, reload } = useAnswer("/dead?limit=50", [], 15_000);
  const [open, setOpen] = useState(null);
  if (error && content === null) return html`<${Section} title="Dead letters"><${ErrorNote} what="They cannot be had." error=${error} again=${reload} /><//>`;
  if (content === null) return null;
  return html`<${Section} title="Dead letters" aside="what was refused, the newest 50">
    ${content.dead.length === 0 && html`<p class="calm"><${Icon} name="n-ok" />Nothing was ever refused.</p>`}
    <ul class="list">${content.dead.map((one) => html`<li key=${one.id} class="s-late"><${Icon} name="n-warn" />
      <p><strong>${one.source_host ?? one.topic}</strong> <span class="muted">${one.reason}; ${countOf(one.size, "byte", "bytes")}</span>
        ${" "}<button type="button" class="linklike" aria-expanded=${String(open === one.id)} onClick=${() => setOpen(open === one.id ? null : one.id)}>what it was</button>
        ${open === one.id && html`<code class="payload" tabindex="0">${one.payload}</code>`}</p>
      <span class="when"><${Age} at=${one.received_at} ago /></span></li>`)}</ul><//>`;
}

/** The view at `#/health`. */
export function View({ summary }) {
  const may = useMay("operate");
  const { content, error, reload } = useAnswer("/services", [], 2000);
  const ingest = summary.content?.ingest ?? null;
  const broken = (content?.services ?? []).filter((one) => one.state !== "ok");
  const behind = ingest?.behind_seconds ?? null;
  const lead = content === null ? "Health" : broken.length > 0 ? `${broken.map((one) => one.name).join(" and ")} ${broken.length === 1 ? "does" : "do"} not work` : ingest !== null && !ingest.ready ? "Events do not go all the way" : "Heimdall works";
  useTitle(lead);
  if (content === null) return error ? html`<${ErrorNote} what="The services cannot be had." error=${error} again=${reload} />` : html`<${Loading} what="Asking the services" />`;
  return html`<${Lead} title=${lead}>${behind === null ? "How far the ingest is behind is not known." : behind < 1 ? "The ingest is less than a second behind." : `The ingest is ${spanText(behind)} behind.`}<//>
    <${Services} services=${content.services} />
    ${ingest && html`<${Section} title="On the way of an event"><ul class="list">${Object.entries(ingest.parts).map(([part, said]) => html`<li key=${part} class=${said === "ok" ? "s-online" : "s-offline"}>
      <${Icon} name=${said === "ok" ? "i-online" : "i-silent"} label=${said === "ok" ? "Works" : "Broken"} /><p><strong>${part}</strong>${said === "ok" ? "" : ` ${said}`}</p><span></span></li>`)}</ul><//>`}
    ${may && html`<${Dead} />`}`;
}
