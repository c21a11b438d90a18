# ruff: noqa: S608 -- the statements are made of our own names
"""Upserts, in the words that SQLite and PostgreSQL share: one of any row, and those of the hot write.

In those, between `INSERT INTO` and `ON CONFLICT` each puts its own way to hand over many rows. A row of `heartbeats` is
(host, os_type, last_seen, updated_at); one of `activity` (host, os_type, events, newest timestamp, newest
stored_at, severity 1 … 5), where the numbers are what is to be added; one of `beats` all of its columns, and one of
`beat_hours` all of its, which are added where the hour is there already.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from sqlalchemy import Connection, Insert, Table
from sqlalchemy.dialects import postgresql, sqlite

from store.beats import JITTER_SHARE, SEEN_MASK
from store.rows import LATENCY_BOUNDS
from store.tables import beat_hours, beats

BEAT_COLUMNS = tuple(column.name for column in beats.columns)
HOUR_COLUMNS = tuple(column.name for column in beat_hours.columns)
COUNTED_COLUMNS = HOUR_COLUMNS[2:]  # of an hour or a day: what is added up

INTO = {
    "heartbeats": "INSERT INTO heartbeats (source_host, os_type, last_seen, updated_at)",
    "activity": (
        "INSERT INTO activity (source_host, os_type, events, newest_timestamp, newest_stored_at,"
        " severity_1, severity_2, severity_3, severity_4, severity_5)"
    ),
    "log_blocks": "INSERT INTO log_blocks (block, writer, stored_from, stored_until)",
    **{
        f"event_{period}s": f"INSERT INTO event_{period}s ({period}, writer, os_type, event_type, severity, events)"
        for period in ("minute", "hour")
    },
    "beats": f"INSERT INTO beats ({', '.join(BEAT_COLUMNS)})",
    "beat_hours": f"INSERT INTO beat_hours ({', '.join(HOUR_COLUMNS)})",
}

# an older sign of life changes nothing: last_seen never goes back
ON_CONFLICT = {
    "heartbeats": (
        " ON CONFLICT (source_host) DO UPDATE SET os_type = excluded.os_type, last_seen = excluded.last_seen,"
        " updated_at = excluded.updated_at"
        " WHERE heartbeats.last_seen IS NULL OR excluded.last_seen >= heartbeats.last_seen"
    ),
    "activity": (
        " ON CONFLICT (source_host) DO UPDATE SET os_type = excluded.os_type,"
        " events = activity.events + excluded.events,"
        " newest_timestamp = CASE WHEN activity.newest_timestamp >= excluded.newest_timestamp"
        " THEN activity.newest_timestamp ELSE excluded.newest_timestamp END,"
        " newest_stored_at = CASE WHEN activity.newest_stored_at >= excluded.newest_stored_at"
        " THEN activity.newest_stored_at ELSE excluded.newest_stored_at END,"
        " severity_1 = activity.severity_1 + excluded.severity_1,"
        " severity_2 = activity.severity_2 + excluded.severity_2,"
        " severity_3 = activity.severity_3 + excluded.severity_3,"
        " severity_4 = activity.severity_4 + excluded.severity_4,"
        " severity_5 = activity.severity_5 + excluded.severity_5"
    ),
    "log_blocks": (
        " ON CONFLICT (block, writer) DO UPDATE SET"
        " stored_from = CASE WHEN log_blocks.stored_from <= excluded.stored_from"
        " THEN log_blocks.stored_from ELSE excluded.stored_from END,"
        " stored_until = CASE WHEN log_blocks.stored_until >= excluded.stored_until"
        " THEN log_blocks.stored_until ELSE excluded.stored_until END"
    ),
    **{
        f"event_{period}s": (
            f" ON CONFLICT ({period}, writer, os_type, event_type, severity)"
            f" DO UPDATE SET events = event_{period}s.events + excluded.events"
        )
        for period in ("minute", "hour")
    },
    "beats": " ON CONFLICT (source_host) DO UPDATE SET "
    + ", ".join(f"{name} = excluded.{name}" for name in BEAT_COLUMNS[1:]),
    "beat_hours": " ON CONFLICT (hour, source_host) DO UPDATE SET "
    + ", ".join(f"{name} = beat_hours.{name} + excluded.{name}" for name in COUNTED_COLUMNS),
}


def upsert_rows(connection: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    """Insert `rows`; where the primary key of one is taken, the row there gets what it says."""
    make = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    statement = make(table)
    key = [column.name for column in table.primary_key]
    changed = {column.name: statement.excluded[column.name] for column in table.c if column.name not in key}
    connection.execute(statement.on_conflict_do_update(index_elements=key, set_=changed), rows)


def _count_latencies() -> str:
    """One more in the bucket that a beat's latency lies in: above the bound before, up to its own."""
    latency = "{delay} - beats.skew"
    bounds = [None, *LATENCY_BOUNDS, None]
    changes = []
    for bucket, (above, upto) in enumerate(pairwise(bounds), 1):
        tests = [f"{latency} > {above}"] * (above is not None) + [f"{latency} <= {upto}"] * (upto is not None)
        column = f"hour_latency_{bucket}"
        changes.append(f"{column} = beats.{column} + CASE WHEN {' AND '.join(tests)} THEN 1 ELSE 0 END")
    return ", ".join(changes)


# what `beats.Counts.count` does with nearly every beat, without reading the row: the next beat of the same boot, in the
# same hour, with the same interval and with a delay. What is another is left as it is, for `Counts` to count.
# The parameters are ADVANCED, in this order.
ADVANCED = ("source_host", "boot", "seq", "at", "delay", "interval_s", "spool", "hour")
ADVANCE_BEATS = (
    "UPDATE beats SET seq = {seq}, beat_at = {at}, spool = {spool}, delay = {delay},"
    f" seen = ((beats.seen & {SEEN_MASK >> 1}) << 1) | 1,"
    " total = beats.total + 1, hour_beats = beats.hour_beats + 1,"
    f" jitter = beats.jitter + (abs({{delay}} - beats.delay) - beats.jitter) / {JITTER_SHARE},"
    " skew = CASE WHEN beats.skew < {delay} THEN beats.skew ELSE {delay} END,"
    " skew_low = CASE WHEN beats.skew_low < {delay} THEN beats.skew_low ELSE {delay} END,"
    " hour_latency_sum = beats.hour_latency_sum"
    " + CASE WHEN {delay} > beats.skew THEN {delay} - beats.skew ELSE 0 END,"
    f" {_count_latencies()} {{source}}"
    " WHERE beats.source_host = {source_host} AND beats.boot = {boot} AND beats.seq = {seq} - 1"
    " AND beats.hour = {hour} AND beats.interval_s = {interval_s} AND beats.beat_at <= {at}"
    " AND beats.delay IS NOT NULL AND beats.skew IS NOT NULL"
)


def upsert_row(connection: Connection, table: Table, values: dict[str, Any], keep: tuple[str, ...] = ()) -> Insert:
    """INSERT of a row; where its primary key is taken, the row there gets `values`, but for those named in `keep`."""
    make = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    key = [column.name for column in table.primary_key]
    changed = {name: value for name, value in values.items() if name not in (*key, *keep)}
    return make(table).values(**values).on_conflict_do_update(index_elements=key, set_=changed)
