"""Hours of heartbeats become days when they are old, and days go when they are older than what is kept."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Column, Connection, Table, delete, func, literal, select
from sqlalchemy.dialects import postgresql, sqlite

from store.beat_figures import HOURS_DAYS
from store.database import Database
from store.tables import beat_days, beat_hours
from store.upserts import COUNTED_COLUMNS

_HOSTS_PER_TRANSACTION = 500  # some ten milliseconds, in which no heartbeat is written


def roll_up_beats(database: Database, now: datetime, keep_days: int) -> int:
    """Add the hours older than 14 days to their days, delete the days older than `keep_days`; how many rows went.

    Each of its transactions adds some rows to their days and deletes them: killed at any moment, or run twice, or twice
    at once, it has counted each hour once.
    """
    hours = _work_off(database, beat_hours.c.hour, now - timedelta(days=min(HOURS_DAYS, keep_days)), add=True)
    return hours + _work_off(database, beat_days.c.day, now - timedelta(days=keep_days), add=False)


def _work_off(database: Database, time: Column[datetime], before: datetime, *, add: bool) -> int:
    done = 0
    while moved := _move_some(database, time, before, add=add):
        done += moved
    return done


def _move_some(database: Database, time: Column[datetime], before: datetime, *, add: bool) -> int:
    """In one transaction: some hosts of the oldest hour or day."""
    table = time.table
    if not isinstance(table, Table):
        raise TypeError(f"{time} is no column of a table")
    with database.reading() as connection:
        if connection.execute(select(time).where(time < before).limit(1)).first() is None:
            return 0
    with database.writing() as connection:
        database.lock(connection, "beats")
        oldest = connection.execute(select(func.min(time)).where(time < before)).scalar()
        if oldest is None:
            return 0
        # one that is still counted to, as by an ingestor that was stopped for days, is waited for
        hosts = select(table.c.source_host).where(time == oldest).order_by(table.c.source_host)
        names = [*connection.execute(hosts.limit(_HOSTS_PER_TRANSACTION).with_for_update()).scalars()]
        if add:
            _add_to_day(connection, oldest, names)
        connection.execute(delete(table).where(time == oldest, table.c.source_host.in_(names)))
    return len(names)


def _add_to_day(connection: Connection, hour: datetime, names: list[str]) -> None:
    day = literal(hour.replace(hour=0), beat_days.c.day.type)
    counted = select(day, beat_hours.c.source_host, *(beat_hours.c[name] for name in COUNTED_COLUMNS)).where(
        beat_hours.c.hour == hour, beat_hours.c.source_host.in_(names)
    )
    make = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    columns = ["day", "source_host", *COUNTED_COLUMNS]
    adding = make(beat_days).from_select(columns, counted)
    sums = {name: beat_days.c[name] + adding.excluded[name] for name in COUNTED_COLUMNS}
    connection.execute(adding.on_conflict_do_update(index_elements=["day", "source_host"], set_=sums))
