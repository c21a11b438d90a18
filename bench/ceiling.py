"""The ceiling: ready-made rows inserted into `logs` with all its indexes, by nothing but the driver; no broker."""

from __future__ import annotations

import sqlite3
import tempfile
import time
from collections.abc import Sequence
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
            rates.append((count / insert(database_url, rows, batch), batch))
    return max(rates)


def _insert_sqlite(url: str, rows: Sequence[EventRow], batch: int) -> float:
    """Seconds for all rows, in the settings that the ingestor has."""
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)) as connection:
        for pragma in ("synchronous = FULL", "wal_autocheckpoint = 16384", "cache_size = -65536"):
            connection.execute(f"PRAGMA {pragma}")
        begun = time.monotonic()
        for first in range(0, len(rows), batch):
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(_INSERT, rows[first : first + batch])
            connection.execute("COMMIT")
        return time.monotonic() - begun


def _insert_postgresql(url: str, rows: Sequence[EventRow], batch: int) -> float:
    """Seconds for all rows, by COPY of text that is written before: no value of the load needs an escape."""
    lines = ["\t".join(map(str, row)) + "\n" for row in rows]
    texts = ["".join(lines[first : first + batch]).encode() for first in range(0, len(lines), batch)]
    with psycopg.connect(url) as connection:
        begun = time.monotonic()
        for text in texts:
            with connection.cursor().copy(f"COPY logs ({_COLUMNS}) FROM STDIN") as copy:
                copy.write(text)
            connection.commit()
        return time.monotonic() - begun
