// How another host comes in: the lines to copy, and who has come in since.

import { html, useState } from "/vendor/preact.js";
import { Choice, CopyLine, Icon, Lead, Section, Age, linkTo, shownState, useAnswer, useTitle } from "/frame.js";

const KINDS = [["linux", "Linux"], ["windows", "Windows"], ["macos", "macOS"], ["pihole", "Pi-hole"], ["firewall", "Firewall"]];

/** The view at `#/enroll`. */
export function View() {
  const [kind, setKind] = useState("linux");
  const { content } = useAnswer("/hosts?sort=-since&limit=10", ["verdict"], 3000);
  useTitle("Add a host");
  return html`<${Lead} title="Add a host">On the server a command makes a token that is good once; what it prints is the one line to type on the new host.<//>
    <div class="cols"><div class="stack">
      <${Section} title="1. What is it?"><${Choice} label="Kind of host" options=${KINDS} value=${kind} choose=${setKind} /><//>
      <${Section} title="2. On the server"><p class="small muted">With the name of the new host instead of web-01:</p>
        <${CopyLine} text=${`heimdall enroll web-01${kind === "linux" ? "" : ` --kind ${kind}`}`} />
        <p class="small muted">From other machines it is reached once it has TLS and listens beyond this one: <code>heimdall tls init</code>, then <code>heimdall up --bind 0.0.0.0</code>.</p><//>
      <${Section} title="3. On the new host"><p>Type what the command has printed. It fetches the agent, enrols, and runs it as a service that starts at each boot.</p><//>
      <${Section} title="Without an agent"><p class="small muted">Whatever speaks HTTP can say that it is alive:</p>
        <${CopyLine} text=${`curl -X POST ${location.origin}/heartbeat -H "api-key: $KEY" -H "source-host: web-01" -H "os-type: LINUX"`} /><//>
    </div><div class="stack"><${Section} title="Who changed last">
      <ul class="list">${(content?.hosts ?? []).map((host) => {
        const state = shownState(host);
        return html`<li key=${host.hostname} class=${state.tone}><${Icon} name=${`i-${state.key}`} /><p><strong><a href=${linkTo("hosts", { rest: [host.hostname] })}>${host.hostname}</a></strong> <span class="muted">${state.word}</span></p>
          <span class="when"><${Age} at=${host.since} /></span></li>`;
      })}</ul><//></div></div>`;
}
