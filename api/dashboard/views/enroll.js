// How another host comes in: the one line to type there, and who has come in since. What lets in is shown once and kept nowhere.

import { html, useRef, useState } from "/vendor/preact.js";
import { Choice, CopyLine, Lead, Note, change, clockTime, fitsPattern, inWords, number, parseTime, sentence, send } from "/frame.js";
import { linkTo, shortTime, spanText, useMay, useNow, useTitle } from "/frame.js";
import { Arrivals, useArrivals } from "/views/enroll-arrivals.js";

const KINDS = [
  ["linux", "Linux", "in a shell, as somebody who may use sudo"], ["windows", "Windows", "in an administrator's PowerShell"],
  ["macos", "macOS", "in the Terminal, as somebody who may use sudo"], ["pihole", "Pi-hole", "in a shell of the machine that runs Pi-hole"],
  ["firewall", "Firewall", "on the machine to which the firewall sends its syslog"],
];
const SPANS = [["15m", "15 minutes"], ["1h", "1 hour"], ["8h", "8 hours"], ["1d", "1 day"], ["7d", "7 days"]];
const FEW = [["", "One host"], ["many", "Several hosts"]];
const NEAR = /^(localhost|127\.[0-9.]+|\[::1\])$/;

const kindOf = (query) => KINDS.find(([key]) => key === query.get("kind")) ?? KINDS[0];

/** What the form says, as the API takes it. */
function bodyOf(form, kind, many) {
  const said = (name) => String(form.get(name) ?? "").trim();
  const body = { host: said("host"), kind, for: said("for"), replace: form.get("replace") === "on" };
  if (many) body.uses = Number(said("uses"));
  if (said("url")) body.url = said("url");
  return body;
}

function Form({ many, kind, made }) {
  const [fault, setFault] = useState("");
  const [acting, setActing] = useState(false);
  const more = useRef(null);
  const submit = async (event) => {
    event.preventDefault();
    const body = bodyOf(new FormData(event.target), kind, many);
    setActing(true);
    setFault("");
    try {
      const begun = Date.now();
      made({ ...(await send("POST", "/tokens", body)), ...body, begun });
    } catch (error) {
      if (error.status === 409) more.current.open = true;
      setFault(sentence(inWords(error)));
      setActing(false);
    }
  };
  return html`<form class="enroll" onSubmit=${submit}>
    <div class="row"><label>${many ? "Pattern of their names" : "Name of the host"}
        <input class="field" name="host" required maxlength="253" pattern=${many ? "[A-Za-z0-9._*?\\-]+" : "[A-Za-z0-9._\\-]+"} title=${`A-Z a-z 0-9 . _ -${many ? " and * or ?" : ""}`} placeholder=${many ? "web-*" : "web-01"} spellcheck=${false} autocomplete="off" autocapitalize="off" /></label>
      ${many && html`<label class="short">How many<input class="field" name="uses" type="number" required min="1" max="100000" value="10" /></label>`}
      <label class="short">Good for<select class="field" name="for">${SPANS.map(([key, word]) => html`<option key=${key} value=${key} selected=${key === "1h"}>${word}</option>`)}</select></label>
      <button type="submit" class="btn pri" disabled=${acting}>${acting ? "Working …" : "Make the line"}</button></div>
    <p class="fault" role="alert">${fault}</p>
    <details ref=${more}><summary>More</summary>
      <label class="check"><input type="checkbox" name="replace" /> Give a name that is taken to another machine (replace)</label>
      <label>Address of this server, as the host sees it
        <input class="field" name="url" type="url" maxlength="300" placeholder="as the server knows it" defaultValue=${NEAR.test(location.hostname) ? "" : location.origin} spellcheck=${false} autocomplete="off" /></label></details></form>`;
}

function Made({ made, where, arrived, again }) {
  const now = useNow();
  const ends = parseTime(made.expires_at) ?? now;
  const uses = made.uses ?? 1;
  const over = ends <= now;
  const used = arrived.length >= uses;
  const lone = /:\/\/(localhost|127\.|\[::1\])/.test(made.command);
  const another = html`<button type="button" class="btn sm" onClick=${again}>Make another</button>`;
  if (used) return html`<${Note} tone="s-online" icon="n-ok" title="The line has been used." action=${another}>It lets nobody else in.<//>`;
  if (over) return html`<${Note} title="The line has expired." action=${another}>It was good until ${clockTime(ends)}.<//>`;
  return html`${made.uses && html`<p class="small muted">First this, alone, into a file <code>TOKEN-FILE</code> on each of them, such as by your configuration management:</p><${CopyLine} text=${made.token} label="Copy the token" />`}
    <p class="small muted">${made.uses ? "Then, on each of them, " : "On "}${made.uses ? "" : html`<b>${made.host}</b>, `}${where}:</p>
    <${CopyLine} text=${made.command} label="Copy" />
    ${lone && html`<${Note} tone="s-late" title="This line works on this machine alone.">The server listens for no other. For others: <code>heimdall tls init</code> and <code>heimdall up --bind 0.0.0.0</code> on the server, then make another line.<//>`}
    <p class="small muted">Good for ${made.uses ? `${number(uses)} hosts whose names fit ${made.host}` : "this host, once"}, until ${shortTime(ends, now)}, for ${spanText((ends - now) / 1000)} more. It is shown here once and kept nowhere: who leaves this view makes another.</p>
    <p>${another}</p>`;
}

// who may not make a token is told who can
function Elsewhere({ kind }) {
  return html`<p>To let hosts in takes an administrator. On the server, with the name of the new host instead of web-01, this prints the line:</p>
    <${CopyLine} text=${`heimdall enroll web-01${kind === "linux" ? "" : ` --kind ${kind}`}`} />
    <p class="small muted">Or come in by the link that <code>heimdall login</code> prints there: then the line is made here.</p>`;
}

function leadOf(made, arrived, may) {
  if (arrived.length > 0) return arrived.length === 1 ? `${arrived[0].hostname} has come in` : `${number(arrived.length)} hosts have come in`;
  if (made) return `Waiting for ${made.host}`;
  return may ? "One line lets a host in" : "Add a host";
}

/** The view at `#/enroll`. */
export function View({ query }) {
  const may = useMay("admin");
  const [made, setMade] = useState(null);
  const [opened] = useState(() => Date.now());
  const [kind, , where] = kindOf(query);
  const many = query.get("hosts") === "many";
  const arrivals = useArrivals(may, opened, made !== null);
  const ours = made ? arrivals.rows.filter((one) => one.at >= made.begun && one.enrolled && fitsPattern(made.host, one.hostname)) : [];
  const title = leadOf(made, ours, may);
  useTitle("Add a host");
  return html`<${Lead} title=${title}>${made ? "Nothing has to be reloaded: it is seen here seconds after the line has run." : "It fetches the agent from this server, enrols, and runs as a service that starts at each boot. The host needs Python 3.9 or newer and nothing else."}<//>
    <ol class="steps">
      <li class=${made ? "" : "now"}><div><h2>What is it?</h2>
        <div class="choices"><${Choice} label="Kind of host" options=${KINDS} value=${kind} choose=${(key) => (setMade(null), change({ kind: key === "linux" ? null : key }, { replace: true }))} />
          ${may && html`<${Choice} label="How many" options=${FEW} value=${many ? "many" : ""} choose=${(key) => (setMade(null), change({ hosts: key || null }, { replace: true }))} />`}</div>
        ${may && made === null && html`<${Form} key=${String(many)} many=${many} kind=${kind} made=${setMade} />`}</div></li>
      <li class=${made && ours.length === 0 ? "now" : ""}><div><h2>${many ? "Run it on the hosts" : "Run it on the host"}</h2>
        ${!may ? html`<${Elsewhere} kind=${kind} />` : made ? html`<${Made} made=${made} where=${where} arrived=${ours} again=${() => setMade(null)} />` : html`<p class="small muted">The line stands here once it is made; it is typed ${where}.</p>`}</div></li>
      <li class=${ours.length > 0 ? "now" : ""}><div><h2>Watch it arrive</h2><${Arrivals} arrivals=${arrivals} waiting=${made} ours=${ours} may=${may} /></div></li>
    </ol>
    <section class="sec"><div class="sec-h"><h2>Without an agent</h2></div>
      <p class="small muted">Whatever speaks HTTP can say that it is alive, with a key of the scope <code>agent</code>. Its state is on <a href=${linkTo("hosts")}>Hosts</a> then.</p>
      <${CopyLine} text=${`curl -X POST ${location.origin}/heartbeat -H "api-key: $KEY" -H "source-host: web-01" -H "os-type: LINUX"`} /></section>`;
}
