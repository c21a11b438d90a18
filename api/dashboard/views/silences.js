// Silences and maintenance: of which hosts people are not told, until when, and why.

import { html, useState } from "/vendor/preact.js";
import { ActDialog, ErrorNote, Icon, Lead, Loading, Section, countOf, parseTime, send, shortTime, spanText, toast } from "/frame.js";
import { useAnswer, useMay, useNow, useTitle, zoneName } from "/frame.js";

const SPANS = [["30m", "30 minutes"], ["2h", "2 hours"], ["8h", "8 hours"], ["1d", "1 day"], ["7d", "7 days"], ["30d", "30 days"]];
const HOUR_MS = 3_600_000;

const words = (text) => String(text ?? "").split(/[\s,]+/).filter(Boolean);
const localText = (moment) => new Date(moment - new Date(moment).getTimezoneOffset() * 60_000).toISOString().slice(0, 16);

function Hosts() {
  return html`<label>Hosts<input class="field" name="hosts" required autocomplete="off" spellcheck="false" placeholder="web-* db-1" />
    <span class="small faint">Names or patterns such as web-*, with spaces between</span></label>`;
}

function Make({ maintenance, close, reload }) {
  const act = async (form) => {
    const body = { hosts: words(form.get("hosts")), reason: form.get("reason") };
    if (maintenance) Object.assign(body, { from: new Date(form.get("from")).toISOString(), until: new Date(form.get("until")).toISOString() });
    else Object.assign(body, { for: form.get("for") }, words(form.get("kinds")).length > 0 ? { kinds: words(form.get("kinds")) } : {});
    await send("POST", maintenance ? "/maintenance" : "/silences", body);
    toast(maintenance ? "Maintenance announced" : "Silenced");
    reload();
  };
  const now = Date.now();
  return html`<${ActDialog} title=${maintenance ? "Announce maintenance" : "Silence hosts"} verb=${maintenance ? "Announce" : "Silence"} act=${act} close=${close}>
    <p>They are watched as ever, and nobody is told. What is still broken at the end is told then.</p>
    <${Hosts} />
    ${maintenance
      ? html`<label>From (${zoneName()})<input class="field" type="datetime-local" name="from" required value=${localText(now)} /></label>
          <label>Until (${zoneName()})<input class="field" type="datetime-local" name="until" required value=${localText(now + 2 * HOUR_MS)} /></label>`
      : html`<label>For<select class="field" name="for">${SPANS.map(([value, word]) => html`<option key=${value} value=${value} selected=${value === "2h"}>${word}</option>`)}</select></label>
          <label>Kinds of alerts<input class="field" name="kinds" autocomplete="off" placeholder="all" /></label>`}
    <label>Reason<input class="field" name="reason" maxlength="500" autocomplete="off" placeholder="For those who look later" /></label><//>`;
}

function End({ one, path, close, reload }) {
  const act = async () => {
    await send("DELETE", `${path}/${encodeURIComponent(one.id)}`);
    toast("Ended");
    reload();
  };
  return html`<${ActDialog} title="End it now" verb="End" act=${act} close=${close}><p>People are told again of ${one.hosts.join(", ")}, and at once of what is still broken.</p><//>`;
}

function List({ title, path, found, error, reload, may }) {
  const now = useNow();
  const [ends, setEnds] = useState(null);
  const [makes, setMakes] = useState(false);
  const maintenance = path === "/maintenance";
  const button = may && html`<button type="button" class="btn sm" onClick=${() => setMakes(true)}>${maintenance ? "Announce" : "Silence hosts"}</button>`;
  return html`<${Section} title=${title} aside=${button}>
    ${error && html`<${ErrorNote} what="They cannot be had." error=${error} again=${reload} kept=${found !== null} />`}
    ${found !== null && found.length === 0 && html`<p class="calm"><${Icon} name="n-ok" />${maintenance ? "None is announced." : "People are told of every host."}</p>`}
    <ul class="list">${(found ?? []).map((one) => {
      const from = parseTime(one.from) ?? now;
      const until = parseTime(one.until) ?? now;
      return html`<li key=${one.id} class=${from > now ? "s-new" : "s-away"}><${Icon} name=${from > now ? "n-wait" : "n-silences"} label=${from > now ? "Announced" : "Holds"} />
        <p><strong>${one.hosts.join(", ")}</strong> ${one.kinds ? html`<span class="tag">${one.kinds.join(", ")}</span> ` : ""}
          <span class="muted">${from > now ? `from ${shortTime(from, now)} ` : ""}until ${shortTime(until, now)}, ${until > now ? `${spanText((until - now) / 1000)} left` : "over"}${one.reason ? `: ${one.reason}` : ""}; by ${one.made_by}</span></p>
        <span class="when">${may && html`<button type="button" class="btn sm" onClick=${() => setEnds(one)}>${from > now ? "Call off" : "End"}</button>`}</span></li>`;
    })}</ul>
    ${ends && html`<${End} one=${ends} path=${path} close=${() => setEnds(null)} reload=${reload} />`}
    ${makes && html`<${Make} maintenance=${maintenance} close=${() => setMakes(false)} reload=${reload} />`}<//>`;
}

/** The view at `#/silences`. */
export function View() {
  const may = useMay("operate");
  const silences = useAnswer("/silences");
  const maintenance = useAnswer("/maintenance");
  const held = silences.content?.silences ?? null;
  const announced = maintenance.content?.maintenance ?? null;
  const lead = held === null ? "Silences" : held.length === 0 ? "No host is silenced" : `${countOf(held.length, "silence holds", "silences hold")}`;
  useTitle(lead);
  if (held === null && !silences.error) return html`<${Loading} what="Looking for silences" />`;
  return html`<${Lead} title=${lead}>Silenced hosts are watched as ever; people are told at the end of what is still broken.<//>
    <${List} title="Silences" path="/silences" found=${held} error=${silences.error} reload=${silences.reload} may=${may} />
    <${List} title="Maintenance" path="/maintenance" found=${announced} error=${maintenance.error} reload=${maintenance.reload} may=${may} />`;
}
