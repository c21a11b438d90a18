"""Growth: the rate while `logs` grows to millions of rows of 100,000 hosts, and the bytes that an event takes."""

from __future__ import annotations

import random
import tempfile
import time
from pathlib import Path

import psycopg

from bench.figure import Figure, Options, rate, ratio
from bench.load import Load, host_name, payloads
from bench.stack import fresh_database
from core.clock import utc_now
from core.ids import uuid7
from ingestor.batch import MAX_EVENTS
from ingestor.decode import decode_events
from store import Store, WriteBatch, open_store, sqlite

HOSTS = 100_000
STEP_ROWS = 500_000
WARM_UP_ROWS = 100_000  # until most hosts have a row of their own


def measure_growth(options: Options) -> list[Figure]:
    """Decoding and writing in batches such as the ingestor makes; the making of payloads is not in the time."""
    rows = options.scaled(options.rows)
    step = min(STEP_ROWS, rows // 4)
    rates: list[float] = []
    with tempfile.TemporaryDirectory(prefix="heimdall-bench-") as folder, fresh_database(options.database) as url:
        store = open_store(url or f"sqlite:///{Path(folder) / 'growth.db'}", checkpointer=True)
        _grow(store, min(WARM_UP_ROWS, step), 0)
        while len(rates) * step < rows:
            rates.append(_grow(store, step, len(rates) + 1))
            options.say(f"growth: {len(rates) * step:,} rows, {rates[-1]:,.0f}/s")
        store.close()
    return [
        Figure(f"100,000 hosts, `logs` at {rows:,} rows: rate ÷ at the start", ratio(rates[-1], rates[0]), "≥ 0.7",
               rates[-1] >= 0.7 * rates[0], f"at the start {rate(rates[0])}, at the end {rate(rates[-1])}"),
    ]  # fmt: skip


def _grow(store: Store, count: int, seed: int) -> float:
    """Store `count` more events of random hosts; events a second."""
    chance = random.Random(seed)
    template = next(payloads(Load(1)))[1]
    old_id, old_host = template[13:49], host_name(0).encode()
    seconds = 0.0
    for first in range(0, count, MAX_EVENTS):
        batch = []
        for _ in range(min(MAX_EVENTS, count - first)):
            host = host_name(chance.randrange(HOSTS))
            payload = template.replace(old_id, str(uuid7()).encode(), 1).replace(old_host, host.encode(), 1)
            batch.append((host, payload))
        begun = time.monotonic()
        events = [event for host, payload in batch for event in decode_events(host, payload)[0]]
        written = store.write(WriteBatch(events, utc_now()))
        seconds += time.monotonic() - begun
        if written.stored != len(batch):
            raise RuntimeError(f"{written.stored} of {len(batch)} events were stored")
    return count / seconds


def measure_bytes(options: Options) -> list[Figure]:
    """The database's bytes, all indexes and the activity counted, beside those of the events' JSON."""
    load = Load(options.scaled(500_000))
    target = {"sqlite": 1.15, "postgresql": 1.25}[options.database]
    sent = 0
    with tempfile.TemporaryDirectory(prefix="heimdall-bench-") as folder, fresh_database(options.database) as database:
        url = database or f"sqlite:///{Path(folder) / 'bytes.db'}"
        open_store(url).close()
        empty = _size(url)
        store = open_store(url, checkpointer=True)
        events = []
        for host, payload in payloads(load):
            sent += len(payload)
            events += decode_events(host, payload)[0]
            if len(events) == MAX_EVENTS:
                store.write(WriteBatch(events, utc_now()))
                events = []
        store.write(WriteBatch(events, utc_now()))
        store.close()
        kept = _size(url) - empty
    return [
        Figure("bytes on disk an event ÷ bytes of its JSON", ratio(kept, sent), f"≤ {target}", kept <= target * sent,
               f"{kept / load.count:.0f} of {sent / load.count:.0f} bytes"),
    ]  # fmt: skip


def _size(url: str) -> int:
    """The bytes of a database that nobody has open: SQLite's write-ahead log is carried over then."""
    if url.startswith(sqlite.SCHEME):
        return Path(url.removeprefix(sqlite.SCHEME)).stat().st_size
    with psycopg.connect(url) as connection:
        size = connection.execute("SELECT pg_database_size(current_database())").fetchone()
    return int(size[0]) if size else 0
