// A table of any length of which only the rows in view are drawn. It is one tab stop: arrows, j and k choose a row, Enter opens
// it, Space or x ticks it. Rows are of one height, which is CSS's (`--row-h`).

import { html, useEffect, useLayoutEffect, useRef, useState } from "/vendor/preact.js";
import { Icon } from "./icon.js";
import { useKeys } from "./keys.js";

const SPARE = 8; // rows drawn above and below what is seen
const PRINTED = 2000;

/**
 * @param {object} props
 * @param {string} props.label what the rows are
 * @param {{key: string, name: unknown, sort?: string, cell: (row: object) => unknown, class?: string}[]} props.columns
 * @param {object[]} props.rows
 * @param {number|null} props.total how many there are on the server
 * @param {(row: object) => string} props.keyOf
 * @param {string} props.sort `-` before it: descending
 * @param {(sort: string) => void} props.onSort
 * @param {(row: object) => void} props.onOpen
 * @param {(from: number, until: number) => void} props.onView the rows that are seen; asks for more at the end
 * @param {Set<string>} [props.ticked] the keys of the rows that are chosen
 * @param {(key: string) => void} [props.onTick] absent: rows cannot be ticked
 * @param {(key: string|null) => void} [props.onActive] the row that the keyboard is on
 */
export function Grid({ label, columns, rows, total, keyOf, sort, onSort, onOpen, onView, ticked, onTick, onActive, class: more = "" }) {
  const body = useRef(null);
  const node = useRef(null);
  const [range, setRange] = useState({ from: 0, until: 30, height: 36 });
  const [active, setActive] = useState(null); // the key of the row that the keyboard is on
  const at = useRef(null); // the same at once: the next key may come before anything is drawn
  const indexOf = (key) => (key === null ? -1 : rows.findIndex((row) => keyOf(row) === key));
  const activeIndex = indexOf(active);

  const measure = () => {
    if (!body.current) return;
    const height = parseFloat(getComputedStyle(body.current).getPropertyValue("--row-h")) || 36;
    const top = -body.current.getBoundingClientRect().top;
    const from = Math.max(0, Math.floor(top / height));
    const until = Math.max(0, Math.ceil((top + innerHeight) / height));
    setRange((before) => (before.from === from && before.until === until && before.height === height ? before : { from, until, height }));
  };

  useLayoutEffect(measure, [rows.length]);
  useEffect(() => {
    let asked = 0;
    const later = () => {
      cancelAnimationFrame(asked);
      asked = requestAnimationFrame(measure);
    };
    const print = () => setRange((before) => ({ ...before, from: 0, until: PRINTED }));
    const list = [["scroll", later], ["resize", later], ["beforeprint", print], ["afterprint", measure]];
    for (const [kind, hear] of list) addEventListener(kind, hear, { passive: true });
    return () => {
      cancelAnimationFrame(asked);
      for (const [kind, hear] of list) removeEventListener(kind, hear);
    };
  }, []);
  useEffect(() => onView(range.from, range.until), [range.from, range.until, rows.length]);

  const activate = (key) => {
    at.current = key;
    setActive(key);
    onActive?.(key);
  };
  const choose = (index) => {
    if (rows.length === 0) return;
    const within = Math.min(rows.length - 1, Math.max(0, index));
    activate(keyOf(rows[within]));
    node.current.focus({ preventScroll: true });
    reveal(body.current, within, range.height);
  };
  const step = (rowsOn) => choose(indexOf(at.current) + rowsOn);
  const whole = Math.max(1, Math.floor(innerHeight / range.height) - 6);
  const moves = {
    ArrowDown: () => step(1), j: () => step(1),
    ArrowUp: () => step(-1), k: () => step(-1),
    PageDown: () => step(whole), PageUp: () => step(-whole),
    Home: () => choose(0), End: () => choose(rows.length - 1),
    Enter: () => indexOf(at.current) >= 0 && onOpen(rows[indexOf(at.current)]),
  };
  if (onTick) moves.x = moves[" "] = () => indexOf(at.current) >= 0 && onTick(at.current);
  const onKeyDown = (event) => {
    // letters are taken by the page as a whole, wherever the focus is
    const move = event.key.length > 1 || event.key === " " ? moves[event.key] : undefined;
    if (!move || event.target !== node.current || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    move();
  };
  useKeys(
    [
      { keys: "j", say: "Next row", run: moves.j },
      { keys: "k", say: "Row before", run: moves.k },
      { keys: "Enter", say: "Open the row", run: () => (document.activeElement === node.current ? moves.Enter() : false) },
      ...(onTick ? [{ keys: "x", say: "Tick the row", run: moves.x }] : []),
    ],
    [rows, range.height],
  );

  const from = Math.max(0, range.from - SPARE);
  const shown = rows.slice(from, range.until + SPARE);
  return html`<div class=${`grid ${more}`} role="grid" aria-label=${label} aria-rowcount=${total === null ? -1 : total + 1} tabindex="0" ref=${node}
      aria-multiselectable=${onTick ? "true" : undefined}
      aria-activedescendant=${activeIndex >= from && activeIndex < from + shown.length ? `row-${activeIndex}` : undefined} onKeyDown=${onKeyDown}>
    <div role="rowgroup" class="grid-head"><div role="row" class="grid-row" aria-rowindex="1">
      ${columns.map((column) => html`<${Head} key=${column.key} column=${column} sort=${sort} onSort=${onSort} />`)}
    </div></div>
    <div role="rowgroup" class="grid-body" ref=${body} style=${{ height: `${rows.length * range.height}px` }}>
      ${shown.map((row, offset) => {
        const index = from + offset;
        const key = keyOf(row);
        return html`<div role="row" key=${key} id=${`row-${index}`} class=${`grid-row ${key === active ? "active" : ""}`} aria-rowindex=${index + 2}
            aria-selected=${onTick ? String(ticked.has(key)) : undefined} style=${{ top: `${index * range.height}px` }} onClick=${() => activate(key)}>
          ${columns.map((column) => html`<div role="gridcell" key=${column.key} class=${`c-${column.key} ${column.class ?? ""}`}>${column.cell(row)}</div>`)}
        </div>`;
      })}
    </div>
  </div>`;
}

/** Whether pointer or focus is in a grid: its rows keep their places then. */
export const isReading = () => document.querySelector(".grid:hover, .grid:focus-within") !== null;

function Head({ column, sort, onSort }) {
  const falling = sort === `-${column.sort}`;
  const sorted = column.sort && (falling || sort === column.sort);
  const style = `c-${column.key} ${column.class ?? ""} ${sorted ? "sorted" : ""}`;
  if (!column.sort) return html`<div role="columnheader" class=${style}>${column.name}</div>`;
  // a second press turns the order round
  const next = sorted ? (falling ? column.sort : `-${column.sort}`) : (column.first ?? column.sort);
  return html`<div role="columnheader" class=${style} aria-sort=${sorted ? (falling ? "descending" : "ascending") : undefined}>
    <button type="button" class="sort" onClick=${() => onSort(next)}>${column.name}${sorted && html`<${Icon} name=${falling ? "n-down" : "n-up"} />`}</button></div>`;
}

// Below the bar at the top and the head of the table, above what lies at the bottom.
function reveal(body, index, height) {
  const top = body.getBoundingClientRect().top + index * height;
  const above = 120;
  const below = innerHeight - 80;
  if (top < above) scrollBy(0, top - above);
  else if (top + height > below) scrollBy(0, top + height - below);
}
