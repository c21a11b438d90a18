# ruff: noqa: S608 -- the names are of the database's own tables, quoted
"""SQLite's snapshot: a copy of the file, made while others write, and put in place of none.

A reader of the write-ahead log holds no writer up; only the log grows meanwhile. So the copy is made first, as fast as
the disk is, and what takes longer is done with the copy.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from core.errors import Conflict, Invalid, Unavailable
from core.home import sync_folder
from store.migrations import check_known, read_version
from store.snapshot import FLEETING, SQLITE_PART, Part, TableTold, Told
from store.sqlite import SCHEME, SQLite, as_sqlite, find_path
from store.store import open_store

_PAGES_PER_STEP = 4_096
_CHUNK_BYTES = 1024 * 1024
# without the events' rows their ids begin anew: what is known by them would be of other rows
_BY_EVENT = ("cursors", "log_blocks")


@contextmanager
def open_snapshot(url: str, scratch: Path, *, events: bool) -> Iterator[SQLiteSnapshot]:
    """See `backup.open_snapshot`."""
    path = find_path(url)
    if not path.exists():
        raise Invalid(f"there is no database {path}: nothing to back up")
    database = SQLite(url)
    copy = scratch / SQLITE_PART
    try:
        with database.translated(), database.reader.connect() as connection:
            raw = as_sqlite(connection.connection.driver_connection)
            if not events:
                raw.execute("ATTACH ? AS copied", (str(copy),))
            # the first look begins the snapshot
            raw.execute("BEGIN")
            raw.execute("SELECT count(*) FROM sqlite_schema").fetchone()
            yield SQLiteSnapshot(database.name, raw, copy, events)
    finally:
        database.close()


class SQLiteSnapshot:
    """See `Snapshot`."""

    def __init__(self, name: str, raw: sqlite3.Connection, copy: Path, events: bool) -> None:
        self._name, self._raw, self._copy = name, raw, copy
        version = None
        if _has_table(raw, "schema_version"):
            version = next((str(row[0]) for row in raw.execute("SELECT version_num FROM schema_version")), None)
        check_known(version, f"database {name}")
        if not _has_table(raw, "logs"):
            raise Invalid(f"database {name} has no table logs: it is none of Heimdall's")
        self.told = Told("sqlite", version, events)

    def take_parts(self, say: Callable[[str], None]) -> Iterator[Part]:
        """See `Snapshot.take_parts`: the copy, whole before the first byte is given."""
        if self.told.events:
            self._copy_all(say)
        else:
            self._copy_without_events(say)
        if self._raw.in_transaction:
            self._raw.rollback()
        say("checking the copy")
        with closing(_open(self._copy)) as copied:
            copied.execute("PRAGMA journal_mode = DELETE")
            said = copied.execute("PRAGMA quick_check(1)").fetchone()[0]
            if said != "ok":
                raise Invalid(f"database {self._name} is damaged: {said}")
            self.told.tables = count_rows(copied)
        yield Part(SQLITE_PART, self._copy.stat().st_size, _read(self._copy))
        self._copy.unlink()

    def _copy_all(self, say: Callable[[str], None]) -> None:
        with closing(_open(self._copy)) as copied:

            def step(_status: int, remaining: int, total: int) -> None:
                say(f"copying the database: {100 * (total - remaining) // max(total, 1)} %")

            self._raw.backup(copied, pages=_PAGES_PER_STEP, progress=step)

    def _copy_without_events(self, say: Callable[[str], None]) -> None:
        schema = list(self._raw.execute("SELECT type, name, sql FROM main.sqlite_schema WHERE sql IS NOT NULL"))
        tables = [(name, sql) for kind, name, sql in schema if kind == "table" and not name.startswith("sqlite_")]
        with closing(_open(self._copy)) as copied:
            for _, sql in tables:
                copied.execute(sql)
        for name, _ in tables:
            if name != "logs" and name not in _BY_EVENT:
                say(f"copying the table {name}")
                self._raw.execute(f"INSERT INTO copied.{_quote(name)} SELECT * FROM main.{_quote(name)}")
        self._raw.commit()
        self._raw.execute("DETACH copied")
        with closing(_open(self._copy)) as copied:
            # triggers last: what they would add has been copied
            for kind in ("index", "view", "trigger"):
                for sql in (sql for its, _, sql in schema if its == kind):
                    copied.execute(sql)


def check_empty(url: str) -> None:
    """Raise `Conflict` when there is a database already."""
    path = find_path(url)
    for one in (path, Path(f"{path}-wal")):
        if one.exists():
            raise Conflict(f"{one} is there already: a backup is restored beside nothing, so move it away first")


@contextmanager
def open_target(url: str, told: Told) -> Iterator[SQLiteTarget]:
    """See `backup.open_target`: a file beside, which gets its name at the end."""
    path = find_path(url)
    if not path.parent.is_dir():
        raise Invalid(f"database {path}: its folder {path.parent} does not exist, make it first")
    partial = path.with_name(f".{path.name}.restoring")
    _remove(partial)
    try:
        yield SQLiteTarget(partial, told)
        check_empty(url)
        if Path(f"{partial}-wal").exists():
            raise Unavailable(f"{partial} is open elsewhere: who else reads it?")
        os.rename(partial, path)
        sync_folder(path.parent)
    except OSError as error:
        raise Unavailable(f"database {path} cannot be written ({error.strerror})") from error
    finally:
        _remove(partial)


class SQLiteTarget:
    """See `Target`."""

    def __init__(self, partial: Path, told: Told) -> None:
        self._partial, self._told = partial, told

    def put(self, name: str, chunks: Iterator[bytes]) -> None:
        """See `Target.put`."""
        if name != SQLITE_PART:
            raise Invalid(f"the backup has a part {name:.80} that no SQLite database has")
        descriptor = os.open(self._partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            for chunk in chunks:
                file.write(chunk)

    def finish(self) -> None:
        """See `Target.finish`."""
        if not self._partial.exists():
            raise Invalid("the backup has no database in it")
        database = SQLite(f"{SCHEME}{self._partial}")
        try:
            with database.reading() as connection:
                version = read_version(connection)
                found = count_rows(as_sqlite(connection.connection.driver_connection))
        finally:
            database.close()
        if version != self._told.schema or found != self._told.tables:
            raise Invalid("the backup's database has not the tables and rows that the backup says")
        store = open_store(f"{SCHEME}{self._partial}", checkpointer=True)
        try:
            with store.database.writing() as connection:
                connection.exec_driver_sql(f"DELETE FROM {FLEETING}")
        finally:
            # the last to close carries the write-ahead log over and removes it
            store.close()
        with self._partial.open("rb") as file:
            os.fsync(file.fileno())


def count_rows(connection: sqlite3.Connection) -> list[TableTold]:
    """Every table with its number of rows, by name."""
    names = connection.execute(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name"
    ).fetchall()
    return [
        TableTold(name, connection.execute(f"SELECT count(*) FROM {_quote(name)}").fetchone()[0]) for (name,) in names
    ]


def _open(path: Path) -> sqlite3.Connection:
    """A file that nobody else has: what a crash leaves of it is thrown away."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA synchronous = OFF")
    return connection


def _has_table(raw: sqlite3.Connection, name: str) -> bool:
    query = "SELECT 1 FROM main.sqlite_schema WHERE type IN ('table', 'view') AND name = ?"
    return raw.execute(query, (name,)).fetchone() is not None


def _read(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk


def _remove(partial: Path) -> None:
    for ending in ("", "-wal", "-shm", "-journal"):
        Path(f"{partial}{ending}").unlink(missing_ok=True)


def _quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
