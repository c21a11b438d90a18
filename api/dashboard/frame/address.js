// The address: which view is shown, and how, is in the fragment (`/#/hosts?state=crashed&sort=-score`), so a view can be kept and
// sent to somebody else, and back and forward work. The server never sees a fragment: no path collides with the API's.

import { makeCell } from "./cell.js";

/** Where we are: `view` is the first name of the path, `rest` what follows it, `query` its `URLSearchParams`. */
export const address = makeCell(parseAddress(location.hash));

/** The parts of a fragment such as `#/hosts/web-01?q=x`. */
export function parseAddress(hash) {
  const [path, query = ""] = hash.replace(/^#\/?/, "").split(/\?(.*)/s);
  const [view, ...rest] = path.split("/").map(decodePart);
  return { view: view || "overview", rest, query: new URLSearchParams(query) };
}

function decodePart(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // half an escape, typed by hand
  }
}

/**
 * The address of a view, for a link.
 * @param {string} view
 * @param {{rest?: string[], query?: URLSearchParams|Record<string, string|string[]|null>}} [more]
 */
export function linkTo(view, { rest = [], query } = {}) {
  const path = [view, ...rest].map(encodeURIComponent).join("/");
  const asked = toQuery(query).toString();
  return `#/${path}${asked ? `?${asked}` : ""}`;
}

function toQuery(query) {
  if (query instanceof URLSearchParams) return query;
  return withChanges(new URLSearchParams(), query ?? {});
}

/** `query` with `changes`: null and "" take a name out, a list gives it several times. */
export function withChanges(query, changes) {
  const made = new URLSearchParams(query);
  for (const [name, value] of Object.entries(changes)) {
    made.delete(name);
    for (const one of [value].flat()) if (one !== null && one !== undefined && one !== "") made.append(name, one);
  }
  return made;
}

/** Go to a view. */
export function go(view, more) {
  location.hash = linkTo(view, more);
}

/**
 * Change the query of the view that is shown. `replace`: as one types, each letter is no place to come back to.
 * @param {Record<string, string|string[]|null>} changes
 */
export function change(changes, { replace = false } = {}) {
  const { view, rest, query } = address.get();
  const link = linkTo(view, { rest, query: withChanges(query, changes) });
  if (link === location.hash) return;
  history[replace ? "replaceState" : "pushState"](null, "", link);
  address.set(parseAddress(link));
}

for (const kind of ["hashchange", "popstate"]) addEventListener(kind, () => arrive());

function arrive() {
  // both events may tell of one step
  const found = parseAddress(location.hash);
  const held = address.get();
  if (found.view !== held.view || found.rest.join("/") !== held.rest.join("/") || `${found.query}` !== `${held.query}`) address.set(found);
}
