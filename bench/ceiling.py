"""The ceiling: ready-made rows inserted into `logs` with all its indexes, by nothing but the driver; no broker."""

from __future__ import annotations

import sqlite3
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import msgspec
import psycopg

from bench.load import Load, payloads
from bench.stack import fresh_database
from core.clock import utc_now
from core.messages import Event
from store import open_store
from store.database import EventRow
from store.events import make_rows
from store.postgres import _COLUMNS
from store.sqlite import _INSERT

BATCHES = (1_000, 5_000, 20_000, 50_000)


def measure(database: str, count: int) -> tuple[float, int]:
    """The best rate in rows a second, and the rows a transaction with which it was reached."""
    decode = msgspec.json.Decoder(list[Event]).decode
    events = [event for _, payload in payloads(Load(count, 100)) for event in decode(payload)]
    rates = []
    for batch in (size for size in BATCHES if size <= count):
        with tempfile.TemporaryDirectory(prefix="heimdall-bench-") as folder, fresh_database(database) as url:
            database_url = url or f"sqlite:///{Path(folder) / 'ceiling.db'}"
            store = open_store(database_url)
            rows, days = make_rows(events, utc_now(), 90)
            store.database.prepare_days(days, utc_now().date())
            store.close()
            insert = _insert_postgresql if url else _insert_sqlite
            rates.append((count / _time(insert, database_url, rows, batch), batch))
    return max(rates)


def _time(
    insert: Callable[[str, Sequence[EventRow], int], None], url: str, rows: Sequence[EventRow], batch: int
) -> float:
    begun = time.monotonic()
    insert(url, rows, batch)
    return time.monotonic() - begun


def _insert_sqlite(url: str, rows: Sequence[EventRow], batch: int) -> None:
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)) as connection:
        # as the ingestor has them
        for pragma in ("synchronous = FULL", "wal_autocheckpoint = 16384", "cache_size = -65536"):
            connection.execute(f"PRAGMA {pragma}")
        for first in range(0, len(rows), batch):
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(_INSERT, rows[first : first + batch])
            connection.execute("COMMIT")


def _insert_postgresql(url: str, rows: Sequence[EventRow], batch: int) -> None:
    with psycopg.connect(url) as connection:
        for first in range(0, len(rows), batch):
            with connection.cursor().copy(f"COPY logs ({_COLUMNS}) FROM STDIN") as copy:
                for row in rows[first : first + batch]:
                    copy.write_row(row)
            connection.commit()
