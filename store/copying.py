# ruff: noqa: S608 -- the statements are made of our own names
"""Moving a SQLite database to PostgreSQL while it is in use.

1. `logs` block by block, each in one transaction of the target; then every block is read back and compared. Meanwhile
   SQLite's triggers note the blocks in which rows are changed or deleted, and those are copied again.
2. With SQLite's write lock held, so that whoever stores waits: the last block, then every other table.
3. Still with the lock, once all of it is committed in PostgreSQL: SQLite's database is marked as moved.

Killed anywhere, the same again goes on: until the last step ends nobody can work with the target.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from typing import NamedTuple
from uuid import uuid4

import psycopg
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import inspect

from core.clock import utc_now
from core.errors import Invalid
from store.copy_lines import Checksum, column_names, log_lines
from store.copy_source import CHANGED, block_from, find_days, newest_block, note_changes, open_reader, read_rows
from store.copy_target import Block, CopyTarget, block_ids
from store.database import Unusable
from store.migrations import upgrade_schema
from store.moved import COPY, mark_moved, read_moved
from store.postgres import PostgreSQL
from store.sqlite import SCHEME, SQLite, find_path
from store.tables import BLOCK_ROWS, logs, metadata

_ROWS_AT_ONCE = 1_000
_FEW_BLOCKS = 2  # so many are copied with the lock held
_LOCK_WAIT_SECONDS = 120.0


class Progress(NamedTuple):
    """What is being done (`copy`, `check`, `stop`), to how many rows it was, and about how many are left."""

    doing: str
    rows: int
    left: int


Tell = Callable[[Progress], None]


@dataclass
class Copied:
    """What was moved. `changed` tells what could not be stored: of each kind how many rows, and the first ids."""

    target: str
    tables: dict[str, int] = field(default_factory=dict)
    checksum: str = ""
    new_ids: int = 0
    changed: dict[str, list[int]] = field(default_factory=dict)
    seconds: float = 0.0
    stopped_seconds: float = 0.0


def shown_url(url: str) -> str:
    """A URL of PostgreSQL without its password. Raises `Invalid`, not showing it, when it is none."""
    if not url.startswith(("postgresql://", "postgres://")):
        raise Invalid("--to: use postgresql://USER@HOST/NAME")
    try:
        parts = conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        raise Invalid("--to: use postgresql://USER@HOST/NAME, options as libpq has them") from None
    user, host, port = parts.get("user"), parts.get("host"), parts.get("port")
    return (
        f"postgresql://{f'{user}@' if user else ''}{host or ''}{f':{port}' if port else ''}/{parts.get('dbname', '')}"
    )


def copy_database(source_url: str, target_url: str, keep_days: int, tell: Tell) -> Copied:
    """Move the SQLite database at `source_url` to the PostgreSQL database at `target_url`.

    Raises `Invalid` when they cannot be that, `Conflict` when a copy is running, `Differs` when the target holds
    something else than was sent, and `Unavailable`. The source stays in use until all is copied and compared.
    """
    if not source_url.startswith(SCHEME):
        raise Invalid("HEIMDALL_DATABASE_URL is not SQLite: what is moved is a SQLite database")
    shown = shown_url(target_url)
    if not find_path(source_url).exists():
        raise Invalid(f"database {find_path(source_url)} does not exist: there is nothing to move")
    try:
        with closing(SQLite(source_url)) as source, closing(PostgreSQL(target_url)) as target:
            copying = _Copying(source, CopyTarget(target), shown, keep_days, tell)
            with copying.target.held():
                return copying.run()
    except Unusable as error:
        raise Invalid(str(error)) from error


class _Copying:
    def __init__(self, source: SQLite, target: CopyTarget, shown: str, keep_days: int, tell: Tell) -> None:
        self.source, self.target = source, target
        self._shown, self._keep_days, self._tell = shown, keep_days, tell
        self._blocks: dict[int, Block] = {}
        self._unchecked: set[int] = set()
        self._copied_rows = 0

    def run(self) -> Copied:
        began = time.monotonic()
        done = Copied(self._shown)
        with self.source.reading() as connection:
            moved_to = read_moved(connection)
        if moved_to is None:
            self._begin()
            self._blocks = self.target.read_blocks()
            if self._blocks:
                # it may have been the last one when it was copied, and have got rows since
                self._forget(max(self._blocks))
            self._unchecked = set(self._blocks)
            with self.source.translated(), closing(open_reader(self.source.path)) as reader:
                self._catch_up(reader)
                self._finish(reader, done)
        else:
            # killed when all was done but to let go of the target
            if self.target.read_standing() != (self._read_source(), True):
                raise Invalid(f"database {self.source.name} was moved to {moved_to} already")
            self._blocks = self.target.read_blocks()
            done.tables = self.target.count_tables()
        self._sum_up(done)
        self.target.end()
        done.seconds = time.monotonic() - began
        return done

    def _begin(self) -> None:
        """Go on with what the target holds, or begin anew with an empty one."""
        upgrade_schema(self.source)
        standing = self.target.read_standing()
        if standing is None:
            self.target.begin(self._begin_notes())
        elif standing[0] != self._read_source():
            name = self.target.database.name
            raise Invalid(f"database {name} holds part of another copy, made anew since or elsewhere: use an empty one")

    def _begin_notes(self) -> str:
        """Have SQLite note which blocks are changed from now on; by what it returns the target knows this copy."""
        name = str(uuid4())
        with self.source.writing(_LOCK_WAIT_SECONDS) as connection:
            for statement in note_changes():
                connection.exec_driver_sql(statement)
            connection.exec_driver_sql(f"DELETE FROM {COPY}")
            connection.exec_driver_sql(f"DELETE FROM {CHANGED}")
            connection.exec_driver_sql(f"INSERT INTO {COPY} VALUES (?)", (name,))
        return name

    def _read_source(self) -> str | None:
        with self.source.reading() as connection:
            if not inspect(connection).has_table(COPY):
                return None
            return connection.exec_driver_sql(f"SELECT source FROM {COPY}").scalar()

    def _catch_up(self, reader: sqlite3.Connection) -> None:
        """Copy and compare until little is left."""
        while True:
            while (number := self._next_block(reader)) is not None:
                self._copy_block(reader, number)
                self._tell(Progress("copy", self._copied_rows, self._left(reader)))
            self._check()
            self.target.check_strays(self._blocks)
            if self._is_little_left(reader):
                return

    def _next_block(self, reader: sqlite3.Connection) -> int | None:
        """The next block that is to be copied and gets no new rows; `None` when there is none."""
        newest = newest_block(reader)
        for number in [number for number in self._blocks if number >= newest]:
            # a copy that was killed near its end has taken it, or all rows were deleted, and ids began anew
            self._forget(number)
        # all at once: a query that is not at its end would show the blocks as they were when it began
        changed = reader.execute(f"SELECT block, changes FROM {CHANGED} WHERE block < ?", (newest,)).fetchall()
        for number, changes in changed:
            self._recopy(reader, number, changes)
        return block_from(reader, max(self._blocks, default=None), newest)

    def _recopy(self, reader: sqlite3.Connection, number: int, changes: int) -> None:
        if number in self._blocks:
            self._copy_block(reader, number)
        with self.source.writing(_LOCK_WAIT_SECONDS) as connection:
            # not when it was changed again meanwhile
            connection.exec_driver_sql(f"DELETE FROM {CHANGED} WHERE block = ? AND changes = ?", (number, changes))

    def _copy_block(self, reader: sqlite3.Connection, number: int) -> None:
        ids, today = block_ids(number), utc_now().date()
        days = find_days(reader, ids, today, self._keep_days)
        found = reader.execute(f"SELECT {column_names(logs)} FROM logs WHERE id BETWEEN ? AND ? ORDER BY id", ids)
        # not all at once: an event may be large
        parts = (log_lines(rows) for rows in iter(lambda: found.fetchmany(_ROWS_AT_ONCE), []))
        self._blocks[number] = block = self.target.write_block(number, parts, days, today)
        self._unchecked.add(number)
        self._copied_rows += block.rows

    def _forget(self, number: int) -> None:
        self.target.drop_block(number)
        del self._blocks[number]
        self._unchecked.discard(number)

    def _is_little_left(self, reader: sqlite3.Connection) -> bool:
        last = max(self._blocks, default=-1)
        query = "SELECT 1 FROM logs WHERE id > ? ORDER BY id LIMIT 1 OFFSET ?"
        more = reader.execute(query, (block_ids(last)[1], _FEW_BLOCKS * BLOCK_ROWS)).fetchone()
        changed = reader.execute(f"SELECT count(*) FROM {CHANGED} WHERE block <= ?", (last,)).fetchone()[0]
        return more is None and int(changed) <= _FEW_BLOCKS

    def _left(self, reader: sqlite3.Connection) -> int:
        """About how many rows are left: ids of an old database may have gaps."""
        newest = reader.execute("SELECT max(id) FROM logs").fetchone()[0] or 0
        return max(0, int(newest) - block_ids(max(self._blocks, default=-1))[1])

    def _check(self) -> None:
        """Compare what was not compared since it was copied. Raises `Differs`."""
        compared, left = 0, sum(self._blocks[number].rows for number in self._unchecked)
        for number in sorted(self._unchecked):
            block = self._blocks[number]
            self.target.check_block(block)
            self._unchecked.discard(number)
            compared, left = compared + block.rows, left - block.rows
            self._tell(Progress("check", compared, left))

    def _finish(self, reader: sqlite3.Connection, done: Copied) -> None:
        """The last part: whoever stores waits for the lock, and what they have not committed they have not promised."""
        self._tell(Progress("stop", 0, self._left(reader)))
        with self.source.writing(_LOCK_WAIT_SECONDS) as lock:
            began = time.monotonic()
            self._copy_rest(reader)
            self._check()
            others = [table for table in metadata.sorted_tables if table is not logs]
            rows = ((table, read_rows(reader, table)) for table in others)
            done.tables, done.changed = self.target.write_tables(rows, utc_now())
            mark_moved(lock, self._shown, utc_now())
        done.stopped_seconds = time.monotonic() - began

    def _copy_rest(self, reader: sqlite3.Connection) -> None:
        newest = newest_block(reader)
        for number in [number for number in self._blocks if number >= newest]:
            self._forget(number)
        for (number,) in reader.execute(f"SELECT block FROM {CHANGED}").fetchall():
            if number in self._blocks:
                self._copy_block(reader, number)
        while (following := block_from(reader, max(self._blocks, default=None), newest + 1)) is not None:
            self._copy_block(reader, following)

    def _sum_up(self, done: Copied) -> None:
        total = Checksum()
        total.add(f"{block.number} {block.checksum}\n".encode() for block in self._blocks.values())
        done.checksum = total.text
        done.new_ids = sum(block.new_ids for block in self._blocks.values())
        done.changed |= self.target.read_changes()
        done.tables["logs"] = sum(block.rows for block in self._blocks.values())
