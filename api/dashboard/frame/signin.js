// Signing in by an API key: the whole page for a stranger, a dialog over what was shown when a session has ended.

import { html, useEffect, useRef, useState } from "/vendor/preact.js";
import { Dialog } from "./dialog.js";
import { inWords } from "./rest.js";
import { sentence } from "./parts.js";
import { signIn } from "./session.js";

function KeyForm() {
  const [fault, setFault] = useState("");
  const field = useRef(null);
  useEffect(() => field.current.focus(), []);
  const submit = async (event) => {
    event.preventDefault();
    setFault("");
    try {
      await signIn(field.current.value.trim());
    } catch (error) {
      setFault(sentence(inWords(error)));
      field.current.select();
    }
  };
  return html`<form class="keyform" onSubmit=${submit}>
    <input type="text" name="username" value="Heimdall" autocomplete="username" hidden />
    <label><span>API key</span>
      <input ref=${field} class="field" type="password" autocomplete="current-password" required maxlength="300" aria-describedby="key-fault" /></label>
    <button type="submit" class="btn pri">Sign in</button>
    <p class="fault" id="key-fault" role="alert">${fault}</p>
  </form>`;
}

const WHERE = html`It is in the file <code>$HEIMDALL_HOME/api-key</code>. The command <code>heimdall login</code> prints a link that signs you in
  without it, and as an operator.`;

/** For somebody who is not signed in. */
export function SignIn() {
  return html`<main class="signin" id="main">
    <svg class="mark" aria-hidden="true"><use href="#brand" /></svg>
    <h1 class="lead-t">Which machines are alive?</h1>
    <p class="muted">Enter the API key. ${WHERE}</p>
    <${KeyForm} />
  </main>`;
}

/** Over the view of somebody whose session has ended. */
export function SignInAgain() {
  return html`<${Dialog} title="Your session has ended" closable=${false} close=${() => {}}>
    <p class="muted">What you were looking at stays behind this. Enter the API key to go on. ${WHERE}</p>
    <${KeyForm} />
  <//>`;
}
