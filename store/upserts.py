"""Upserts, in the words that SQLite and PostgreSQL share: one of any row, and the two of the hot write.

In those, between `INSERT INTO` and `ON CONFLICT` each puts its own way to hand over many rows. A row of `heartbeats` is
(host, os_type, last_seen, updated_at); one of `activity` (host, os_type, events, newest timestamp, newest
stored_at, severity 1 … 5), where the numbers are what is to be added.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Insert, Table
from sqlalchemy.dialects import postgresql, sqlite

INTO = {
    "heartbeats": "INSERT INTO heartbeats (source_host, os_type, last_seen, updated_at)",
    "activity": (
        "INSERT INTO activity (source_host, os_type, events, newest_timestamp, newest_stored_at,"
        " severity_1, severity_2, severity_3, severity_4, severity_5)"
    ),
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
}


def upsert_rows(connection: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    """Insert `rows`; where the primary key of one is taken, the row there gets what it says."""
    make = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    statement = make(table)
    key = [column.name for column in table.primary_key]
    changed = {column.name: statement.excluded[column.name] for column in table.c if column.name not in key}
    connection.execute(statement.on_conflict_do_update(index_elements=key, set_=changed), rows)


def upsert_row(connection: Connection, table: Table, values: dict[str, Any], keep: tuple[str, ...] = ()) -> Insert:
    """INSERT of a row; where its primary key is taken, the row there gets `values`, but for those named in `keep`."""
    make = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    key = [column.name for column in table.primary_key]
    changed = {name: value for name, value in values.items() if name not in (*key, *keep)}
    return make(table).values(**values).on_conflict_do_update(index_elements=key, set_=changed)
