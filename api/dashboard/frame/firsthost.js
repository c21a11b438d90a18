// What is shown while no host has been heard of: the one next step.

import { html } from "/vendor/preact.js";
import { linkTo } from "./address.js";
import { CopyLine, Empty } from "./parts.js";

/** How the first host comes in. It is replaced by itself when one does. */
export function FirstHost() {
  const line = `curl -X POST ${location.origin}/heartbeat -H "api-key: $KEY" -H "source-host: $(hostname)" -H "os-type: LINUX"`;
  return html`<${Empty} title="No hosts yet">
    <p class="muted">A host is seen here seconds after its first heartbeat; nothing has to be reloaded.</p>
    <p><a class="btn pri" href=${linkTo("enroll")}>Add the first host</a></p>
    <p class="muted">Or only try it, from any machine that reaches this address, with the key from <code>$HEIMDALL_HOME/api-key</code>:</p>
    <${CopyLine} text=${line} /><//>`;
}
