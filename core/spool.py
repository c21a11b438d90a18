"""The spool: events wait here, on disk, until a receipt says that they are in the database.

One SQLite file. Positions are `AUTOINCREMENT`, so none is ever used twice; the spool's id is new
whenever the file is made anew, so a receipt of an earlier file names nothing in this one.
"""

from __future__ import annotations

import json
import os
import sqlite3
import struct
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Iterable, Iterator, Mapping, NamedTuple

from core.errors import Unavailable
from core.messages import MAX_EVENTS_PER_MESSAGE, MAX_MESSAGE_BYTES, Event, encode

_CORRELATION = struct.Struct(">16sQQ")

# in SQLite's and sqlite3's words: their codes are known from Python 3.11 on
_SIGNS_OF_DAMAGE = ("malformed", "not a database", "unsupported file format", "Could not decode")

_SCHEMA = """
CREATE TABLE IF NOT EXISTS spool (
    position INTEGER PRIMARY KEY AUTOINCREMENT, host TEXT NOT NULL, severity INTEGER NOT NULL, payload BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS quarantine (
    position INTEGER PRIMARY KEY, host TEXT NOT NULL, payload BLOB NOT NULL, reason TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS source (name TEXT PRIMARY KEY, position TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS identity (spool_id BLOB NOT NULL);
"""


class SpoolFull(Unavailable):
    """No room is left below the spool's limit."""


class SpoolDamaged(Unavailable):
    """The file is no longer a database that SQLite can read: only making it anew helps."""


class Receipt(NamedTuple):
    """What correlation data says: the spool, and the first and last position of a batch."""

    spool_id: bytes
    first: int
    last: int

    def pack(self) -> bytes:
        """32 bytes: the spool's 16, then both positions as unsigned 64-bit big-endian numbers."""
        return _CORRELATION.pack(*self)

    @classmethod
    def unpack(cls, correlation: bytes | None) -> Receipt | None:
        """The receipt in `correlation`; `None` when it is none of ours."""
        if correlation is None or len(correlation) != _CORRELATION.size:
            return None
        return cls(*_CORRELATION.unpack(correlation))


@dataclass(frozen=True)
class Batch:
    """All events of the spool from position `first` to `last`: of one host, as one JSON array."""

    host: str
    first: int
    last: int
    count: int
    payload: bytes


class Spool:
    """Events that are not known to be stored yet. Safe for several threads and several processes.

    `limit_bytes` bounds the file. Whoever opens it beside a process that has it open already says
    `checkpoints=False`: SQLite before 3.51.3 can damage a file when two processes checkpoint at once.

    Every method raises `Unavailable` when the file cannot be used, `SpoolDamaged` when it never will be.
    """

    def __init__(self, path: Path, limit_bytes: int = 256 * 1024 * 1024, checkpoints: bool = True) -> None:
        self.path = path
        self.limit_bytes = limit_bytes
        self._lock = threading.RLock()
        try:
            self._open(path, checkpoints)
        except OSError as error:
            raise Unavailable(f"the spool {path} cannot be used: {error}") from error
        except BaseException:
            if hasattr(self, "_db"):
                self._db.close()
            raise

    def _open(self, path: Path, checkpoints: bool) -> None:
        with self._reading():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.touch(mode=0o600)
            self._db = sqlite3.connect(str(path), timeout=30, isolation_level=None, check_same_thread=False)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.execute("PRAGMA cache_size=-512")  # KiB: rows are read once, in order
            if not checkpoints:
                self._db.execute("PRAGMA wal_autocheckpoint=0")
            with self._transaction():
                for statement in _SCHEMA.split(";"):
                    self._db.execute(statement)
                if self._db.execute("SELECT count(*) FROM identity").fetchone()[0] == 0:
                    self._db.execute("INSERT INTO identity VALUES (?)", (os.urandom(16),))
            self.id: bytes = self._db.execute("SELECT spool_id FROM identity").fetchone()[0]
            self._check(isinstance(self.id, bytes) and len(self.id) == 16, "its id")

    def _check(self, sound: bool, what: str) -> None:
        """SQLite tells damage of its structure alone: what lies in the rows may be anything."""
        if not sound:
            raise SpoolDamaged(f"the spool {self.path} cannot be used: {what} is none that was ever written")

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """The lock for the block; SQLite's errors come out as ours."""
        with self._lock:
            try:
                yield
            except sqlite3.Error as error:
                kind = SpoolDamaged if any(sign in str(error) for sign in _SIGNS_OF_DAMAGE) else Unavailable
                raise kind(f"the spool {self.path} cannot be used: {error}") from error

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """`BEGIN IMMEDIATE` to `COMMIT`, or `ROLLBACK` when the block or the commit raises."""
        with self._reading():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                # a full disk ends the transaction by itself: there is none left to roll back then
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    def append(self, events: Iterable[Event], source: str = "", position: str = "") -> int:
        """Keep `events` and, in the same transaction, how far `source` has been read; flushed to disk.

        Returns how many were kept. Raises `SpoolFull` (nothing is kept then) and `Unavailable`.
        """
        rows = [(event.source_host, event.severity, encode(event)) for event in events]
        size = sum(len(row[2]) for row in rows)
        with self._transaction():
            if rows and self.used_bytes() + size > self.limit_bytes:
                raise SpoolFull(f"the spool {self.path} has reached its limit of {self.limit_bytes} bytes")
            self._db.executemany("INSERT INTO spool (host, severity, payload) VALUES (?, ?, ?)", rows)
            if source:
                self._db.execute("INSERT OR REPLACE INTO source VALUES (?, ?)", (source, position))
        return len(rows)

    def source_position(self, source: str) -> str | None:
        """How far `source` had been read when its last events were kept; `None` when never."""
        with self._reading():
            row = self._db.execute("SELECT position FROM source WHERE name = ?", (source,)).fetchone()
        return row[0] if row else None

    def batch(
        self, after: int, max_events: int = MAX_EVENTS_PER_MESSAGE, max_bytes: int = MAX_MESSAGE_BYTES - 1024
    ) -> Batch | None:
        """The next batch behind position `after`: events of one host with nothing left out between them.

        One that is larger than `max_bytes` by itself is moved to the quarantine first.
        """
        taken: list[tuple[int, str, bytes]] = []
        size = 2
        with self._reading():
            query = "SELECT position, host, payload FROM spool WHERE position > ? ORDER BY position LIMIT ?"
            for position, host, payload in self._db.execute(query, (after, max_events)):
                self._check(isinstance(host, str) and isinstance(payload, bytes), f"the event at position {position}")
                if taken and (host != taken[0][1] or size + len(payload) + 1 > max_bytes):
                    break
                taken.append((position, host, payload))
                size += len(payload) + 1
            if taken and size > max_bytes:
                position, host, payload = taken[0]
                with self._transaction():
                    self._move_aside(position, f"{len(payload)} bytes, more than the broker's limit of {max_bytes}")
                return self.batch(position, max_events, max_bytes)
        if not taken:
            return None
        body = b"[" + b",".join(row[2] for row in taken) + b"]"
        return Batch(taken[0][1], taken[0][0], taken[-1][0], len(taken), body)

    def quarantine(self, first: int, last: int, reasons: Mapping[str, str]) -> int:
        """Move those events from position `first` to `last` whose `event_id` is a key of `reasons` aside.

        Returns how many that were; each is kept with its reason.
        """
        with self._transaction():
            query = "SELECT position, payload FROM spool WHERE position BETWEEN ? AND ?"
            found = [
                (position, reasons.get(json.loads(payload)["event_id"]))
                for position, payload in self._db.execute(query, (first, last)).fetchall()
            ]
            refused = [(position, reason) for position, reason in found if reason is not None]
            for position, reason in refused:
                self._move_aside(position, reason)
        return len(refused)

    def _move_aside(self, position: int, reason: str) -> None:
        self._db.execute(
            "INSERT INTO quarantine SELECT position, host, payload, ? FROM spool WHERE position = ?", (reason, position)
        )
        self._db.execute("DELETE FROM spool WHERE position = ?", (position,))

    def delete(self, ranges: Iterable[tuple[int, int]]) -> int:
        """Delete the events of each range of positions, both ends included; returns how many there were."""
        with self._transaction():
            before = self._db.total_changes
            self._db.executemany("DELETE FROM spool WHERE position BETWEEN ? AND ?", ranges)
            return self._db.total_changes - before

    def make_room(self, share: float = 0.05) -> int:
        """Drop the oldest events of the lowest severity, `share` of all; returns how many were dropped."""
        with self._transaction():
            count = max(1, int(len(self) * share))
            return self._db.execute(
                "DELETE FROM spool WHERE position IN (SELECT position FROM spool ORDER BY severity, position LIMIT ?)",
                (count,),
            ).rowcount

    def used_bytes(self) -> int:
        """Bytes of the file that hold something; pages that are free for reuse do not count."""
        with self._reading():
            pages, free, size = (
                self._db.execute(f"PRAGMA {name}").fetchone()[0]
                for name in ("page_count", "freelist_count", "page_size")
            )
        return int((pages - free) * size)

    def quarantined(self) -> int:
        """How many events could not go: larger than the broker takes, or refused for good."""
        with self._reading():
            return int(self._db.execute("SELECT count(*) FROM quarantine").fetchone()[0])

    def first_position(self) -> int | None:
        """The lowest position in use, `None` when the spool is empty."""
        with self._reading():
            row = self._db.execute("SELECT min(position) FROM spool").fetchone()
        return row[0] if row[0] is None else int(row[0])

    def last_position(self) -> int:
        """The highest position in use, 0 when the spool is empty."""
        with self._reading():
            return int(self._db.execute("SELECT coalesce(max(position), 0) FROM spool").fetchone()[0])

    def __len__(self) -> int:
        with self._reading():
            return int(self._db.execute("SELECT count(*) FROM spool").fetchone()[0])

    def close(self) -> None:
        """Close the file; what waits in it stays."""
        with self._reading():
            self._db.close()
