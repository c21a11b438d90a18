// Rows of any height (`data-row`): j and k bring the focus to the next or the one before, so a row is where the focus is, and
// what a key does is done to that row. For lists that are longer than some hundred rows there is the grid.

import { useKeys } from "./keys.js";

const allRows = () => [...document.querySelectorAll("[data-row]")];
const rowWithFocus = () => document.activeElement?.closest("[data-row]") ?? null;

function focusRow(row) {
  row?.querySelector("a, button")?.focus({ preventScroll: true });
  row?.scrollIntoView({ block: "nearest" });
}

/** What `data-row` says of the row that has the focus; null when none has. */
export const focusedRow = () => rowWithFocus()?.dataset.row ?? null;

/** Whether pointer or focus is among the rows: they keep their places then. */
export const isAmongRows = () => document.querySelector("[data-row]:hover, [data-row]:focus-within") !== null;

/** Walk the rows of a view by j and k. */
export function useWalk() {
  const step = (by) => () => {
    const rows = allRows();
    const at = rows.indexOf(rowWithFocus());
    focusRow(at < 0 ? rows[0] : rows[at + by]);
  };
  useKeys([{ keys: "j", say: "Next row", run: step(1) }, { keys: "k", say: "Row before", run: step(-1) }]);
}

/** Before a row goes away: what is returned gives the focus to the row that takes its place, when it was in there. */
export function holdPlace() {
  const at = allRows().indexOf(rowWithFocus());
  return () =>
    setTimeout(() => {
      const rows = allRows();
      if (at >= 0 && document.activeElement === document.body) focusRow(rows[Math.min(at, rows.length - 1)]);
    }, 50); // when it is drawn
}
