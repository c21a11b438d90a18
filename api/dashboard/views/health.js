// Heimdall's own health: its services, what they stand on, how far behind the ingest is, and what was refused.

import { html } from "/vendor/preact.js";
import { Age, CountBars, ErrorNote, Icon, Lead, Loading, Section, countOf, number, parseTime, sentence, spanText } from "/frame.js";
import { useAnswer, useMay, useTitle } from "/frame.js";
import { Dead } from "/views/health-dead.js";

const SERVICES = {
  ingestor: "stores what hosts send", watch: "judges hosts and tells people", api: "answers this page and those who speak HTTP", keeper: "lets hosts in and out at the broker",
};
const PARTS = {
  broker: "broker", database: "database", ingestor: "ingestor", hearing: "its ear at the broker", claims: "its verdicts in the database", rules: "its rules", spool: "room for what waits for the broker",
};
const WAY = [["broker", "The broker takes it"], ["ingestor", "An ingestor stores it"], ["database", "The database keeps it"]];
const LATE_S = 10; // from then on the ingest is said to be behind

const inMap = (words, key) => (Object.hasOwn(words, key) ? words[key] : key);

/** What an ingestor has counted since it began; empty of others. */
function counted(metrics) {
  const has = (name) => typeof metrics[name] === "number";
  if (!has("events_stored")) return "";
  const rare = [["events_duplicate", "came twice"], ["dead_letters", "refused"], ["messages_dropped", "of revoked hosts"], ["commit_failures", "failed commits"], ["reconnects", "reconnections"]];
  const said = rare.filter(([name]) => metrics[name] > 0).map(([name, word]) => `${number(metrics[name])} ${word}`);
  return `${countOf(metrics.events_stored, "event", "events")}${has("heartbeats_received") ? ` and ${countOf(metrics.heartbeats_received, "heartbeat", "heartbeats")}` : ""} stored since it began${said.length > 0 ? `; ${said.join(", ")}` : ""}`;
}

/** What is wrong with a service, without the name of its instance, which stands beside it. */
function faultOf(one) {
  const said = one.state.startsWith(`${one.instance}`) ? one.state.slice(one.instance.length).replace(/^:? /, "") : one.state;
  return sentence(said);
}

function Service({ one }) {
  const works = one.state === "ok";
  const look = works ? { tone: "s-online", icon: "i-online", word: "Works" } : { tone: "s-offline", icon: "i-silent", word: /^\S+ is offline \(stop\)/.test(one.state) ? "Stopped" : "Broken" };
  const stands = Object.entries(one.parts).map(([part, said]) => `${inMap(PARTS, part)}${said === "ok" ? "" : `: ${said}`}`);
  const behind = one.metrics.behind_seconds;
  return html`<tr><td class="h-state"><span class=${`st ${look.tone}`}><${Icon} name=${look.icon} />${look.word}</span></td>
    <th scope="row" class="h-name">${one.name} <span class="faint">${one.instance}</span></th>
    <td class="h-say"><p>${works ? sentence(inMap(SERVICES, one.name)) : faultOf(one)}</p><p class="muted">${[counted(one.metrics), stands.length > 0 ? `${works ? "Its parts work" : "It stands on"}: ${stands.join(", ")}` : ""].filter(Boolean).join(". ")}</p></td>
    <td class="num h-now">${typeof behind === "number" && works ? `${behind < 1 ? "less than 1\u202fs" : spanText(behind)} behind` : ""}</td>
    <td class="num h-age"><span class=${`faint ${works ? "h-word" : ""}`}>${works ? "sign " : "since "}</span><${Age} at=${one.at} ago=${works} /></td></tr>`;
}

function Services({ services }) {
  const worst = [...services].sort((a, b) => (a.state === "ok") - (b.state === "ok"));
  return html`<${Section} title="Services" aside="each gives a sign of life every 2 s">
    <table class="tbl health"><thead><tr><th scope="col">State</th><th scope="col">Service</th><th scope="col">What is known</th><th scope="col" class="num">Now</th><th scope="col" class="num">Last sign</th></tr></thead>
      <tbody>${worst.map((one) => html`<${Service} key=${`${one.name} ${one.instance}`} one=${one} />`)}</tbody></table>
    ${services.length === 0 && html`<p class="calm s-late"><${Icon} name="n-warn" />No service has given a sign of life: the broker is away, or nothing runs but the API.</p>`}<//>`;
}

// every part that an event passes, in its order
function Way({ ingest }) {
  return html`<${Section} title="The way of an event"><ul class="list">${WAY.map(([part, word]) => {
    const said = ingest.parts[part] ?? "not known";
    return html`<li key=${part} class=${said === "ok" ? "s-online" : "s-offline"}><${Icon} name=${said === "ok" ? "n-ok" : "i-silent"} label=${said === "ok" ? "Works" : "Broken"} />
      <p><strong>${word}</strong>${said === "ok" ? "" : html` <span class="muted">${sentence(said)}</span>`}</p><span class="when">${said === "ok" ? "works" : "broken"}</span></li>`;
  })}</ul><//>`;
}

function leadOf(services, ingest) {
  const broken = [...new Set(services.filter((one) => one.state !== "ok").map((one) => one.name))];
  const well = new Set(services.filter((one) => one.state === "ok").map((one) => one.name));
  const gone = broken.filter((name) => !well.has(name));
  if (gone.length > 0) return `${gone.length > 1 ? `${gone.slice(0, -1).join(", ")} and ${gone.at(-1)} do` : `The ${gone[0]} does`} not work`;
  if (ingest !== null && !ingest.ready) return "Events do not go all the way";
  if (ingest !== null && ingest.behind_seconds > LATE_S) return `The ingest is ${spanText(ingest.behind_seconds)} behind`;
  return broken.length > 0 ? `One of several is away: ${broken.join(", ")}` : "Heimdall works";
}

function behindWords(ingest) {
  const behind = ingest?.behind_seconds ?? null;
  if (behind === null) return "How far the ingest is behind is not known.";
  return behind < 1 ? "The ingest is less than a second behind." : `The ingest is ${spanText(behind)} behind${behind > LATE_S ? ": what was sent waits at the broker until it is stored" : ""}.`;
}

/** The view at `#/health`. */
export function View({ summary }) {
  const may = useMay("operate");
  const { content, error, reload } = useAnswer("/services", [], 2000);
  const ingest = summary.content?.ingest ?? null;
  const lead = content === null ? "Health" : leadOf(content.services, ingest);
  useTitle(lead);
  if (content === null) return error ? html`<${ErrorNote} what="The services cannot be asked." error=${error} again=${reload} />` : html`<${Loading} what="Asking the services" />`;
  const events = summary.content?.events;
  const until = parseTime(summary.content?.at);
  return html`<${Lead} title=${lead}>${behindWords(ingest)} ${events && `${countOf(events.stored_last_minute, "event was", "events were")} stored in the last minute, ${number(events.stored_last_hour)} in the last hour.`}<//>
    ${error && html`<${ErrorNote} what="The services cannot be asked." error=${error} again=${reload} kept />`}
    <${Services} services=${content.services} />
    <div class="cols"><div class="stack">${may && html`<${Dead} />`}</div>
      <div class="stack">${ingest && html`<${Way} ingest=${ingest} />`}
        ${events && until !== null && html`<${Section} title="Stored a minute" aside=${`${number(Math.max(...events.minutes))} at most`}><${CountBars} counts=${events.minutes} from=${until - 3_600_000} until=${until} label=${`${number(events.stored_last_hour)} events stored in the last hour`} /><//>`}</div></div>`;
}
