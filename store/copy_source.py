# ruff: noqa: S608 -- the statements are made of our own names
"""The SQLite side of a copy: what is read of it, and how it notes what is changed meanwhile."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Table

from store.copy_lines import column_names
from store.copy_target import block_ids
from store.moved import COPY
from store.partitions import day_of
from store.tables import BLOCK_ROWS

CHANGED = f"{COPY}_changes"
_SHIFT = BLOCK_ROWS.bit_length() - 1


def open_reader(path: Path) -> sqlite3.Connection:
    """A connection whose texts show what is no UTF-8, by `surrogateescape`."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.text_factory = partial(str, encoding="utf-8", errors="surrogateescape")
    connection.execute("PRAGMA busy_timeout = 5000")
    connection.execute("PRAGMA query_only = ON")
    return connection


def find_days(reader: sqlite3.Connection, ids: tuple[int, int], today: date, keep_days: int) -> set[date]:
    """The days kept that version 7 ids of these rows lie in; others belong into the default partition."""
    low, high = today - timedelta(days=keep_days), today + timedelta(days=2)
    first, behind = (datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() * 1_000 for day in (low, high))
    version_7 = "substr(event_id, 15, 1) = '7' AND length(event_id) = 36"
    query = f"SELECT DISTINCT substr(event_id, 1, 13) FROM logs WHERE id BETWEEN ? AND ? AND {version_7}"
    times = {_milliseconds(begin) for (begin,) in reader.execute(query, ids)}
    return {day_of(ms) for ms in times if first <= ms < behind}


def _milliseconds(begin: str) -> int:
    """Those that a version 7 id begins with; -1 when it is some text of an old database."""
    try:
        return int(begin.replace("-", ""), 16)
    except ValueError:
        return -1


def newest_block(reader: sqlite3.Connection) -> int:
    """The block that new rows come into."""
    newest = reader.execute("SELECT max(id) FROM logs").fetchone()[0] or 0
    return int(newest) // BLOCK_ROWS


def block_from(reader: sqlite3.Connection, last: int | None, end: int) -> int | None:
    """The first block with rows behind `last` and before `end`: ids of an old database may have wide gaps."""
    where, values = ("", ()) if last is None else ("WHERE id > ?", (block_ids(last)[1],))
    first = reader.execute(f"SELECT min(id) FROM logs {where}", values).fetchone()[0]
    number = None if first is None else int(first) // BLOCK_ROWS
    return number if number is not None and number < end else None


def read_rows(reader: sqlite3.Connection, table: Table) -> Iterator[Sequence[Any]]:
    """Every row of a table, one after the other."""
    yield from reader.execute(f'SELECT {column_names(table)} FROM "{table.name}"')


def note_changes() -> Iterator[str]:
    """The statements after which SQLite notes in `CHANGED` in which blocks of `logs` rows are changed or deleted."""
    yield f"CREATE TABLE IF NOT EXISTS {COPY} (source TEXT NOT NULL)"
    yield f"CREATE TABLE IF NOT EXISTS {CHANGED} (block INTEGER PRIMARY KEY, changes INTEGER NOT NULL)"
    for name, what, rows in (("deleted", "DELETE", ("OLD",)), ("updated", "UPDATE", ("OLD", "NEW"))):
        notes = "".join(
            f" INSERT INTO {CHANGED} VALUES ({row}.id >> {_SHIFT}, 1)"
            " ON CONFLICT (block) DO UPDATE SET changes = changes + 1;"
            for row in rows
        )
        yield f"CREATE TRIGGER IF NOT EXISTS {COPY}_{name} AFTER {what} ON logs BEGIN{notes} END"
