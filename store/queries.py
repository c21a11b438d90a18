"""Reading events: last stored first, a page at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, Row, Select, func, or_, select

from core.errors import Invalid
from store.database import Database
from store.events import late_id
from store.rows import EventFilter, StoredEvent
from store.tables import SEGMENT_ROWS, logs, segment

_LARGEST_ID = 2**63 - 1
_FIRST_SEGMENTS = 4
_MOST_SEGMENTS = 1_024


def read_events(database: Database, wanted: EventFilter, limit: int, before: int | None) -> list[StoredEvent]:
    """At most `limit` events that fit `wanted`, those with `id` < `before`, last stored first.

    One host's events are found by walking the segments of ids from the newest.
    Raises `Invalid` when a value of `wanted` or `before` is none that a database can compare.
    """
    if before is not None and not 0 <= before <= _LARGEST_ID:
        raise Invalid(f"before {before!r:.40} is no id of an event")
    with database.reading() as connection:
        query = select(logs).where(*_conditions(wanted, database)).order_by(logs.c.id.desc())
        if before is not None:
            query = query.where(logs.c.id < before)
        if wanted.source_host is None:
            return [make_event(row) for row in connection.execute(query.limit(limit))]
        newest = database.newest_id(connection) if before is None else before - 1
        return _walk(connection, query, newest, limit)


def _walk(connection: Connection, query: Select[Any], newest: int, limit: int) -> list[StoredEvent]:
    found: list[StoredEvent] = []
    for segments in _segment_runs(newest // SEGMENT_ROWS):
        page = query.where(segment.in_(segments)).limit(limit - len(found))
        found.extend(make_event(row) for row in connection.execute(page))
        if len(found) >= limit:
            break
    return found


def _segment_runs(newest: int) -> Iterator[list[int]]:
    """The segments' numbers from the newest to 0, in runs that grow: a quiet host's events lie far back."""
    size = _FIRST_SEGMENTS
    while newest >= 0:
        last = max(newest - size + 1, 0)
        yield list(range(newest, last - 1, -1))
        newest, size = last - 1, min(size * 4, _MOST_SEGMENTS)


def _conditions(wanted: EventFilter, database: Database) -> Iterator[ColumnElement[bool]]:
    column = logs.c
    if wanted.source_host is not None:
        yield column.source_host == wanted.source_host
    if wanted.source_ip is not None:
        yield column.source_ip == wanted.source_ip
    # rows of an old database have these in any case of letters
    if wanted.event_type is not None:
        yield func.upper(column.event_type) == wanted.event_type.upper()
    if wanted.os_type is not None:
        yield func.upper(column.os_type) == wanted.os_type.upper()
    if wanted.severity_gte is not None:
        if not -(2**15) <= wanted.severity_gte < 2**15:
            raise Invalid(f"severity_gte {wanted.severity_gte!r:.40} is no severity: use 1 to 5")
        # an upper end, for SQLite sorts a text in a row of an old database behind every number
        yield column.severity.between(wanted.severity_gte, 2**15 - 1)
    if wanted.q:
        if "\0" in wanted.q:
            raise Invalid("q holds a NUL character, which no event does")
        yield or_(
            column.raw_message.icontains(wanted.q, autoescape=True), column.user.icontains(wanted.q, autoescape=True)
        )
    stored, happened = database.comparable_time(column.created_at), database.comparable_time(column.timestamp)
    if wanted.since is not None:
        yield stored >= wanted.since
    if wanted.until is not None:
        yield stored < wanted.until
    if wanted.happened_since is not None:
        yield happened >= wanted.happened_since
    if wanted.happened_until is not None:
        yield happened < wanted.happened_until


def read_event(database: Database, event_id: str) -> StoredEvent | None:
    """The event with this id, also when it is stored under an id made of it; `None` when there is none."""
    try:
        parsed = UUID(event_id)
    except ValueError:
        ids = [event_id]
    else:
        ids = [event_id, str(parsed), late_id(parsed)]
    ids = database.possible_ids(ids)
    if not ids:
        return None
    with database.reading() as connection:
        row = connection.execute(select(logs).where(logs.c.event_id.in_(ids)).order_by(logs.c.id).limit(1)).first()
    return None if row is None else make_event(row)


def make_event(row: Row[Any]) -> StoredEvent:
    """The event of a row of `logs`."""
    # in the order of the columns of `logs`
    row_id, event_id, timestamp, host, os_type, event_type, severity, source_ip, user, message, created_at = tuple(row)
    return StoredEvent(
        row_id, _text(event_id), timestamp, _text(host), _text(os_type), _text(event_type),
        severity if isinstance(severity, int) else None, _text(source_ip), _text(user), _text(message), created_at,
    )  # fmt: skip


def _text(value: object) -> str:
    """A text of a row; an old database may hold NULL, a number or bytes in its place."""
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return "" if value is None else str(value)
