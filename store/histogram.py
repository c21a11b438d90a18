"""How many events there were, over time: from what was counted as they were stored, or by counting those that fit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from sqlalchemy import Connection, func, select

from core.clock import parse_time
from store.database import Database
from store.log_counts import MINUTES_KEPT
from store.queries import conditions, is_indexed
from store.rows import EventFilter
from store.tables import event_hours, event_minutes, logs
from store.walk import LOOK_SECONDS, find_span, walk

SEVERITIES = 5
HOUR_SECONDS = 3_600
# seconds of a bucket
BUCKETS = (60, 300, 900, HOUR_SECONDS, 10_800, 21_600, 86_400, 604_800, 2_592_000, 31_536_000)
_EARLIEST, _LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)


class Histogram(NamedTuple):
    """Events that were stored in each bucket, by severity (1 first), from `since` on, `bucket_seconds` each.

    When `counted_since` is later than `since`, the look ended there: nothing older is counted. Of rows of an old
    database that have no severity there is no count.
    """

    since: datetime
    bucket_seconds: int
    counts: list[list[int]]
    counted_since: datetime


def count_events(
    database: Database,
    wanted: EventFilter,
    since: datetime,
    until: datetime,
    buckets: int,
    now: datetime,
    seconds: float = LOOK_SECONDS,
) -> Histogram:
    """Count what fits `wanted` in at most `buckets` buckets that cover `since` to `until`; its own times are not used.

    Buckets begin at multiples of their length (UTC), so the first may begin before `since` and the last end after
    `until`: all of them are counted whole.
    """
    since, until = min(max(since, _EARLIEST), _LATEST), min(max(until, _EARLIEST), _LATEST)
    wide = (until - since).total_seconds()
    length = next((one for one in BUCKETS if wide / one + 1 <= buckets), BUCKETS[-1])
    first = int(since.timestamp()) // length * length
    number = max(1, -(-(int(until.timestamp()) - first) // length))
    begin = datetime.fromtimestamp(first, UTC)
    end = begin + timedelta(seconds=number * length)
    made = Histogram(begin, length, [[0] * SEVERITIES for _ in range(number)], begin)
    with database.reading() as connection:
        if _is_counted(wanted) and (length >= HOUR_SECONDS or begin >= now - MINUTES_KEPT):
            for moment, severity, events in _read_counts(connection, wanted, made, end):
                _add(made, moment, severity, events)
            return made
        return made._replace(counted_since=_count_rows(database, connection, wanted, made, end, seconds))


def _is_counted(wanted: EventFilter) -> bool:
    others = (wanted.source_host, wanted.source_ip, wanted.q, wanted.happened_since, wanted.happened_until)
    return not any(others)


def _read_counts(
    connection: Connection, wanted: EventFilter, made: Histogram, end: datetime
) -> Iterator[tuple[datetime, int, int]]:
    table, period = (event_hours, "hour") if made.bucket_seconds >= HOUR_SECONDS else (event_minutes, "minute")
    counted, begun = table.c, table.c[period]
    query = select(begun, counted.severity, func.sum(counted.events)).where(begun >= made.since, begun < end)
    if wanted.event_type is not None:
        query = query.where(counted.event_type == wanted.event_type.upper())
    if wanted.os_type is not None:
        query = query.where(counted.os_type == wanted.os_type.upper())
    if wanted.severity_gte is not None:
        query = query.where(counted.severity >= wanted.severity_gte)
    for moment, severity, events in connection.execute(query.group_by(begun, counted.severity)):
        yield moment, severity, int(events)


def _count_rows(
    database: Database, connection: Connection, wanted: EventFilter, made: Histogram, end: datetime, seconds: float
) -> datetime:
    """Count rows, the newest first; since when (what was stored) they are counted."""
    stored, minute = database.comparable_time(logs.c.created_at), database.minute(logs.c.created_at)
    fits = (*conditions(replace(wanted, since=None, until=None), database), stored >= made.since, stored < end)
    query = select(minute, logs.c.severity, func.count()).where(*fits).group_by(minute, logs.c.severity)
    span = find_span(connection, database.newest_id(connection), made.since, end)
    rest: int | None = None
    for piece in walk(span, indexed=is_indexed(wanted), seconds=seconds):
        for moment, severity, events in connection.execute(query.where(piece.condition)):
            _add(made, moment, severity, events)
        rest = piece.rest
    if rest is None:
        return made.since
    left = select(stored).where(logs.c.id < rest, stored < end).order_by(logs.c.id.desc()).limit(1)
    reached = connection.execute(left).scalar()
    return made.since if reached is None else max(made.since, parse_time(reached))


def _add(made: Histogram, moment: datetime, severity: object, events: int) -> None:
    place = int((moment - made.since).total_seconds()) // made.bucket_seconds
    if isinstance(severity, int) and 1 <= severity <= SEVERITIES and 0 <= place < len(made.counts):
        made.counts[place][severity - 1] += events
