// The start: which views there are, and which is shown. A view's module is fetched when it is first gone to.

import { html, render, useEffect, useState } from "/vendor/preact.js";
import { address } from "./address.js";
import { useAnswer } from "./answer.js";
import { useCell } from "./cell.js";
import { live, refreshAll, startLive, stopLive } from "./live.js";
import { ErrorNote, Loading } from "./parts.js";
import { findSession, session } from "./session.js";
import { Shell } from "./shell.js";
import { SignIn, SignInAgain } from "./signin.js";

/** The views, in the order of the side bar. `key` follows `g`. Each module exports `View({ query, rest, summary })`. */
const VIEWS = [
  { name: "overview", word: "Overview", icon: "n-overview", key: "o", load: () => import("/views/overview.js") },
  { name: "hosts", word: "Hosts", icon: "n-hosts", key: "h", load: () => import("/views/hosts.js"), one: () => import("/views/host.js") },
  { name: "events", word: "Events", icon: "n-events", key: "e", load: () => import("/views/events.js") },
  { name: "alerts", word: "Alerts", icon: "n-alerts", key: "a", load: () => import("/views/alerts.js") },
  { name: "silences", word: "Silences", icon: "n-silences", key: "i", load: () => import("/views/silences.js") },
  { name: "enroll", word: "Add a host", icon: "n-enroll", key: "n", load: () => import("/views/enroll.js") },
  { name: "audit", word: "Audit", icon: "n-audit", key: "u", load: () => import("/views/audit.js") },
  { name: "health", word: "Health", icon: "n-health", key: "s", load: () => import("/views/health.js") },
];

/** The module of a view: `View` is null until it is there, `error` says why it is not. */
function useModule(load) {
  const [held, setHeld] = useState({ load: null, View: null, error: null });
  const [tries, setTries] = useState(0);
  useEffect(() => {
    let wanted = true;
    load().then(
      ({ View }) => wanted && setHeld({ load, View, error: null }),
      (error) => wanted && setHeld({ load, View: null, error }),
    );
    return () => void (wanted = false);
  }, [load, tries]);
  return { ...(held.load === load ? held : { View: null, error: null }), again: () => setTries(tries + 1) };
}

function App() {
  const { view: name, rest, query } = useCell(address);
  const { mode } = useCell(live);
  const current = VIEWS.find((one) => one.name === name) ?? VIEWS[0];
  const { View, error, again } = useModule(rest.length > 0 && current.one ? current.one : current.load);
  const summary = useAnswer("/summary", ["verdict", "alert", "events"], 5000);

  useEffect(() => {
    // a module that could not be fetched is fetched when the server is there again
    if (error && (mode === "stream" || mode === "polling")) again();
  }, [mode]);
  useEffect(() => scrollTo(0, 0), [name, rest.join("/")]);

  const shown = View
    ? html`<${View} key=${[name, ...rest].join("/")} query=${query} rest=${rest} summary=${summary} />`
    : error
      ? html`<${ErrorNote} what="The view cannot be loaded." error=${error} again=${again} />`
      : html`<${Loading} what=${`Loading ${current.word.toLowerCase()}`} />`;
  return html`<${Shell} views=${VIEWS} current=${current} rest=${current.one ? rest : []} summary=${summary}>${shown}<//>`;
}

function Page() {
  const { state, fault } = useCell(session);
  useEffect(() => {
    if (state !== "in") {
      stopLive();
      return;
    }
    startLive();
    refreshAll();
  }, [state]);
  if (state === "out") return html`<${SignIn} />`;
  if (state === "unknown") {
    const shown = fault ? html`<${ErrorNote} what="Heimdall cannot be reached." error=${fault} />` : html`<${Loading} what="Connecting" rows=${0} />`;
    return html`<main class="content" id="main">${shown}</main>`;
  }
  return html`<${App} />${state === "expired" && html`<${SignInAgain} />`}`;
}

render(html`<${Page} />`, document.getElementById("page"));
findSession();
