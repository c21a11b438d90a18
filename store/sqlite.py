"""SQLite: how it is opened, how it writes, how its write-ahead log is kept small."""

from __future__ import annotations

import functools
import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, Table, case, create_engine, event, func, select, type_coerce
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import QueuePool

from core.clock import parse_time, rfc3339
from core.errors import Invalid, Unavailable
from core.ids import ingested_id
from store import tables, upserts
from store.columns import Moment
from store.database import WAIT_SECONDS, Database, EventRow, Locked, in_chunks

SCHEME = "sqlite:///"

_INSERT = (
    "INSERT INTO logs (event_id, timestamp, source_host, os_type, event_type, severity, source_ip, user,"
    " raw_message, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
)
_CHECKPOINT_PAGES = 16_384  # 64 MiB: each checkpoint writes a page once, however often it changed
_WAL_BYTES = 256 * 1024 * 1024  # beyond this, readers have held up the checkpoints
_WAL_RETRY = timedelta(seconds=5)
_WAL_WAIT_MS = 100  # a backup reads for minutes: waiting for that would stop all writing
_POLL_SECONDS = 0.002
_ADVANCE_BEATS = upserts.ADVANCE_BEATS.format(
    **{name: f"?{place}" for place, name in enumerate(upserts.ADVANCED, 1)}, source=""
)


class SQLite(Database):
    """A SQLite file. One process of all, `checkpointer`, carries its write-ahead log over.

    SQLite before 3.51.3 can damage a database when two processes checkpoint at once.
    """

    reuses_ids = True

    def __init__(self, url: str, *, checkpointer: bool = False) -> None:
        self.path = find_path(url)
        self.checkpointer = checkpointer
        self._next_truncate: datetime | None = None
        # an old database whose event ids are not unique has no index that finds all duplicates
        self._ids_unique = True
        # and one with ids of any text knows its events under two
        self._has_adopted_ids = False
        checkpoint_pages = _CHECKPOINT_PAGES if checkpointer else 0
        reader = create_engine(
            "sqlite://", creator=lambda: _connect(self.path, 0, 8_192), poolclass=QueuePool,
            pool_size=8, max_overflow=32, hide_parameters=True,
        )  # fmt: skip
        # a pool of one is the queue of this process's writers
        writer = create_engine(
            "sqlite://", creator=lambda: _connect(self.path, checkpoint_pages, 65_536), poolclass=QueuePool,
            pool_size=1, max_overflow=0, pool_timeout=WAIT_SECONDS, hide_parameters=True,
        )  # fmt: skip
        super().__init__(str(self.path), reader, writer)
        event.listen(reader, "begin", _begin_read)
        event.listen(writer, "begin", _begin_write)
        try:
            with self.translated():
                _make_file(self.path)
                self._start_wal()
        except BaseException:
            self.close()
            raise

    def _start_wal(self) -> None:
        """Write-ahead logging, which the file remembers; changing to it does not wait for locks by itself."""
        deadline = time.monotonic() + WAIT_SECONDS
        with self.writer.connect() as connection:
            raw = as_sqlite(connection.connection.driver_connection)
            while True:
                try:
                    mode = raw.execute("PRAGMA journal_mode = WAL").fetchone()[0]
                    break
                except sqlite3.OperationalError as error:
                    if not _is_busy(error) or time.monotonic() > deadline:
                        raise
                    time.sleep(_POLL_SECONDS)
        if mode != "wal":
            raise Invalid(f"database {self.path} cannot use write-ahead logging here: put it on a local disk")

    def lock(self, connection: Connection, what: Locked) -> None:
        """Nothing more to do: BEGIN IMMEDIATE is the lock."""

    def prepare_days(self, days: set[date], today: date) -> None:
        """Nothing to do: `logs` is one table."""

    def learn_indexes(self) -> None:
        """See, once the schema is made, whether a unique index covers every row of `logs`."""
        with self.reading() as connection:
            indexes = connection.exec_driver_sql("SELECT * FROM pragma_index_list('logs')").mappings().all()
            self._ids_unique = any(
                index["unique"] and not index["partial"] and index_columns(connection, index["name"]) == ["event_id"]
                for index in indexes
            )
            adopted = connection.exec_driver_sql("SELECT 1 FROM sqlite_schema WHERE name = 'adopted_ids'").first()
            self._has_adopted_ids = adopted is not None

    def insert_events(self, connection: Connection, rows: Sequence[EventRow]) -> set[str] | None:
        """See `Database.insert_events`: all at once, and row by row only when an id was there already."""
        if not self._has_adopted_ids:
            return self._insert_new(connection, rows)
        adopted = _find_known(connection, tables.adopted_ids, [row.event_id for row in rows])
        fresh = [row for row in rows if row.event_id not in adopted]
        inserted = self._insert_new(connection, fresh)
        return {row.event_id for row in fresh} if inserted is None and adopted else inserted

    def _insert_new(self, connection: Connection, rows: Sequence[EventRow]) -> set[str] | None:
        cursor = as_sqlite(connection.connection.driver_connection).cursor()
        if self._ids_unique:
            cursor.execute("SAVEPOINT events")
            cursor.executemany(_INSERT, rows)
            if cursor.rowcount == len(rows):
                cursor.execute("RELEASE events")
                return None
            cursor.execute("ROLLBACK TO events")
            cursor.execute("RELEASE events")
        fresh: dict[str, EventRow] = {}
        for row in rows:
            fresh.setdefault(row.event_id, row)
        for known in _find_known(connection, tables.logs, list(fresh)):
            del fresh[known]
        cursor.executemany(_INSERT, fresh.values())
        return None if len(fresh) == len(rows) else set(fresh)

    def upsert(self, connection: Connection, table: str, rows: Sequence[tuple[Any, ...]]) -> None:
        """See `Database.upsert`."""
        places = ", ".join("?" * len(rows[0]))
        statement = f"{upserts.INTO[table]} VALUES ({places}){upserts.ON_CONFLICT[table]}"
        as_sqlite(connection.connection.driver_connection).executemany(statement, rows)

    def advance_beats(self, connection: Connection, rows: Sequence[tuple[Any, ...]]) -> set[str]:
        """See `Database.advance_beats`: what is left has no repetition of a newest beat, which counts nothing."""
        cursor = as_sqlite(connection.connection.driver_connection).cursor()
        cursor.executemany(_ADVANCE_BEATS, rows)
        left = {row[0]: row[1:3] for row in rows}
        if cursor.rowcount == len(rows):
            return set()
        columns = (tables.beats.c.source_host, tables.beats.c.boot, tables.beats.c.seq)
        for chunk in in_chunks(list(left)):
            for host, *newest in connection.execute(select(*columns).where(columns[0].in_(chunk))):
                if left[host] == tuple(newest):
                    del left[host]
        return set(left)

    def newest_id(self, connection: Connection) -> int:
        """See `Database.newest_id`."""
        return connection.exec_driver_sql("SELECT max(id) FROM logs").scalar() or 0

    def settled_id(self, connection: Connection) -> int:
        """See `Database.settled_id`: here one transaction writes after the other."""
        return self.newest_id(connection)

    def comparable_time(self, column: Column[Any]) -> ColumnElement[Any]:
        """See `Database.comparable_time`: our own format as it is, others read one by one."""
        ours = (func.length(column) == 27) & (func.substr(column, 27) == "Z")
        return case((ours, column), else_=func.readable_time(column, type_=column.type))

    def minute(self, column: Column[Any]) -> ColumnElement[datetime]:
        """See `Database.minute`."""
        begun = func.substr(self.comparable_time(column), 1, 16).op("||")(":00.000000Z")
        return type_coerce(begun, Moment())

    def holds(self, column: Column[Any], part: str) -> ColumnElement[bool]:
        """See `Database.holds`: here LIKE itself minds no case, and takes a third of the time that lower() costs."""
        return column.contains(part, autoescape=True)

    def possible_ids(self, ids: list[str]) -> list[str]:
        """See `Database.possible_ids`: an old database has ids of any text."""
        return ids

    def after_write(self, now: datetime) -> None:
        """Cut the write-ahead log when readers kept the automatic checkpoints from starting it anew."""
        if not self.checkpointer or (self._next_truncate is not None and now < self._next_truncate):
            return
        try:
            size = os.stat(f"{self.path}-wal").st_size
        except FileNotFoundError:
            return
        if size > _WAL_BYTES:
            self._next_truncate = now + _WAL_RETRY
            # outside a transaction; it waits for readers as long as busy_timeout says, and nobody writes meanwhile
            with self.translated(), self.writer.connect() as connection:
                raw = as_sqlite(connection.connection.driver_connection)
                raw.execute(f"PRAGMA busy_timeout = {_WAL_WAIT_MS}")
                try:
                    raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                finally:
                    raw.execute("PRAGMA busy_timeout = 5000")


@contextmanager
def as_it_is(path: Path) -> Iterator[Connection]:
    """A look at the database at `path`: opened as a `SQLite` its journal would be changed. Raises `Unavailable`."""
    engine = create_engine("sqlite://", creator=lambda: sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True))
    try:
        with engine.connect() as connection:
            yield connection
    except (sqlite3.Error, DBAPIError) as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        raise Unavailable(f"database {path} cannot be read: {cause}") from error
    finally:
        engine.dispose()


def index_columns(connection: Connection, index: str) -> list[str | None]:
    """The columns of an index, `None` for an expression."""
    return list(connection.exec_driver_sql("SELECT name FROM pragma_index_info(?)", (index,)).scalars())


def find_path(url: str) -> Path:
    """The file that a URL names. Raises `Invalid`."""
    path = url.removeprefix(SCHEME)
    if not path or path == ":memory:" or "\0" in path:
        raise Invalid(f"HEIMDALL_DATABASE_URL {url!r:.200}: use sqlite:///PATH of a file")
    return Path(path).absolute()


def _make_file(path: Path) -> None:
    """Make the file for its owner alone: SQLite would use the umask.

    One that is there is not opened: closing it would take from this process the locks by which SQLite holds it
    elsewhere in it (the C library's `fcntl`), and the next process that leaves would remove the log under it.
    """
    if path.is_dir():
        raise Invalid(f"database {path} is a folder: name a file in it")
    if not path.parent.is_dir():
        raise Invalid(f"database {path}: its folder {path.parent} does not exist, make it first")
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        if not os.access(path, os.R_OK | os.W_OK):
            raise Unavailable(f"database {path} cannot be opened for writing: it may not be written") from None
    except OSError as error:
        raise Unavailable(f"database {path} cannot be opened for writing: {error.strerror}") from error


def _connect(path: Path, checkpoint_pages: int, cache_kib: int) -> sqlite3.Connection:
    # isolation_level None: the driver begins and commits nothing by itself
    connection = sqlite3.connect(path, timeout=WAIT_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        _prepare(connection, checkpoint_pages, cache_kib)
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection, checkpoint_pages: int, cache_kib: int) -> None:
    # rows of an old database may hold text that is not UTF-8
    connection.text_factory = functools.partial(str, encoding="utf-8", errors="replace")
    connection.create_function("other_id", 2, _other_id, deterministic=True)
    connection.create_function("readable_time", 1, _readable_time_or_null, deterministic=True)
    for pragma in (
        "busy_timeout = 5000",
        "synchronous = FULL",
        f"wal_autocheckpoint = {checkpoint_pages}",
        f"journal_size_limit = {_CHECKPOINT_PAGES * 4096}",
        f"cache_size = -{cache_kib}",
        "temp_store = MEMORY",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _other_id(host: object, text: object) -> str | None:
    """For SQL: the id under which `POST /ingest` stores what an old row calls `text`, NULL when it is that."""
    made = str(ingested_id(str(host), str(text)))
    return None if made == text else made


def _readable_time_or_null(value: object) -> str | None:
    """For SQL: a stored time as RFC 3339 in UTC, NULL when it cannot be read."""
    try:
        return rfc3339(parse_time(value))  # type: ignore[arg-type]
    except Invalid:
        return None


def as_sqlite(connection: Any) -> sqlite3.Connection:
    """The driver's own connection: SQLAlchemy's layers cost more than the insert does."""
    if not isinstance(connection, sqlite3.Connection):
        raise TypeError(f"{type(connection).__name__} is not a connection of sqlite3")
    return connection


def _is_busy(error: sqlite3.OperationalError) -> bool:
    return error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def _begin_read(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN")


def _begin_write(connection: Connection) -> None:
    """BEGIN IMMEDIATE, tried every 2 ms.

    SQLite's own waiting sleeps up to 100 ms between tries and so meets the short gaps between the transactions
    of a busy ingestor by chance alone: an operator's login would wait for seconds.
    """
    raw = as_sqlite(connection.connection.driver_connection)
    deadline = time.monotonic() + connection.get_execution_options().get("wait_seconds", WAIT_SECONDS)
    raw.execute("PRAGMA busy_timeout = 0")
    try:
        while True:
            try:
                raw.execute("BEGIN IMMEDIATE")
                return
            except sqlite3.OperationalError as error:
                if not _is_busy(error) or time.monotonic() > deadline:
                    raise
            time.sleep(_POLL_SECONDS)
    finally:
        raw.execute("PRAGMA busy_timeout = 5000")


def _find_known(connection: Connection, table: Table, ids: list[str]) -> set[str]:
    """Those of `ids` that stand in the column `event_id` of `table`."""
    known: set[str] = set()
    for chunk in in_chunks(ids):
        known.update(connection.execute(select(table.c.event_id).where(table.c.event_id.in_(chunk))).scalars())
    return known
