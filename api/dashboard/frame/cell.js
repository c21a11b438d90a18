// A cell: a value that others may watch. All that views share is in cells.

import { useEffect, useState } from "/vendor/preact.js";

/**
 * A value with watchers, who are told of each new one.
 * @template T
 * @param {T} value its first value
 */
export function makeCell(value) {
  const watchers = new Set();
  return {
    get: () => value,
    set(next) {
      if (Object.is(next, value)) return;
      value = next;
      for (const watcher of [...watchers]) watcher(next);
    },
    /** Calls `watcher` with each new value; returns what ends it. */
    watch(watcher) {
      watchers.add(watcher);
      return () => void watchers.delete(watcher);
    },
  };
}

/** The value of `cell` in a component, which is drawn anew with it. */
export function useCell(cell) {
  const [value, setValue] = useState(cell.get());
  useEffect(() => {
    setValue(cell.get());
    return cell.watch(setValue);
  }, [cell]);
  return value;
}
