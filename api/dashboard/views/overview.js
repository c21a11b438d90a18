// The overview: the answer in words, the ledger of states, what somebody should see to, what changed, what comes in.

import { html, useState } from "/vendor/preact.js";
import { Age, Bar24, CountBars, FirstHost, Icon, Ledger, Lead, Loading, SEVERITIES, SeverityWord, Section, ErrorNote } from "/frame.js";
import { ackAll, alertLook, announce, countOf, fullTime, groupUp, inWords, isWaiting, linkTo, minuteAgo, needing, number, parseTime, serverNow } from "/frame.js";
import { shortTime, shownState, spanText, stateFor, stateOf, titleOf, toast, useAnswer, useMay, useNow, useTitle, whatIsKnown, STATES, DAY_MS, MINUTE_MS } from "/frame.js";

const SHOWN = 8; // things; what is behind them is one press away

function leadOf({ hosts, alerts }, things, open) {
  const { total, states } = hosts;
  const waiting = alerts.open - alerts.acked;
  if (waiting > 0 && alerts.open <= open.length) return `${countOf(things.length, "thing needs", "things need")} you`;
  if (waiting > 0) return `${countOf(waiting, "open alert needs", "open alerts need")} you`;
  const down = needing(states);
  if (down > 0) return `${countOf(down, "host is", "hosts are")} down, and somebody sees to it`;
  if (states.online === total) return total === 1 ? "The one host is online" : `All ${number(total)} hosts are online`;
  return "Nothing needs you";
}

function subOf({ hosts }) {
  const said = STATES.filter((one) => hosts.states[one.key] > 0).map((one) => `${number(hosts.states[one.key])} ${one.word.toLowerCase()}`);
  return `Of ${countOf(hosts.total, "host", "hosts")}: ${said.join(", ")}.`;
}

function Thing({ alerts, host, may, now }) {
  const [acting, setActing] = useState(false);
  const [first] = alerts;
  const look = alertLook(first);
  const known = host && stateOf(first.kind).key === first.kind;
  const title = titleOf([first]);
  const others = alerts.length - 1;
  const link = first.source_host ? linkTo("hosts", { rest: [first.source_host] }) : linkTo("alerts", { query: { incident: first.incident } });
  const span = spanText((now - (parseTime(first.since) ?? now)) / 1000);
  const acknowledge = async () => {
    setActing(true);
    try {
      await ackAll(alerts);
      announce(`${title} acknowledged`);
    } catch (error) {
      toast(`Not acknowledged: ${inWords(error)}`, { failed: true });
      setActing(false);
    }
  };
  return html`<li class=${`need ${look.tone}`}>
    <${Icon} name=${look.icon} label=${look.word} />
    <div><p class="t"><a href=${link}>${title}</a>
        ${others > 0 && html`<a class="small" href=${linkTo("alerts", { query: { incident: first.incident } })}>and ${countOf(others, "other", "others")}</a>`}
        ${(host?.tags ?? []).slice(0, 2).map((tag) => html`<span class="faint" key=${tag}>${tag}</span>`)}</p>
      <p class="say">${known ? html`<b>${stateFor(stateOf(first.kind), first.since, now)}</b>: ${lowerFirst(whatIsKnown(host, now))}.` : first.text.replace(/\.?$/, ".")}
        ${others > 0 && html` ${countOf(alerts.length, "alert", "alerts")} opened together: likely one cause.`}</p></div>
    ${host ? html`<${Bar24} host=${host} now=${now} />` : html`<span></span>`}
    <span class="age" title=${fullTime(parseTime(first.since) ?? now)}>${span}</span>
    ${may && html`<button type="button" class="btn sm" disabled=${acting} onClick=${acknowledge} aria-label=${`Acknowledge ${title}`}>Acknowledge</button>`}
  </li>`;
}

const lowerFirst = (text) => text.charAt(0).toLowerCase() + text.slice(1);

function Needs({ content, things, hosts, may }) {
  const now = useNow();
  const shown = things.slice(0, SHOWN);
  const left = content.alerts.open - content.alerts.acked - shown.flat().length;
  return html`<${Section} title="Needs you" aside="worst first, last 24 h">
    ${shown.length === 0
      ? html`<p class="calm"><${Icon} name="n-ok" />No open alert waits for anybody.</p>`
      : html`<ol class="needs">${shown.map((alerts) => html`<${Thing} key=${alerts[0].id} alerts=${alerts} host=${hosts.get(alerts[0].source_host)} may=${may} now=${now} />`)}</ol>`}
    ${left > 0 && html`<p class="more-line"><a href=${linkTo("alerts", { query: { state: "open" } })}>${countOf(left, "more open alert", "more open alerts")}</a></p>`}
    ${content.alerts.acked > 0 && html`<p class="more-line muted">${countOf(content.alerts.acked, "alert is", "alerts are")} acknowledged.</p>`}
  <//>`;
}

function Changes({ changes }) {
  const { went, returned, newest } = changes;
  return html`<${Section} title="Changed in the last hour" aside=${`${number(went)} went, ${number(returned)} came back`}>
    ${newest.length === 0 && html`<p class="calm"><${Icon} name="n-ok" />No host went and none came back.</p>`}
    <ul class="list">${newest.slice(0, 10).map((one) => {
      const state = one.ended_at === null ? stateOf(one.cause) : stateOf("online");
      const began = parseTime(one.began_at);
      const ended = parseTime(one.ended_at);
      const said = ended === null
        ? html`<b>${one.cause === "unseen" ? "Unseen" : stateOf(one.cause).word}</b> since ${clockOf(began)}`
        : html`<b>Back</b> after ${spanText((ended - began) / 1000)}: ${one.cause === "unseen" ? "unseen" : stateOf(one.cause).word.toLowerCase()} from ${clockOf(began)}`;
      return html`<li class=${state.tone} key=${`${one.hostname} ${one.began_at}`}><${Icon} name=${`i-${state.key}`} label=${state.word} />
        <p class="say"><strong><a href=${linkTo("hosts", { rest: [one.hostname] })}>${one.hostname}</a></strong> ${" "}<span class="muted">${said}</span></p>
        <span class="when"><${Age} at=${one.ended_at ?? one.began_at} ago /></span></li>`;
    })}</ul>
  <//>`;
}

const clockOf = (moment) => (moment === null ? "an unknown time" : shortTime(moment, serverNow()));

/** Hosts of `states`, with what is known of them; nothing is drawn when there are none. */
function Few({ title, hosts, states, most = 6 }) {
  const now = useNow();
  const found = hosts.filter((host) => states.includes(shownState(host).key));
  if (found.length === 0) return null;
  return html`<${Section} title=${title} aside=${html`<a href=${linkTo("hosts", { query: { state: states } })}>Show all</a>`}>
    <ul class="list">${found.slice(0, most).map((host) => {
      const state = shownState(host);
      return html`<li class=${state.tone} key=${host.hostname}><${Icon} name=${`i-${state.key}`} label=${state.word} />
        <p class="say"><strong><a href=${linkTo("hosts", { rest: [host.hostname] })}>${host.hostname}</a></strong> ${" "}
          <b>${state.word}</b><span class="muted">: ${lowerFirst(whatIsKnown(host, now))}.</span></p>
        <span class="when"><${Age} at=${host.since} /></span></li>`;
    })}</ul><//>`;
}

function Minutes({ events, at }) {
  const until = parseTime(at) ?? serverNow();
  const counts = events.minutes;
  const most = Math.max(...counts, 0);
  const label = `Events stored in each of the last ${counts.length} minutes, at most ${number(most)} in one`;
  return html`<${Section} title="Events a minute" aside=${`${number(events.stored_last_minute)} now, ${number(events.stored_last_hour)} in 1${"\u202f"}h`}>
    <${CountBars} counts=${counts} from=${until - counts.length * MINUTE_MS} until=${until} label=${label} /><//>`;
}

function Severities({ events }) {
  const counts = events.severities_last_day;
  const sum = counts.reduce((all, one) => all + one, 0);
  const most = Math.max(...counts, 1);
  return html`<${Section} title="Events by severity" aside=${`${number(sum)} in 24${"\u202f"}h`}>
    <ul class="sevs">${SEVERITIES.map((one) => {
      const count = counts[one.level - 1];
      const share = count > 0 ? Math.max(1.2, (count / most) * 100) : 0; // a few among many are seen
      return html`<li key=${one.level}><a href=${linkTo("events", { query: { severity_gte: String(one.level) } })}><${SeverityWord} severity=${one} /></a>
        <svg class="share" aria-hidden="true"><rect class="f-none" y="7" height="1" width="100%" /><rect class=${one.fill} height="8" width=${`${share}%`} /></svg>
        <span class="num">${number(count)}</span></li>`;
    })}</ul><//>`;
}

function Ingest({ ingest }) {
  const broken = Object.entries(ingest.parts).filter(([, said]) => said !== "ok");
  const behind = ingest.behind_seconds;
  const lag = behind === null ? "lag not known" : behind < 1 ? `under 1${"\u202f"}s behind` : `${spanText(behind)} behind`;
  return html`<${Section} title="Taking events in" aside=${html`<a href=${linkTo("health")}>Health</a>`}>
    <ul class="list">
      <li class=${ingest.ready ? "s-online" : "s-offline"}><${Icon} name=${ingest.ready ? "i-online" : "i-silent"} label=${ingest.ready ? "Works" : "Broken"} />
        <p>${ingest.ready ? "Broker, database and ingestor work" : "Not everything works"}</p><span class="when">${lag}</span></li>
      ${broken.map(([part, said]) => html`<li class="s-offline" key=${part}><${Icon} name="n-warn" label="Broken" /><p><strong>${part}</strong> ${String(said)}</p></li>`)}
    </ul><//>`;
}

/** The view at `#/overview`. */
export function View({ summary }) {
  const { content, error, reload } = summary;
  const may = useMay("operate");
  const [since] = useState(() => minuteAgo(DAY_MS));
  // the hosts that are worst off, for their bars and what is known of them; their alerts alone say less
  const worst = useAnswer(content && content.hosts.total > 0 ? `/hosts?limit=60&outages_since=${encodeURIComponent(since)}` : null, ["verdict"], 5000);
  // the summary has the newest 20 alone, which one lost network fills: things can be counted only when all are known
  const more = useAnswer(content && content.alerts.open > content.alerts.newest.length ? "/alerts?state=open&limit=1000" : null, ["alert"], 5000);
  const open = more.content?.alerts ?? content?.alerts.newest ?? [];
  const waiting = groupUp(open.filter(isWaiting), true);
  const lead = content === null ? "Overview" : leadOf(content, waiting, open);
  useTitle(lead);
  if (content === null) return error ? html`<${ErrorNote} what="The overview cannot be had." error=${error} again=${reload} />` : html`<${Loading} what="Counting hosts and alerts" />`;
  if (content.hosts.total === 0) return html`<${FirstHost} />`;
  const hosts = new Map((worst.content?.hosts ?? []).map((host) => [host.hostname, host]));
  return html`
    <${Lead} title=${lead}>${subOf(content)}<//>
    <${Ledger} states=${content.hosts.states} total=${content.hosts.total} linkOf=${(keys) => linkTo("hosts", { query: { state: keys } })} />
    <div class="cols">
      <div class="stack">
        <${Needs} content=${content} things=${waiting} hosts=${hosts} may=${may} />
        <${Few} title="Worth a look" hosts=${[...hosts.values()]} states=${["late", "missing", "new"]} />
        <${Changes} changes=${content.changes} />
      </div>
      <div class="stack">
        <${Minutes} events=${content.events} at=${content.at} />
        <${Severities} events=${content.events} />
        <${Ingest} ingest=${content.ingest} />
        <${Few} title="Away, due back" hosts=${[...hosts.values()]} states=${["overdue", "away"]} />
      </div>
    </div>`;
}
