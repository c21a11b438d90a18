"""Partitions of `logs` in PostgreSQL: one a day (UTC) by the time in the version 7 id, and a default one.

Ids of other versions lie in the default partition, or in the day's whose range they happen to fall in.
"""

from __future__ import annotations

import random
import threading
import time
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

import psycopg.errors
import sqlalchemy.exc

from core.errors import Unavailable

if TYPE_CHECKING:
    from store.postgres import PostgreSQL

PARTITIONS_LOCK = 0x6865696D_64616C03
_ATTEMPTS = 40
_LOCK_TIMEOUT_MS = 250
_MS_PER_DAY = 86_400_000


def partition_name(day: date) -> str:
    """The table of `day`, such as `logs_20251203`."""
    return f"logs_{day:%Y%m%d}"


def day_of(ms: int) -> date:
    """The day (UTC) of milliseconds since 1970, such as a version 7 id carries."""
    return date(1970, 1, 1) + timedelta(days=ms // _MS_PER_DAY)


def first_id(day: date) -> UUID:
    """The smallest id that belongs to `day`."""
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return UUID(int=int(start.timestamp() * 1000) << 80)


class Partitions:
    """Which partitions exist, and the making of those that do not. Safe for threads and processes."""

    def __init__(self, database: PostgreSQL) -> None:
        self._database = database
        self._known: set[date] = set()
        self._lock = threading.Lock()

    def make(self, days: set[date]) -> None:
        """Make the partitions of `days` that are absent. Raises `Unavailable` when no lock is to be had."""
        if days <= self._known:
            return
        with self._lock:
            for day in sorted(days - self._known):
                self._make_day(day)
                self._known.add(day)

    def _make_day(self, day: date) -> None:
        for _ in range(_ATTEMPTS):
            try:
                self._try_day(day)
                return
            except Unavailable as error:
                # somebody reads or writes the default partition: let them, and those who queued behind us
                if not _is_lock_timeout(error):
                    raise
                time.sleep(random.uniform(0.02, 0.2))
        raise Unavailable(f"database {self._database.name}: no lock to make the partition {partition_name(day)}")

    def _try_day(self, day: date) -> None:
        """One short transaction.

        1. One maker at a time: an advisory lock.
        2. The parent and the default partition are locked, so that no row of the day can come in.
        3. A table of its own takes the day's rows out of the default partition.
        4. It is attached.
        """
        name, low, high = partition_name(day), first_id(day), first_id(day + timedelta(days=1))
        with self._database.writing() as connection:
            run = connection.exec_driver_sql
            run(f"SET LOCAL lock_timeout = {_LOCK_TIMEOUT_MS}")
            run("SELECT pg_advisory_xact_lock(%s)", (PARTITIONS_LOCK,))
            if run("SELECT to_regclass(%s)", (name,)).scalar() is not None:
                return
            run("LOCK TABLE ONLY logs IN SHARE UPDATE EXCLUSIVE MODE")
            run("LOCK TABLE logs_default IN ACCESS EXCLUSIVE MODE")
            run(f"CREATE TABLE {name} (LIKE logs INCLUDING DEFAULTS INCLUDING CONSTRAINTS)")
            moved = "DELETE FROM logs_default WHERE event_id >= %s AND event_id < %s RETURNING *"
            run(f"WITH moved AS ({moved}) INSERT INTO {name} SELECT * FROM moved", (low, high))  # noqa: S608 -- a date
            run(f"ALTER TABLE logs ATTACH PARTITION {name} FOR VALUES FROM ('{low}') TO ('{high}')")


def _is_lock_timeout(error: Unavailable) -> bool:
    cause = error.__cause__
    if isinstance(cause, sqlalchemy.exc.DBAPIError):
        cause = cause.orig
    return isinstance(cause, psycopg.errors.LockNotAvailable)
