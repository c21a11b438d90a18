"""What is counted of `logs` as it is written, so that nobody counts its rows: by the minute, and when each segment was
stored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection

from core.clock import rfc3339
from store.database import Database, EventRow
from store.tables import SEGMENT_ROWS


def count_stored(
    database: Database, connection: Connection, rows: Sequence[EventRow], before: int, received_at: datetime
) -> None:
    """Count newly stored `rows`, whose ids are above `before`, in the transaction that has stored them.

    In PostgreSQL ids of others may lie between: then a segment is said to hold a time that it does not, and is looked
    at in vain.
    """
    if not rows:
        return
    stored_at, writer = rfc3339(received_at), database.writer_id
    first, last = (before + 1) // SEGMENT_ROWS, database.newest_id(connection) // SEGMENT_ROWS
    segments = [(number, writer, stored_at, stored_at) for number in range(first, last + 1)]
    database.upsert(connection, "log_segments", segments)
    counts = Counter((row.os_type, row.event_type, row.severity) for row in rows)
    minute = f"{stored_at[:16]}:00.000000Z"
    database.upsert(
        connection, "event_minutes", [(minute, writer, *what, events) for what, events in sorted(counts.items())]
    )
