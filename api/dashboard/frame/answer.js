// An answer of the server in a component: asked for, kept fresh by live messages, never asked twice at once.

import { useEffect, useRef, useState } from "/vendor/preact.js";
import { listen } from "./live.js";
import { get } from "./rest.js";

const CALM_MS = 2000; // between two requests for the same thing, however many messages come

/**
 * What the server says at `path`, refreshed at each message of `kinds`.
 * @param {string|null} path null: nothing is asked
 * @param {string[]} [kinds] of live messages after which it may say something else
 * @param {number} [calmMs] at least so long between two requests
 * @returns {{content: object|null, error: Error|null, reload: () => void}} the last good content stays beside an error
 */
export function useAnswer(path, kinds = [], calmMs = CALM_MS) {
  const [held, setHeld] = useState({ path: null, content: null, error: null });
  const reloading = useRef(() => {});

  useEffect(() => {
    if (path === null) return undefined;
    const ended = new AbortController();
    const load = async () => {
      try {
        const content = await get(path, ended.signal);
        setHeld((before) => (before.content === content && before.error === null ? before : { path, content, error: null }));
      } catch (error) {
        if (!ended.signal.aborted) setHeld((before) => ({ path, content: before.path === path ? before.content : null, error }));
      }
    };
    const calm = calmly(load, calmMs);
    reloading.current = calm.now;
    const ends = ["tick", "reset", ...kinds].map((kind) => listen(kind, kind === "reset" ? calm.now : calm.soon));
    calm.now();
    return () => {
      for (const end of ends) end();
      calm.end();
      ended.abort();
    };
  }, [path]);

  const fits = held.path === path;
  return { content: fits ? held.content : null, error: fits ? held.error : null, reload: () => reloading.current() };
}

/**
 * `run` (which returns a promise), never twice at once: `soon` waits until `calmMs` have passed since the last, `now` does not.
 * @param {() => Promise<void>} run
 * @param {number} [calmMs]
 */
export function calmly(run, calmMs = CALM_MS) {
  let timer = 0;
  let runs = false;
  let again = false;
  let endedAt = 0;
  let over = false;
  async function now() {
    clearTimeout(timer);
    timer = 0;
    if (over || document.hidden) return; // a tab that comes to the front is told so by a tick
    if (runs) {
      again = true;
      return;
    }
    runs = true;
    await run();
    runs = false;
    endedAt = Date.now();
    if (again) {
      again = false;
      soon();
    }
  }
  function soon() {
    if (runs) again = true;
    else if (!timer && !over) timer = setTimeout(now, Math.max(0, endedAt + calmMs - Date.now()));
  }
  return {
    now,
    soon,
    end() {
      over = true;
      clearTimeout(timer);
    },
  };
}
