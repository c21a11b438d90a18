"""Reading events: last stored first, a page at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Row, func, or_, select

from core.errors import Invalid
from store.database import Database
from store.events import late_id
from store.rows import EventFilter, StoredEvent
from store.tables import logs
from store.walk import LOOK_SECONDS, find_span, walk

_LARGEST_ID = 2**63 - 1


class EventPage(NamedTuple):
    """Events, last stored first, and the id below which there may be more; `None` when there are none."""

    events: list[StoredEvent]
    end: int | None


def read_events(
    database: Database, wanted: EventFilter, limit: int, before: int | None, seconds: float = LOOK_SECONDS
) -> EventPage:
    """At most `limit` events that fit `wanted`, those with `id` < `before`, last stored first.

    What is rare is looked for as long as `seconds` say: there may be fewer than `limit` then, and more behind them.
    Raises `Invalid` when a value of `wanted` or `before` is none that a database can compare.
    """
    if before is not None and not 0 <= before <= _LARGEST_ID:
        raise Invalid(f"before {before!r:.40} is no id of an event")
    found: list[StoredEvent] = []
    rest: int | None = None
    with database.reading() as connection:
        query = select(logs).where(*conditions(wanted, database)).order_by(logs.c.id.desc())
        newest = database.newest_id(connection)
        newest = newest if before is None else min(newest, before - 1)
        span = find_span(connection, newest, wanted.since, wanted.until)
        for piece in walk(span, indexed=is_indexed(wanted), seconds=seconds):
            page = query.where(piece.condition).limit(limit + 1 - len(found))
            found.extend(make_event(row) for row in connection.execute(page))
            rest = piece.rest
            if len(found) > limit:
                return EventPage(found[:limit], found[limit - 1].id)
            if len(found) == limit and rest is not None:
                return EventPage(found, rest)
    return EventPage(found, rest)


def is_indexed(wanted: EventFilter) -> bool:
    """Whether an index finds what fits, within a segment."""
    return wanted.source_host is not None or wanted.event_type is not None


def conditions(wanted: EventFilter, database: Database) -> Iterator[ColumnElement[bool]]:
    """That a row fits `wanted`. Raises `Invalid`."""
    column = logs.c
    if wanted.source_host is not None:
        yield column.source_host == wanted.source_host
    if wanted.source_ip is not None:
        yield column.source_ip == wanted.source_ip
    # rows of an old database have these in any case of letters
    if wanted.event_type is not None:
        # upper() is what the index has; of one host's rows, that of hosts is to be taken
        by_host = wanted.source_host is not None
        fold = func.lower if by_host else func.upper
        yield fold(column.event_type) == (wanted.event_type.lower() if by_host else wanted.event_type.upper())
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
        yield or_(database.holds(column.raw_message, wanted.q), database.holds(column.user, wanted.q))
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
