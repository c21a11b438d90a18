"""Reading dead letters: last received first, a page at a time."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import LargeBinary, func, select

from store.database import Database
from store.tables import dead_letters

SHOWN_BYTES = 4_096  # of a payload


class StoredLetter(NamedTuple):
    """A dead letter. `payload` has its first 4 KiB, `size` is that of the whole, in bytes; `received_at` is UTC."""

    id: int
    received_at: datetime
    topic: str
    source_host: str | None
    reason: str
    size: int
    payload: bytes


def read_dead(database: Database, limit: int, before: int | None = None) -> list[StoredLetter]:
    """At most `limit` dead letters, those with `id` < `before`, last received first. Raises `Unavailable`."""
    column = dead_letters.c
    payload = func.substr(column.payload, 1, SHOWN_BYTES, type_=LargeBinary)
    query = select(
        column.id, column.received_at, column.topic, column.source_host, column.reason, column.size, payload
    ).order_by(column.id.desc())
    if before is not None:
        query = query.where(column.id < before)
    with database.reading() as connection:
        rows = connection.execute(query.limit(limit)).all()
    # SQLite has NULL for a part of what is empty
    return [StoredLetter(row[0], row[1], row[2], row[3], row[4], row[5], row[6] or b"") for row in rows]
