// What tells people of some hosts nothing for a while: a form for a silence, and one for maintenance. What the server does not
// take is said at the field that it is about.

import { html, useEffect, useRef, useState } from "/vendor/preact.js";
import { Dialog, HOLD_SPANS, HOUR_MS, MINUTE_MS, Problem, countOf, fitsPattern, get, inWords, literalOf, localText, number, send, sentence, toast } from "/frame.js";

const SPANS = [...HOLD_SPANS, ["", "Other …"]];
const MOST_PATTERNS = 100; // that the server takes in one
const MOST_COUNTED = 5;
const MOST_READ = 200; // hosts, to see which of them a pattern fits
const TYPED_MS = 400;

const wordsIn = (text) => text.split(/[\s,;]+/).filter(Boolean);

/** Patterns for the hosts of `alerts`; what is about no single host fits `*` alone. */
export function hostsFor(alerts) {
  const hosts = [...new Set(alerts.map((alert) => alert.source_host ?? "*"))];
  return hosts.includes("*") ? ["*"] : hosts.slice(0, MOST_PATTERNS);
}

// the server finds a part of a name in either case of letters: of few names all are read, of many only that is known
async function sayFit(pattern, signal) {
  const literal = literalOf(pattern);
  const all = literal === "" && pattern.includes("*") && !pattern.includes("?");
  const { hosts, total } = await get(`/hosts?${new URLSearchParams({ limit: all ? 1 : MOST_READ, ...(literal && { q: literal }) })}`, signal);
  if (all) return `all ${countOf(total, "host", "hosts")}`;
  if (total > hosts.length) return `at most ${number(total)} hosts${literal ? `: so many have “${literal}” in their names` : ""}`;
  const count = hosts.filter((host) => fitsPattern(pattern, host.hostname)).length;
  return count === 0 ? "no host that is known now" : countOf(count, "host", "hosts");
}

/** Whom patterns fit now, as far as it can be known. */
function Fits({ patterns }) {
  const [said, setSaid] = useState([]);
  const asked = patterns.slice(0, MOST_COUNTED).join(" ");
  useEffect(() => {
    const ended = new AbortController();
    const timer = setTimeout(async () => {
      try {
        setSaid(await Promise.all(wordsIn(asked).filter((one) => /^[\w.*?-]+$/.test(one)).map(async (one) => [one, await sayFit(one, ended.signal)])));
      } catch {
        if (!ended.signal.aborted) setSaid([]); // the form works without
      }
    }, TYPED_MS);
    return () => {
      clearTimeout(timer);
      ended.abort();
    };
  }, [asked]);
  const more = patterns.length - MOST_COUNTED;
  return html`<span class="hint" role="status">${said.map(([pattern, words]) => html`<span key=${pattern}><code>${pattern}</code> fits ${words}. </span>`)}
    ${said.length > 0 && more > 0 && `${countOf(more, "more is", "more are")} not counted.`}</span>`;
}

function Field({ name, label, fault, hint, children }) {
  return html`<div class="ask"><label for=${`hold-${name}`}>${label}</label>${children}
    ${hint && html`<span class="hint" id=${`hold-${name}-hint`}>${hint}</span>`}
    <p class="fault" id=${`hold-${name}-fault`} role="alert">${fault}</p></div>`;
}

// of a field: its name, and what a screen reader says of it
const told = (name, faults) => ({
  id: `hold-${name}`, name, class: "field", "aria-describedby": `hold-${name}-hint hold-${name}-fault`, "aria-invalid": faults[name] ? "true" : undefined,
});

function Length({ faults }) {
  const [span, setSpan] = useState("2h");
  return html`<${Field} name="for" label="For" fault=${faults.for}>
    <select id=${span ? "hold-for" : undefined} class="field" name=${span ? "for" : undefined} aria-label="For" onChange=${(event) => setSpan(event.target.value)}>
      ${SPANS.map(([value, words]) => html`<option key=${value} value=${value} selected=${value === span}>${words}</option>`)}</select>
    ${span === "" && html`<input ...${told("for", faults)} aria-label="How long" required placeholder="90m, 12h or 3d" autocomplete="off" />`}<//>`;
}

function Kinds({ kinds, offered, faults }) {
  const [text, setText] = useState(kinds.join(" "));
  const chosen = wordsIn(text);
  const toggle = (kind) => setText((chosen.includes(kind) ? chosen.filter((one) => one !== kind) : [...chosen, kind]).join(" "));
  const names = [...new Set([...offered, "crashed", "silent", "zombie", "overdue"])];
  return html`<${Field} name="kinds" label="Kinds of alerts" fault=${faults.kinds}
    hint=${html`Of these alone: ${names.map((kind) => html`<button type="button" key=${kind} class="tok" aria-pressed=${String(chosen.includes(kind))} onClick=${() => toggle(kind)}>${kind}</button> `)}`}>
    <input ...${told("kinds", faults)} value=${text} onInput=${(event) => setText(event.target.value)} placeholder="All kinds" autocomplete="off" spellcheck=${false} /><//>`;
}

const shortDay = { weekday: "short", hour: "2-digit", minute: "2-digit", hourCycle: "h23", timeZoneName: "short" };
const inZone = (text, timeZone) => new Intl.DateTimeFormat(undefined, { ...shortDay, timeZone }).format(new Date(text));

function Moment({ name, label, moment, faults }) {
  const [text, setText] = useState(localText(moment));
  return html`<${Field} name=${name} label=${label} fault=${faults[name]} hint=${text && `${inZone(text)}; ${inZone(text, "UTC")}`}>
    <input ...${told(name, faults)} type="datetime-local" required value=${text} onInput=${(event) => setText(event.target.value)} /><//>`;
}

/** A dialog that makes a silence, or announces `maintenance`. `hosts` and `kinds` are what stands in its fields, `offered` kinds to choose. */
export function HoldForm({ maintenance = false, hosts = [], kinds = [], offered = [], close, done }) {
  const [text, setText] = useState(hosts.join(" "));
  const [faults, setFaults] = useState({});
  const [acting, setActing] = useState(false);
  const form = useRef(null);
  const patterns = wordsIn(text);
  const begins = Math.floor(Date.now() / MINUTE_MS) * MINUTE_MS;
  const submit = async (event) => {
    event.preventDefault();
    const said = new FormData(form.current);
    const body = { hosts: patterns, reason: said.get("reason").trim() };
    if (maintenance) for (const name of ["from", "until"]) body[name] = new Date(said.get(name)).toISOString();
    else body.for = said.get("for").trim();
    const chosen = wordsIn(said.get("kinds") ?? "");
    if (chosen.length > 0) body.kinds = chosen;
    setActing(true);
    try {
      await send("POST", maintenance ? "/maintenance" : "/silences", body);
      toast(maintenance ? "Maintenance announced" : "Silenced: nobody is told");
      done();
      close();
    } catch (error) {
      // the server's words begin with the field that they are about
      const field = error instanceof Problem ? (/^(hosts|kinds|for|from|until|reason)\b/.exec(error.message)?.[1] ?? "all") : "all";
      setFaults({ [field]: sentence(inWords(error)) });
      setActing(false);
      form.current.elements[`hold-${field}`]?.focus();
    }
  };
  return html`<${Dialog} title=${maintenance ? "Announce maintenance" : "Silence hosts"} close=${close}>
    <form class="hold" ref=${form} onSubmit=${submit}>
      <p class="muted">The hosts are watched as ever, and nobody is told of them. What is still broken at the end is told then.</p>
      <${Field} name="hosts" label="Hosts" fault=${faults.hosts} hint=${html`Names or patterns such as <code>web-*</code>, with spaces between; <code>?</code> is one character. <${Fits} patterns=${patterns} />`}>
        <textarea ...${told("hosts", faults)} rows=${Math.min(4, 1 + Math.floor(text.length / 50))} required value=${text} onInput=${(event) => setText(event.target.value)}
          placeholder="web-* db-1" autocomplete="off" spellcheck=${false}></textarea><//>
      ${maintenance
        ? html`<div class="pair"><${Moment} name="from" label="From" moment=${begins} faults=${faults} /><${Moment} name="until" label="Until" moment=${begins + 2 * HOUR_MS} faults=${faults} /></div>`
        : html`<${Length} faults=${faults} /><${Kinds} kinds=${kinds} offered=${offered} faults=${faults} />`}
      <${Field} name="reason" label="Reason" fault=${faults.reason}><input ...${told("reason", faults)} maxlength="500" autocomplete="off" placeholder="For those who look later" /><//>
      <p class="fault" role="alert">${faults.all}</p>
      <div class="btns end"><button type="button" class="btn" onClick=${close}>Cancel</button>
        <button type="submit" class="btn pri" disabled=${acting}>${acting ? "Working …" : maintenance ? "Announce" : "Silence"}</button></div>
    </form><//>`;
}
