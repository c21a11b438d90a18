"""What is counted of `logs` as it is written, so that nobody counts its rows: by the minute, and when each segment was
stored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from sqlalchemy import Connection, bindparam, func, select, update

from core.clock import parse_time, rfc3339
from core.errors import Invalid
from store.database import Database, EventRow
from store.tables import SEGMENT_ROWS, event_minutes, log_segments


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


_COUNT = event_minutes.c
_KEY = ("minute", "os_type", "event_type", "severity")
_COUNTED = [_COUNT[name] == bindparam(f"of_{name}") for name in _KEY]
# who has counted them is not known: the sum is right whoever counts less
_WRITER = select(_COUNT.writer).where(*_COUNTED).order_by(_COUNT.events.desc()).limit(1).correlate(None)
_LESS = update(event_minutes).where(*_COUNTED, _COUNT.writer == _WRITER.scalar_subquery())


def uncount_deleted(connection: Connection, rows: Iterable[Sequence[object]]) -> None:
    """Count deleted rows of `logs`, each as (created_at, os_type, event_type, severity), no longer."""
    counts: Counter[tuple[object, ...]] = Counter()
    for created_at, *what in rows:
        try:
            counts[(parse_time(str(created_at)).replace(second=0, microsecond=0), *what)] += 1
        except Invalid:
            continue  # of an old database: it was never counted
    less = [
        {**{f"of_{name}": value for name, value in zip(_KEY, key, strict=True)}, "deleted": events}
        for key, events in sorted(counts.items(), key=lambda item: str(item[0]))
    ]
    if less:
        connection.execute(_LESS.values(events=_COUNT.events - bindparam("deleted")), less)


def widen_segment(connection: Connection, before: int, after: int) -> None:
    """A row of `logs` that had the id `before` has the id `after`: its segment was stored from then on."""
    if before // SEGMENT_ROWS == after // SEGMENT_ROWS:
        return
    times = log_segments.c
    known = select(func.min(times.stored_from)).where(times.segment == before // SEGMENT_ROWS)
    beginning = datetime(1, 1, 1, tzinfo=UTC)
    stored_from = func.coalesce(known.correlate(None).scalar_subquery(), beginning, type_=times.stored_from.type)
    widened = update(log_segments).where(times.segment == after // SEGMENT_ROWS, times.stored_from > stored_from)
    connection.execute(widened.values(stored_from=stored_from))
