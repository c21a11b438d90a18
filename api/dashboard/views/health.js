import { html } from "/vendor/preact.js";

export function View() {
  return html`<p class="muted">This view is being built.</p>`;
}
