// Live: the server tells what changes (server-sent events); where that fails it is asked every few seconds. A hidden tab
// asks nothing and is fresh as soon as it is looked at.

import { makeCell } from "./cell.js";
import { contact } from "./rest.js";

const POLL_MS = 5000;
const STREAM_POLL_MS = 15_000; // what the stream does not tell, such as when a host was last heard
const REOPEN_MS = 30_000;
const KINDS = ["verdict", "alert", "events", "reset"];

/** `mode`: `off`, `connecting`, `stream`, `polling`, `stale`; `since` is when the last good answer came, by our clock. */
export const live = makeCell({ mode: "off", since: null });

const listeners = new Map(); // kind -> Set of functions
let source = null;
let timer = 0;
let reopenTimer = 0;
let running = false;
let lastId = "";

/**
 * Hear of `kind`: `verdict`, `alert`, `events` with the message, `tick` when it is time to ask, `reset` when all that is known may be old.
 * @returns {() => void} what ends it
 */
export function listen(kind, listener) {
  if (!listeners.has(kind)) listeners.set(kind, new Set());
  listeners.get(kind).add(listener);
  return () => void listeners.get(kind).delete(listener);
}

function tell(kind, message) {
  for (const listener of [...(listeners.get(kind) ?? [])]) listener(message);
}

/** Begin, once somebody is signed in. */
export function startLive() {
  if (running) return;
  running = true;
  open();
  schedule();
  show();
}

/** End, as when the session is over. */
export function stopLive() {
  running = false;
  close();
  live.set({ mode: "off", since: live.get().since });
}

/** Ask for all anew, now. */
export function refreshAll() {
  tell("reset", null);
}

function open() {
  if (source !== null || document.hidden || !running) return;
  source = new EventSource(lastId ? `/stream?last_event_id=${encodeURIComponent(lastId)}` : "/stream");
  source.onopen = () => {
    show();
    schedule();
  };
  source.onerror = () => {
    // the browser tries again by itself, but not after an answer that is a refusal
    if (source?.readyState === EventSource.CLOSED) {
      close();
      reopenTimer = setTimeout(open, REOPEN_MS);
      schedule();
    }
    show();
  };
  for (const kind of KINDS) source.addEventListener(kind, (event) => hear(kind, event));
}

function hear(kind, event) {
  lastId = event.lastEventId || lastId;
  let message = null;
  try {
    message = event.data ? JSON.parse(event.data) : null;
  } catch {
    kind = "reset"; // half a message: what it said is asked for
  }
  tell(kind, message);
}

function close() {
  clearTimeout(timer);
  clearTimeout(reopenTimer);
  source?.close();
  source = null;
}

function schedule() {
  clearTimeout(timer);
  if (!running || document.hidden) return;
  const flowing = source?.readyState === EventSource.OPEN && contact.get().failed === null;
  timer = setTimeout(
    () => {
      tell("tick", null);
      schedule();
    },
    flowing ? STREAM_POLL_MS : POLL_MS,
  );
}

function show() {
  if (!running) return;
  const { at, failed } = contact.get();
  const mode = failed !== null ? "stale" : at === null ? "connecting" : source?.readyState === EventSource.OPEN ? "stream" : "polling";
  const held = live.get();
  if (mode !== held.mode || at !== held.since) live.set({ mode, since: at });
}

contact.watch(() => {
  const wasStale = live.get().mode === "stale";
  show();
  if (running && (live.get().mode === "stale") !== wasStale) schedule();
});

document.addEventListener("visibilitychange", () => {
  if (!running) return;
  if (document.hidden) {
    close();
    return;
  }
  tell("tick", null);
  open();
  schedule();
});

addEventListener("online", () => running && tell("tick", null));
