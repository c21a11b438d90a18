"""What is counted of `logs` as it is written, so that nobody counts its rows; and when each block was stored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Column, Connection, Table, Update, bindparam, delete, func, select, update

from core.clock import parse_time, rfc3339
from core.errors import Invalid
from store.database import Database, EventRow
from store.tables import BLOCK_ROWS, event_hours, event_minutes, log_blocks

MINUTES_KEPT = timedelta(days=3)


def count_stored(
    database: Database, connection: Connection, rows: Sequence[EventRow], before: int, received_at: datetime
) -> None:
    """Count newly stored `rows`, whose ids are above `before`, in the transaction that has stored them.

    In PostgreSQL ids of others may lie between: then a block is said to hold a time that it does not, and is looked
    at in vain.
    """
    if not rows:
        return
    stored_at, writer = rfc3339(received_at), database.writer_id
    first, last = (before + 1) // BLOCK_ROWS, database.newest_id(connection) // BLOCK_ROWS
    blocks = [(number, writer, stored_at, stored_at) for number in range(first, last + 1)]
    database.upsert(connection, "log_blocks", blocks)
    counts = Counter((row.os_type, row.event_type, row.severity) for row in rows)
    minute, hour = f"{stored_at[:16]}:00.000000Z", f"{stored_at[:13]}:00:00.000000Z"
    for table, begun in (("event_minutes", minute), ("event_hours", hour)):
        counted = [(begun, writer, *what, events) for what, events in sorted(counts.items())]
        database.upsert(connection, table, counted)


def _less(table: Table, moment: Column[Any]) -> Update:
    """Fewer in one row. Who has counted what is deleted is not known: the sum is right whoever counts less."""
    what = [table.c[name] == bindparam(f"of_{name}") for name in _KEY]
    these = (moment == bindparam(f"of_{moment.name}"), *what)
    writer = select(table.c.writer).where(*these).order_by(table.c.events.desc()).limit(1).correlate(None)
    change = update(table).where(*these, table.c.writer == writer.scalar_subquery())
    return change.values(events=table.c.events - bindparam("deleted"))


_KEY = ("os_type", "event_type", "severity")
_LESS = (_less(event_minutes, event_minutes.c.minute), _less(event_hours, event_hours.c.hour))


def uncount_deleted(connection: Connection, rows: Iterable[Sequence[object]]) -> None:
    """Count deleted rows of `logs`, each as (created_at, os_type, event_type, severity), no longer."""
    counts: Counter[tuple[datetime, *tuple[object, ...]]] = Counter()
    for created_at, *what in rows:
        try:
            counts[(parse_time(str(created_at)).replace(second=0, microsecond=0), *what)] += 1
        except Invalid:
            continue  # of an old database: it was never counted
    less = [
        {
            "of_minute": minute, "of_hour": minute.replace(minute=0), "deleted": events,
            **{f"of_{name}": value for name, value in zip(_KEY, what, strict=True)},
        }
        for (minute, *what), events in sorted(counts.items(), key=lambda item: str(item[0]))
    ]  # fmt: skip
    if less:
        for statement in _LESS:
            connection.execute(statement, less)


def forget_minutes(database: Database, now: datetime) -> int:
    """Forget the minutes of which only hours are kept, at any time and any number of times; how many rows went."""
    with database.writing() as connection:
        return connection.execute(delete(event_minutes).where(event_minutes.c.minute < now - MINUTES_KEPT)).rowcount


def widen_block(connection: Connection, before: int, after: int) -> None:
    """A row of `logs` that had the id `before` has the id `after`: its block was stored from then on."""
    if before // BLOCK_ROWS == after // BLOCK_ROWS:
        return
    times = log_blocks.c
    known = select(func.min(times.stored_from)).where(times.block == before // BLOCK_ROWS)
    beginning = datetime(1, 1, 1, tzinfo=UTC)
    stored_from = func.coalesce(known.correlate(None).scalar_subquery(), beginning, type_=times.stored_from.type)
    widened = update(log_blocks).where(times.block == after // BLOCK_ROWS, times.stored_from > stored_from)
    connection.execute(widened.values(stored_from=stored_from))
