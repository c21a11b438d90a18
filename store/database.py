"""A database that is open: what SQLite and PostgreSQL share. Each has a module for what differs."""

from __future__ import annotations

import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from typing import Any, Literal, NamedTuple, TypeVar

import psycopg
import psycopg.errors
import sqlalchemy.exc
from sqlalchemy import Column, ColumnElement, Connection, Engine

from core.errors import Invalid, Unavailable

_VALUES_PER_QUERY = 1_000
WAIT_SECONDS = 30.0  # for the right to write and for a free connection

_DRIVERS = (sqlite3.Error, psycopg.Error)
_UNSTORABLE = (UnicodeEncodeError, OverflowError, sqlite3.DataError, psycopg.DataError)
_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT})


Value = TypeVar("Value")

# what changes in a transaction that first looks, so that one process at a time may
Locked = Literal["schema", "leases", "keys", "enrolment", "beats", "verdicts"]


def in_chunks(values: Sequence[Value]) -> Iterator[Sequence[Value]]:
    """`values`, a thousand at a time: as many parameters as every SQLite takes in one statement."""
    return (values[start : start + _VALUES_PER_QUERY] for start in range(0, len(values), _VALUES_PER_QUERY))


class Unstorable(Invalid):
    """A value that the database can never store: the same again fails again, its neighbours do not."""


class Unusable(Unavailable):
    """The database is damaged, or refuses its user: somebody must mend it. `open_store` makes `Invalid` of it."""


class EventRow(NamedTuple):
    """A row of `logs` as it is written, times and id as text, in the order of its columns after `id`."""

    event_id: str
    timestamp: str
    source_host: str
    os_type: str
    event_type: str
    severity: int
    source_ip: str
    user: str
    raw_message: str
    created_at: str

    @property
    def body(self) -> tuple[Any, ...]:
        """What tells a duplicate from a conflict (`tables.BODY_COLUMNS`)."""
        return self[1:9]


class Database(ABC):
    """One open database. Its methods may be called from any thread and raise `Unavailable`.

    `name` is fit for messages: never with a password.
    """

    # who counts in rows of its own (`log_blocks`, `event_minutes`); in SQLite one writes at a time anyway
    writer_id = 0
    # whether the id of a row that is deleted, and was the newest, is given again
    reuses_ids = False

    def __init__(self, name: str, reader: Engine, writer: Engine) -> None:
        self.name = name
        self.reader = reader
        self.writer = writer

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that reads one state of the database and holds nobody up."""
        with self.translated(), self.reader.begin() as connection:
            yield connection

    @contextmanager
    def writing(self, wait_seconds: float = WAIT_SECONDS) -> Iterator[Connection]:
        """A transaction that writes: committed at the end, rolled back when anything is raised in it."""
        with self.translated(), self.writer.connect() as connection:
            connection.execution_options(wait_seconds=wait_seconds)
            try:
                with connection.begin():
                    yield connection
            except (*_DRIVERS, sqlalchemy.exc.DBAPIError):
                # it may be broken, and what the driver itself raised the pool has not seen
                connection.invalidate()
                raise

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Turn a driver's error into ours.

        Raises `Unstorable` when the database cannot store a value, and `Unavailable` for all else: away, locked, full,
        read-only, damaged, a right revoked or a table renamed for a while. No caller's input is at fault then.
        """
        try:
            yield
        except sqlalchemy.exc.TimeoutError as error:
            raise Unavailable(f"database {self.name}: all connections are in use") from error
        except sqlalchemy.exc.DBAPIError as error:
            raise self._explain(error.orig) from error
        except (*_DRIVERS, UnicodeEncodeError, OverflowError) as error:
            raise self._explain(error) from error

    def _explain(self, error: BaseException | None) -> Unstorable | Unavailable:
        if isinstance(error, _UNSTORABLE):
            return Unstorable(f"database {self.name} cannot store a value: {type(error).__name__}: {error}")
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGED:
            return Unusable(f"database {self.name} is damaged or no SQLite database: {error}")
        if isinstance(error, psycopg.errors.InsufficientPrivilege):
            return Unusable(f"database {self.name} refuses its user: {error}; make the user the database's owner")
        return Unavailable(f"database {self.name} is unavailable: {str(error).strip() or type(error).__name__}")

    @abstractmethod
    def lock(self, connection: Connection, what: Locked) -> None:
        """Wait until no other process changes `what`, and keep others waiting until the commit."""

    @abstractmethod
    def prepare_days(self, days: set[date], today: date) -> None:
        """Make what must exist before rows with version 7 ids of `days` (UTC) can be written."""

    @abstractmethod
    def insert_events(self, connection: Connection, rows: Sequence[EventRow]) -> set[str] | None:
        """Insert the rows whose id is new, of several with one id the first.

        Returns the ids stored, or `None` when every row was.
        """

    @abstractmethod
    def upsert(self, connection: Connection, table: str, rows: Sequence[tuple[Any, ...]]) -> None:
        """Upsert `rows`, one a host and sorted by it, into one of the tables that `upserts` knows."""

    @abstractmethod
    def advance_beats(self, connection: Connection, rows: Sequence[tuple[Any, ...]]) -> set[str]:
        """Count beats, one a host and sorted by it, that are the next of their boots (see `upserts.ADVANCE_BEATS`).

        Returns the hosts whose beat was not that, and is not counted.
        """

    @abstractmethod
    def newest_id(self, connection: Connection) -> int:
        """An id that no row of `logs` exceeds, without counting them; 0 when there is none."""

    @abstractmethod
    def settled_id(self, connection: Connection) -> int:
        """An id up to which no row of `logs` comes any more: whoever has read that far has missed none."""

    @abstractmethod
    def comparable_time(self, column: Column[Any]) -> ColumnElement[Any]:
        """A time column of `logs` as what can be compared with a moment."""

    @abstractmethod
    def minute(self, column: Column[Any]) -> ColumnElement[datetime]:
        """The minute that a time column of `logs` lies in."""

    @abstractmethod
    def holds(self, column: Column[Any], part: str) -> ColumnElement[bool]:
        """Whether a text has this part, in either case of (at least ASCII's) letters."""

    @abstractmethod
    def possible_ids(self, ids: list[str]) -> list[str]:
        """Those of `ids` that `logs` can hold."""

    @abstractmethod
    def after_write(self, now: datetime) -> None:
        """Do what a commit makes necessary."""

    def close(self) -> None:
        """Close every connection."""
        self.reader.dispose()
        self.writer.dispose()
