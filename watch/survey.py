"""The survey: patterns in the outages of the whole fleet, found in a process of its own.

It may take minutes for a large fleet, and who watches must not wait for it. The database's URL, which may hold a
password, comes on standard input.
"""

from __future__ import annotations

import json
import os
import sys
from datetime import datetime, timedelta

from core.clock import utc_now
from store import FoundPattern, Store, open_store
from watch.patterns import Known, Pattern, find_patterns

WINDOW = timedelta(days=90)
MOST_LATENCIES = 500  # hosts whose hours are read: each has hundreds


def survey(store: Store, now: datetime) -> list[Pattern]:
    """Find the patterns of the 90 days before `now`, and keep them. Raises `Unavailable`."""
    outages = store.read_all_outages(now - WINDOW)
    fallen = sorted({outage.source_host for outage in outages})
    known = {one.source_host: Known(one.since or now - WINDOW, one.tags) for one in store.read_known()}
    beats = {host: store.read_beat_hours(host, None, now) for host in fallen[:MOST_LATENCIES]}
    found = find_patterns(outages, known, now, WINDOW, beats)
    store.keep_patterns([_as_row(pattern) for pattern in found], now)
    return found


def _as_row(pattern: Pattern) -> FoundPattern:
    return FoundPattern(pattern.kind, pattern.hosts, pattern.words, json.dumps(pattern.data, ensure_ascii=False))


def main() -> None:
    """Survey the database whose URL is on standard input."""
    if hasattr(os, "nice"):
        os.nice(10)  # whoever judges and stores goes first
    store = open_store(sys.stdin.readline().strip())
    try:
        survey(store, utc_now())
    finally:
        store.close()


if __name__ == "__main__":
    main()
