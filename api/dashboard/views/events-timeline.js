// The histogram of events, across which one drags to choose a time: by mouse, by finger, and by keys.

import { html, useState } from "/vendor/preact.js";
import { CountBars, SEVERITIES, Section, SeverityWord, change, clockTime, countOf, linkTo, number, parseTime, serverNow, shortTime, spanText, withChanges } from "/frame.js";

/** How many events `buckets` have, of a severity `level` when it is given. */
export const sumOf = (buckets, level) => buckets.reduce((all, bucket) => all + (level ? bucket.severities[level - 1] : bucket.events), 0);

const between = (low, value, high) => Math.max(low, Math.min(high, value));

/** The bar, of `count`, that an event of a pointer is at. */
function barAt(event, count) {
  const { left, width } = event.currentTarget.querySelector(".bars").getBoundingClientRect();
  return between(0, Math.floor(((event.clientX - left) / width) * count), count - 1);
}

/**
 * Which bars are being chosen: where that began, and where it is. What is shown stays meanwhile, whatever comes in.
 * @returns {[{anchor: number, at: number, content: object}|null, object]} and the handlers of the element that has the bars
 */
function useChoosing(content, choose) {
  const [held, setHeld] = useState(null);
  const last = content.buckets.length - 1;
  const take = ({ anchor, at, content: shown }) => {
    const [first, end] = [Math.min(anchor, at), Math.max(anchor, at)];
    setHeld(null);
    choose(shown.buckets[first].at, shown.buckets[end + 1]?.at ?? shown.until);
  };
  const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowDown: -1, ArrowUp: 1, PageDown: -10, PageUp: 10, Home: -Infinity, End: Infinity };
  const onKeyDown = (event) => {
    if (event.key === "Enter" && held) take(held);
    else if (event.key === "Escape" && held) setHeld(null);
    else if (event.key in steps) {
      const at = between(0, (held?.at ?? last + 1) + steps[event.key], last);
      setHeld({ anchor: event.shiftKey && held ? held.anchor : at, at, content: held?.content ?? content });
    } else return;
    event.preventDefault();
    event.stopPropagation();
  };
  const onPointerDown = (event) => {
    if (event.button !== 0) return;
    event.currentTarget.setPointerCapture(event.pointerId);
    const at = barAt(event, last + 1);
    setHeld({ anchor: at, at, content, drags: true });
  };
  const onPointerMove = (event) => held?.drags && setHeld({ ...held, at: barAt(event, last + 1) });
  const onPointerUp = () => held?.drags && take(held);
  const drop = () => setHeld(null); // a finger that scrolls the page has chosen nothing
  return [held, { onKeyDown, onPointerDown, onPointerMove, onPointerUp, onPointerCancel: drop, onBlur: drop }];
}

function barWords(buckets, until) {
  const severe = SEVERITIES.slice(0, 2).map((one) => [one, sumOf(buckets, one.level)]).filter(([, count]) => count > 0);
  const said = severe.map(([one, count]) => `, ${number(count)} ${one.word.toLowerCase()}`).join("");
  const now = serverNow();
  return `${shortTime(parseTime(buckets[0].at), now)} to ${shortTime(until, now)}: ${countOf(sumOf(buckets), "event", "events")}${said}`;
}

/** The time that `told` (as `GET /events/histogram` has it) is of; a part of it that is chosen goes into the address. */
export function TimeLine({ told, query }) {
  const [pointed, setPointed] = useState(null);
  const [held, handlers] = useChoosing(told, (since, until) => change({ since, until }));
  const content = held?.content ?? told;
  const { buckets } = content;
  const until = parseTime(content.until);
  const endOf = (index) => parseTime(buckets[index + 1]?.at) ?? until;
  const chosen = held && [Math.min(held.anchor, held.at), Math.max(held.anchor, held.at)];
  const sum = sumOf(buckets);
  const parts = [...SEVERITIES].reverse().map((one) => ({ tone: one.fill, counts: buckets.map((bucket) => bucket.severities[one.level - 1]) }));
  const severe = SEVERITIES.map((one) => [one, sumOf(buckets, one.level)]).filter(([, count]) => count > 0);
  const move = (event) => {
    setPointed(barAt(event, buckets.length));
    handlers.onPointerMove(event);
  };
  const words = chosen
    ? `${barWords(buckets.slice(chosen[0], chosen[1] + 1), endOf(chosen[1]))}. ${held.drags ? "Let go" : "Enter"} to see that time alone.`
    : pointed !== null && buckets[pointed]
      ? `${barWords([buckets[pointed]], endOf(pointed))}.`
      : `${spanText(content.bucket_seconds)} a bar; drag to choose a time.`;
  const most = `${number(sum)} events over time, at most ${number(Math.max(...buckets.map((bucket) => bucket.events), 0))} in ${spanText(content.bucket_seconds)}`;
  const since = content.complete ? "" : `, counted since ${clockTime(parseTime(content.counted_since))}`;
  return html`<${Section} title="Over time" class="timeline-sec" aside=${`${number(sum)} stored${since}`}>
    <div class="timeline" role="slider" tabindex="0" aria-label=${`Choose a time with the arrow keys, more of it with Shift, and Enter. ${most}`} ...${handlers}
      aria-valuemin="0" aria-valuemax=${buckets.length - 1} aria-valuenow=${held?.at ?? buckets.length - 1} aria-valuetext=${chosen ? words : "nothing is chosen"}
      onPointerMove=${move} onPointerLeave=${() => setPointed(null)}>
      <${CountBars} counts=${buckets.map((bucket) => bucket.events)} parts=${parts} from=${parseTime(content.since)} until=${until} label=${most} chosen=${chosen} /></div>
    <p class="timeline-said small muted">${words}</p>
    <p class="legend">${severe.map(([one, count]) => html`<a key=${one.level} href=${linkTo("events", { query: withChanges(query, { severity_gte: String(one.level) }) })}>
      <${SeverityWord} severity=${one} /> ${number(count)}</a>`)}</p><//>`;
}
