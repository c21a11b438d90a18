"""What the whole fleet is like at a moment, of which each part is read by an index or from what was counted."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, case, func, or_, select

from core.messages import Alert
from store.alerts import make_alert
from store.database import Database
from store.histogram import SEVERITIES
from store.rows import Outage
from store.tables import alerts, event_hours, event_minutes, outages

MINUTES = 60
_SHOWN = 20
_IS_OPEN = alerts.c.resolved_at.is_(None)


class Summary(NamedTuple):
    """Counts at a moment.

    `went` counts the outages that began in the last hour, but for absences that were announced, `returned` those that
    ended, and `changes` are the newest of both. `minutes` counts the events that were stored in each of the last 60
    minutes, the running one last; `severities` those of the hours that began in the last 24, severity 1 first.
    """

    went: int
    returned: int
    changes: list[Outage]
    open_alerts: int
    acked_alerts: int
    alerts: list[Alert]
    minutes: list[int]
    severities: list[int]


def read_summary(database: Database, now: datetime) -> Summary:
    """The summary at `now`; its alerts are the newest of those that are open."""
    with database.reading() as connection:
        return Summary(
            *_read_changes(connection, now - timedelta(hours=1)), *_read_alerts(connection), *_count(connection, now)
        )


def count_alerts(database: Database) -> tuple[int, int]:
    """How many alerts are open, and how many of those are acknowledged."""
    with database.reading() as connection:
        return _count_alerts(connection)


def _read_changes(connection: Connection, since: datetime) -> tuple[int, int, list[Outage]]:
    began, ended = outages.c.began_at >= since, outages.c.ended_at >= since
    columns = (outages.c.source_host, outages.c.began_at, outages.c.ended_at, outages.c.cause)
    latest = case((ended, outages.c.ended_at), else_=outages.c.began_at)
    newest = select(*columns).where(or_(began, ended)).order_by(latest.desc(), outages.c.id.desc()).limit(_SHOWN)
    return (
        _number(connection, outages.c.id, began, outages.c.cause != "away"),
        _number(connection, outages.c.id, ended),
        [Outage(*row) for row in connection.execute(newest)],
    )


def _read_alerts(connection: Connection) -> tuple[int, int, list[Alert]]:
    newest = select(alerts).where(_IS_OPEN).order_by(alerts.c.id.desc()).limit(_SHOWN)
    return *_count_alerts(connection), [make_alert(row) for row in connection.execute(newest)]


def _count_alerts(connection: Connection) -> tuple[int, int]:
    return (
        _number(connection, alerts.c.id, _IS_OPEN),
        _number(connection, alerts.c.id, _IS_OPEN, alerts.c.acked_at.is_not(None)),
    )


def _number(connection: Connection, column: ColumnElement[Any], *conditions: ColumnElement[bool]) -> int:
    return connection.execute(select(func.count(column)).where(*conditions)).scalar_one()


def _count(connection: Connection, now: datetime) -> tuple[list[int], list[int]]:
    counted = event_minutes.c
    begin = now.replace(second=0, microsecond=0) - timedelta(minutes=MINUTES - 1)
    by_minute = select(counted.minute, func.sum(counted.events)).where(counted.minute >= begin).group_by(counted.minute)
    minutes = [0] * MINUTES
    for minute, events in connection.execute(by_minute):
        place = int((minute - begin).total_seconds()) // 60
        if place < MINUTES:  # a clock that was ahead has counted in minutes to come
            minutes[place] = int(events)
    hours = event_hours.c
    day = hours.hour > now - timedelta(hours=24)
    by_severity = select(hours.severity, func.sum(hours.events)).where(day).group_by(hours.severity)
    found: dict[int, int] = {severity: int(events) for severity, events in connection.execute(by_severity)}
    return minutes, [found.get(level, 0) for level in range(1, SEVERITIES + 1)]
