// Silences and maintenance: of which hosts people are not told, until when, who said so and why; and what is announced.

import { html, useState } from "/vendor/preact.js";
import { ActDialog, ErrorNote, Icon, Lead, Loading, Section, Stamp, countOf, holdPlace, later, linkTo, literalOf, parseTime, send } from "/frame.js";
import { spanText, toast, useAnswer, useKeys, useMay, useNow, useTitle, useWalk, zoneName } from "/frame.js";

const PATTERNS_SHOWN = 8;

/** Both kinds in one list, in the order of their times; null while neither is known. */
function holdsOf(silences, maintenance, now) {
  if (silences === null && maintenance === null) return null;
  const made = (one, kind) => ({ ...one, maintenance: kind, begins: parseTime(one.from) ?? now, ends: parseTime(one.until) ?? now });
  const all = [...(silences?.silences ?? []).map((one) => made(one, false)), ...(maintenance?.maintenance ?? []).map((one) => made(one, true))].filter((one) => one.ends > now);
  return {
    present: all.filter((one) => one.begins <= now).sort((a, b) => a.ends - b.ends),
    next: all.filter((one) => one.begins > now).sort((a, b) => a.begins - b.begins),
  };
}

function leadOf({ present }) {
  const planned = present.filter((one) => one.maintenance).length;
  const said = [];
  if (present.length > planned) said.push(countOf(present.length - planned, "silence", "silences"));
  if (planned > 0) said.push(countOf(planned, "maintenance window", "maintenance windows"));
  if (said.length === 0) return "Nobody is kept from being told";
  return `${said.join(" and ")} ${present.length === 1 ? "holds" : "hold"} now`;
}

// where one sees whom it fits: for a pattern the hosts that have its longest part in their names, which may be more
function Pattern({ pattern }) {
  const literal = literalOf(pattern);
  const whole = literal === pattern;
  const link = whole ? linkTo("hosts", { rest: [pattern] }) : linkTo("hosts", { query: { q: literal } });
  return html`<a href=${link} title=${whole ? undefined : literal ? `Hosts with “${literal}” in their names` : "All hosts"}>${pattern}</a>`;
}

function Hold({ one, now, end }) {
  const ahead = one.begins > now;
  const more = one.hosts.length - PATTERNS_SHOWN;
  const verb = ahead ? "Call off" : "End";
  const look = ahead ? { tone: "s-new", icon: "n-wait" } : { tone: "s-away", icon: one.maintenance ? "i-away" : "n-silences" };
  return html`<li data-row=${one.id}><div class=${`need al ${look.tone}`}>
    <${Icon} name=${look.icon} />
    <div><p class="t">${one.hosts.slice(0, PATTERNS_SHOWN).map((pattern) => html`<${Pattern} key=${pattern} pattern=${pattern} />`)}
        ${more > 0 && html`<span class="small faint" title=${one.hosts.join(" ")}>and ${countOf(more, "other", "others")}</span>`}</p>
      <p class="say"><b>${one.maintenance ? "Maintenance" : "Silence"}</b>${one.kinds ? ` of ${one.kinds.join(", ").replace(/, ([^,]*)$/, " and $1")} alone` : ""}${one.reason ? `: ${one.reason}` : ""}</p></div>
    <div class="told"><p><${Stamp} at=${one.from} now=${now} /> to <${Stamp} at=${one.until} now=${now} /></p>
      <p>by <b>${one.made_by || "somebody"}</b></p></div>
    <span class="age"><span class="faint">${ahead ? "in " : ""}</span>${spanText(((ahead ? one.begins : one.ends) - now) / 1000)}<span class="faint">${ahead ? "" : " left"}</span></span>
    <div class="acts">${end && html`<button type="button" class="btn sm" onClick=${() => end(one)} aria-label=${`${verb} ${one.hosts.slice(0, 3).join(", ")}`}>${verb}</button>`}</div>
  </div></li>`;
}

function EndDialog({ one, close, reload }) {
  const restore = holdPlace();
  const ahead = one.begins > Date.now();
  const noun = one.maintenance ? "maintenance" : "silence";
  const act = async () => {
    await send("DELETE", `/${one.maintenance ? "maintenance" : "silences"}/${encodeURIComponent(one.id)}`);
    toast(ahead ? "Called off" : `The ${noun} is ended`);
    reload();
    restore();
  };
  return html`<${ActDialog} title=${ahead ? "Call off maintenance" : `End the ${noun} now`} verb=${ahead ? "Call off" : "End"} danger act=${act} close=${close}>
    <p>${ahead ? "It does not begin: people are told as ever of" : "People are told again, and at once of what is still broken, of"} ${one.hosts.slice(0, PATTERNS_SHOWN).join(", ")}${
      one.hosts.length > PATTERNS_SHOWN ? ` and ${countOf(one.hosts.length - PATTERNS_SHOWN, "other", "others")}` : ""}. It cannot be taken up again.</p><//>`;
}

const Holds = ({ list, ...more }) => html`<ol class="alerts holds">${list.map((one) => html`<${Hold} key=${one.id} one=${one} ...${more} />`)}</ol>`;

/** The view at `#/silences`. */
export function View() {
  const now = useNow();
  const may = useMay("operate");
  const silences = useAnswer("/silences");
  const maintenance = useAnswer("/maintenance");
  const [dialog, setDialog] = useState(null);
  const reload = () => {
    silences.reload();
    maintenance.reload();
  };
  const close = () => setDialog(null);
  const begin = (planned) =>
    later(() => import("/views/hold-form.js"), ({ HoldForm }) => setDialog(html`<${HoldForm} maintenance=${planned} close=${close} done=${reload} />`));
  const end = (one) => setDialog(html`<${EndDialog} one=${one} close=${close} reload=${reload} />`);
  useWalk();
  useKeys(may ? [{ keys: "s", say: "Silence hosts", run: () => begin(false) }, { keys: "w", say: "Announce maintenance", run: () => begin(true) }] : [], [may]);

  const holds = holdsOf(silences.content, maintenance.content, now);
  const lead = holds === null ? "Silences and maintenance" : leadOf(holds);
  useTitle(lead);
  const faults = [[silences, "The silences cannot be had."], [maintenance, "Maintenance cannot be had."]].filter(([answer]) => answer.error);
  const notes = faults.map(([answer, what]) => html`<${ErrorNote} key=${what} what=${what} error=${answer.error} again=${answer.reload} kept=${answer.content !== null} />`);
  if (holds === null) return faults.length > 0 ? notes : html`<${Loading} what="Loading silences and maintenance" rows=${4} />`;
  const rows = { now, end: may ? end : undefined };
  return html`<${Lead} title=${lead}>Hosts that are held are watched as ever; what is still broken at the end is told then.
      Maintenance that comes again, quiet hours and who is behind whom are in <code>rules.toml</code>.<//>
    ${may && html`<div class="btns"><button type="button" class="btn pri" onClick=${() => begin(false)}>Silence hosts</button>
      <button type="button" class="btn" onClick=${() => begin(true)}>Announce maintenance</button></div>`}
    ${notes}
    <${Section} title="Holds now" aside=${`ends first, times in ${zoneName()}`}>
      ${holds.present.length > 0 ? html`<${Holds} list=${holds.present} ...${rows} />` : html`<p class="calm"><${Icon} name="n-ok" />People are told of every host.</p>`}<//>
    ${holds.next.length > 0 && html`<${Section} title="Announced" aside="begins first"><${Holds} list=${holds.next} ...${rows} /><//>`}
    ${dialog}`;
}
