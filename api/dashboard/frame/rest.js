// The REST client: every word with the server goes through here, but for the stream of live messages.

import { makeCell } from "./cell.js";

const PATIENCE_MS = 10_000;
const CHANGE_PATIENCE_MS = 60_000; // to delete the events of a host takes its time
const MOST_KEPT = 20; // answers that the server may say have not changed

/** How it stands with the server: `at` is the last good answer by our clock, `failed` what went wrong since. */
export const contact = makeCell({ at: null, failed: null });

/** The server's clock minus ours, in milliseconds. */
export const skew = makeCell(0);

/** When the server last said that it does not know us (401), by our clock. */
export const refused = makeCell(null);

const kept = new Map(); // path -> { etag, content }, the oldest first

/** An answer that is a problem (RFC 9457). `detail` says what does not fit and what would. */
export class Problem extends Error {
  constructor(status, content) {
    super(content.detail ?? content.title ?? `the server answers ${status}`);
    this.status = status;
  }
}

/**
 * What the server says at `path`.
 * @param {string} path with its query
 * @param {AbortSignal} [signal] ends the wait
 * @returns {Promise<object>} the content; the same object again while the server says that it has not changed
 * @throws {Problem} what the server refuses; `TypeError`, `TimeoutError` when it is not reached
 */
export function get(path, signal) {
  return ask("GET", path, undefined, signal);
}

/**
 * Change something.
 * @param {"POST"|"DELETE"} method
 * @param {string} path
 * @param {object} [body]
 */
export function send(method, path, body) {
  return ask(method, path, body);
}

async function ask(method, path, body, signal) {
  const headers = { accept: "application/json" };
  const known = method === "GET" ? kept.get(path) : undefined;
  if (known) headers["if-none-match"] = known.etag;
  if (body !== undefined) headers["content-type"] = "application/json";
  const patience = AbortSignal.timeout(method === "GET" ? PATIENCE_MS : CHANGE_PATIENCE_MS);
  let answer;
  let content;
  try {
    answer = await fetch(path, {
      method,
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
      credentials: "same-origin",
      cache: "no-store",
      signal: signal ? AbortSignal.any([signal, patience]) : patience,
    });
    content = answer.status === 304 ? known.content : await readJson(answer);
  } catch (error) {
    if (!signal?.aborted) contact.set({ at: contact.get().at, failed: error });
    throw error;
  }
  noteClock(answer);
  if (answer.ok || answer.status === 304) {
    contact.set({ at: Date.now(), failed: null });
    if (method === "GET") keep(path, answer.headers.get("etag"), content);
    return content;
  }
  const problem = new Problem(answer.status, content);
  if (answer.status === 401) refused.set(Date.now());
  // a refusal is an answer; a server that cannot tell is as good as none. What cannot be changed now may be read all the same
  if (answer.status < 500) contact.set({ at: Date.now(), failed: null });
  else if (method === "GET") contact.set({ at: contact.get().at, failed: problem });
  throw problem;
}

async function readJson(answer) {
  const text = await answer.text();
  try {
    return JSON.parse(text);
  } catch {
    if (answer.ok) throw new TypeError("the answer is no JSON");
    return {};
  }
}

function noteClock(answer) {
  const server = Date.parse(answer.headers.get("date"));
  if (Number.isNaN(server)) return;
  // the header has whole seconds: less than two is no difference of clocks
  const found = server - Date.now();
  skew.set(Math.abs(found) > 2000 ? found : 0);
}

function keep(path, etag, content) {
  kept.delete(path);
  if (!etag) return;
  kept.set(path, { etag, content });
  if (kept.size > MOST_KEPT) kept.delete(kept.keys().next().value);
}

/** Forget what the server has said, as when somebody else signs in. */
export function forgetAnswers() {
  kept.clear();
}

/** What went wrong, as the end of a sentence that begins with what was tried. */
export function inWords(error) {
  if (error instanceof Problem) return error.status >= 500 ? `the server says: ${error.message}` : error.message;
  if (navigator.onLine === false) return "this device is offline";
  if (error?.name === "TimeoutError") return "no answer came in time";
  return "the server cannot be reached";
}
