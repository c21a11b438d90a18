"""Dead letters: what was refused, kept for whoever looks into it, and never more of it than the caps say."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, delete, func, insert, or_, select

from core.errors import Unavailable
from store.database import Database
from store.rows import DeadLetter
from store.tables import dead_letters

log = logging.getLogger("store.dead_letters")

PAYLOAD_BYTES = 65_536  # of each letter that are kept
MAX_ROWS = 100_000
MAX_BYTES = 256 * 1024 * 1024  # of all payloads

# parts of the caps. The largest batch (6 % of the rows) fits between what calls for a trim and the cap
_LOOK_AFTER = 0.02  # has come in
_TRIM_ABOVE = 0.9
_TRIM_TO = 0.8
_LOOK_EVERY = timedelta(hours=1)  # for what has become too old
_WAIT_SECONDS = 1.0  # for the right to write: the line does not wait for this


def insert_dead_letters(connection: Connection, letters: Iterable[DeadLetter], received_at: datetime) -> None:
    """Keep `letters`, each with the first 64 KiB of its payload."""
    connection.execute(
        insert(dead_letters),
        [
            {
                "received_at": received_at,
                "topic": storable(letter.topic),
                "source_host": None if letter.source_host is None else storable(letter.source_host),
                "reason": storable(letter.reason),
                "size": letter.size,
                "payload": letter.payload[:PAYLOAD_BYTES],
            }
            for letter in letters
        ],
    )


def storable(text: str) -> str:
    """`text` with marks in place of what a database refuses, for a dead letter must always find its place."""
    return text.encode("utf-8", "replace").decode("utf-8").replace("\0", "\N{REPLACEMENT CHARACTER}")


class Cap:
    """Holds the table to `max_rows`, to `max_bytes` of payload and to `keep_days`; the oldest go first.

    The table is looked at when a fiftieth of a cap has come in, not at every batch. Threads may share it, and
    many processes may trim at once: what one is deleting the others pass over, so that nobody waits.
    """

    def __init__(
        self, database: Database, keep_days: int, max_rows: int = MAX_ROWS, max_bytes: int = MAX_BYTES
    ) -> None:
        self._database = database
        self._keep = timedelta(days=keep_days)
        self._max_rows, self._max_bytes = max_rows, max_bytes
        self._lock = threading.Lock()
        self._rows = self._bytes = 0
        self._next_look: datetime | None = None

    def hold(self, letters: Sequence[DeadLetter], now: datetime) -> None:
        """Note that `letters` were stored, and delete what is beyond the caps when it is time to look.

        Raises nothing when the database is away: the letters are stored, and the next look comes.
        """
        with self._lock:
            self._rows += len(letters)
            self._bytes += sum(min(len(letter.payload), PAYLOAD_BYTES) for letter in letters)
            if (
                self._rows < _LOOK_AFTER * self._max_rows
                and self._bytes < _LOOK_AFTER * self._max_bytes
                and self._next_look is not None
                and now < self._next_look
            ):
                return
            self._rows = self._bytes = 0
            self._next_look = now + _LOOK_EVERY
        try:
            self._trim(now - self._keep)
        except Unavailable as error:
            log.warning("dead letters are not trimmed now: %s", error)

    def _trim(self, since: datetime) -> None:
        column = dead_letters.c
        payloads = func.coalesce(func.sum(func.length(column.payload)), 0)
        beyond: list[ColumnElement[bool]] = []
        with self._database.reading() as connection:
            rows, size, oldest = connection.execute(
                select(func.count(), payloads, func.min(column.received_at)).select_from(dead_letters)
            ).one()
            if rows > _TRIM_ABOVE * self._max_rows or size > _TRIM_ABOVE * self._max_bytes:
                beyond.append(column.id <= self._last_beyond(connection))
            if oldest is not None and oldest < since:
                beyond.append(column.received_at < since)
        if not beyond:
            return
        # SQLite, which has one writer, knows no row locks and leaves the clause away
        doomed = select(column.id).where(or_(*beyond)).order_by(column.id).with_for_update(skip_locked=True)
        with self._database.writing(_WAIT_SECONDS) as connection:
            gone = connection.execute(delete(dead_letters).where(column.id.in_(doomed))).rowcount
        log.info("%d old dead letters deleted: %d are kept, none older than %s", gone, rows - gone, since)

    def _last_beyond(self, connection: Connection) -> int:
        """The newest letter for which there is no room, counted from the newest of all; 0 when there is room."""
        column = dead_letters.c
        newest_first = column.id.desc()
        counted = select(
            column.id,
            func.row_number().over(order_by=newest_first).label("place"),
            func.sum(func.length(column.payload)).over(order_by=newest_first, rows=(None, 0)).label("size"),
        ).subquery()
        full = (counted.c.place > _TRIM_TO * self._max_rows) | (counted.c.size > _TRIM_TO * self._max_bytes)
        return connection.execute(select(func.max(counted.c.id)).where(full)).scalar() or 0
