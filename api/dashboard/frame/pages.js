// Pages of a list that the server gives by cursor: only those that were asked for are held, and those in view are kept fresh.

import { html, useEffect, useRef } from "/vendor/preact.js";
import { calmly } from "./answer.js";
import { makeCell, useCell } from "./cell.js";
import { listen } from "./live.js";
import { get } from "./rest.js";

const FIRST = 100; // more than a tall screen shows, so that one page is enough to begin with
const FURTHER = 200;

/**
 * The rows of a list that grows as one scrolls.
 *
 * `state` holds `rows`, `total` (null when the server does not say), `done` (no more follow), `loading`, `error`, and
 * `waiting`: how many rows are new, or would change their place, which waits while the reader is in the list.
 */
export class PageList {
  /**
   * @param {string} path
   * @param {{rows: string, key: string, query?: () => object|URLSearchParams, limit?: number}} how the names that rows have in an answer and that
   *   tells a row, what is asked besides, and how many rows a page has
   */
  constructor(path, { rows, key, query = () => ({}), limit }) {
    Object.assign(this, { path, rows, query, limit, keyOf: (row) => row[key] });
    this.state = makeCell({ rows: [], total: null, done: false, loading: true, error: null, waiting: 0 });
    this.pages = [];
    this.held = null; // pages that wait to be shown
    this.ended = new AbortController();
    this.busy = false;
  }

  /** Ask for the first page. */
  start() {
    return this.#work(async () => {
      this.pages = [await this.#fetch(null, FIRST)];
    });
  }

  /** Ask for the page behind the last; nothing happens when there is none, or one is under way. */
  more() {
    const last = this.pages.at(-1);
    if (!last?.next) return Promise.resolve();
    this.wanted = this.busy; // what is under way may end before the reader does
    return this.#work(async () => {
      this.held = null; // it had not this page: the next refresh finds anew what has moved
      this.pages = [...this.pages, await this.#fetch(last.next, FURTHER)];
    });
  }

  /**
   * Ask anew for what is in view, rows `from` to `until`. `stay`: the reader is in the list, so rows keep their places.
   */
  refresh(from, until, stay) {
    if (this.pages.length === 0) return this.start();
    return this.#work(async () => {
      const fresh = [...this.pages];
      let begin = 0;
      for (let index = 0; index < fresh.length; index++) {
        const { cursor, limit, rows } = fresh[index];
        const end = begin + rows.length;
        if ((end > from || rows.length === 0) && begin <= until) {
          fresh[index] = await this.#fetch(cursor, limit);
          const follower = fresh[index + 1];
          if (follower && follower.cursor !== fresh[index].next) {
            // the page ends elsewhere now: the next one begins there, and all behind it are asked for when they are come to
            fresh.splice(index + 1);
            if (end <= until && fresh[index].next) fresh.push({ cursor: fresh[index].next, limit: FURTHER, rows: follower.rows });
          }
        }
        begin = end;
      }
      this.#take(fresh, stay);
    });
  }

  /** Show what waits. */
  settle() {
    if (!this.held) return;
    this.pages = this.held;
    this.held = null;
    this.#show();
  }

  /** Change the row of `key` where it stands. */
  patch(key, changes) {
    const change = (page) => ({ ...page, rows: page.rows.map((row) => (this.keyOf(row) === key ? { ...row, ...changes } : row)) });
    if (!this.pages.some((page) => page.rows.some((row) => this.keyOf(row) === key))) return;
    this.pages = this.pages.map(change);
    this.#show();
  }

  /** Nothing more is asked or shown. */
  end() {
    this.ended.abort();
  }

  #take(fresh, stay) {
    const before = listKeys(this.pages, this.keyOf);
    const after = listKeys(fresh, this.keyOf);
    const moved = after.slice(0, before.length).filter((key, index) => key !== before[index]).length;
    if (!stay || moved === 0) {
      this.pages = fresh;
      this.held = null;
      return;
    }
    const news = new Map(fresh.flatMap((page) => page.rows).map((row) => [this.keyOf(row), row]));
    this.pages = this.pages.map((page) => ({ ...page, total: fresh[0].total, rows: page.rows.map((row) => news.get(this.keyOf(row)) ?? row) }));
    this.held = fresh;
    const known = new Set(before);
    this.waiting = after.filter((key) => !known.has(key)).length || moved;
  }

  async #fetch(cursor, limit) {
    const asked = new URLSearchParams(this.query());
    asked.set("limit", this.limit ?? limit);
    if (cursor) asked.set("cursor", cursor);
    const content = await get(`${this.path}?${asked}`, this.ended.signal);
    return { cursor, limit, rows: content[this.rows], next: content.next, total: content.total ?? null };
  }

  async #work(job) {
    if (this.busy) return;
    this.busy = true;
    try {
      await job();
      this.busy = false;
      this.#show();
      if (this.wanted) this.more();
    } catch (error) {
      this.busy = false;
      if (!this.ended.signal.aborted) this.state.set({ ...this.state.get(), loading: false, error });
    }
  }

  #show() {
    if (this.ended.signal.aborted) return;
    const seen = new Set();
    const rows = this.pages
      .flatMap((page) => page.rows)
      .filter((row) => !seen.has(this.keyOf(row)) && seen.add(this.keyOf(row))); // one that moved may be on two pages
    const last = this.pages.at(-1);
    const total = this.pages[0]?.total ?? null;
    this.state.set({ rows, total, done: !last?.next, loading: false, error: null, waiting: this.held ? this.waiting : 0 });
  }
}

/**
 * What `list` holds, kept fresh while the component is there: asked anew at each message of `kinds`, at least `calmMs` apart.
 * @param {PageList} list
 * @param {{kinds?: string[], calmMs?: number, wanted?: boolean, stays?: () => boolean, again?: () => Promise<void>}} [how] `stays`: rows keep their
 *   places; `again` asks anew, else the first page is; nothing is asked until they are `wanted`
 * @returns {[object, () => void]} its state, and what asks anew at once
 */
export function useList(list, { kinds = [], calmMs = 3000, wanted = true, stays = () => false, again = () => list.refresh(-1, 0, stays()) } = {}) {
  const how = useRef(again);
  const reload = useRef(() => {});
  how.current = again;
  useEffect(() => {
    if (!wanted) return undefined;
    const refresh = calmly(() => how.current(), calmMs);
    reload.current = refresh.now;
    list.start();
    const ends = [...["tick", ...kinds].map((kind) => listen(kind, refresh.soon)), listen("reset", refresh.now)];
    return () => {
      for (const end of ends) end();
      refresh.end();
      list.end();
    };
  }, [list]);
  return [useCell(list.state), () => reload.current()];
}

/** The end of a list: when it comes near the window, the page behind is asked for, unless that is to be `asked` for by hand. */
export function Further({ list, state, word, asked = false, children }) {
  const node = useRef(null);
  useEffect(() => {
    if (asked || state.error) return undefined;
    const watch = new IntersectionObserver((seen) => seen.some((one) => one.isIntersecting) && list.more(), { rootMargin: "600px 0px" });
    watch.observe(node.current);
    return () => watch.disconnect();
  }, [list, state.rows.length, asked, state.error]);
  return html`<p class="more-line muted" ref=${node}>${children} <button type="button" class="linklike" onClick=${() => list.more()}>${word}</button></p>`;
}

function listKeys(pages, keyOf) {
  return pages.flatMap((page) => page.rows.map(keyOf));
}
