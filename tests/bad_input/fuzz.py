"""`make fuzz`: mutated payloads through the decoder and, every 1,000, through the store.

HEIMDALL_FUZZ_SEED repeats a run of the same day, HEIMDALL_FUZZ_PAYLOADS (100000) is how many, HEIMDALL_FUZZ_DATABASE
is `sqlite` or `postgresql`. The first payload that raises, or whose events do not come out as they went in, is printed
in hex.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import secrets
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path

import mqtt5
from mutations import HOST, Mutations
from oracle import check_decoding
from sqlalchemy import select

from core.clock import rfc3339, utc_now
from core.messages import DeadNotice, Event, encode
from core.topics import DEAD, EVENTS, host_topic
from ingestor.batch import Batch
from mqtt.connection import Connection
from store import Store, WriteBatch, open_store
from store.events import make_rows
from store.tables import BODY_COLUMNS, logs

PER_WRITE = 1_000
_KEEP_DAYS = 90
# what differs from refusal to refusal of one kind
_PARTICULAR = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|\d+|-\d+|`[^`]*`")


class Failed(Exception):
    """What went wrong, with the payload that did it."""

    def __init__(self, number: int, payload: bytes, error: BaseException) -> None:
        super().__init__(f"payload {number}: {type(error).__name__}: {error}\n{payload.hex()}")


class Fuzz:
    """One run on one database."""

    def __init__(self, store: Store, seed: int) -> None:
        self.store, self.mutations = store, Mutations(seed)
        self.classes: Counter[str] = Counter()
        self.accepted = self.stored = self.duplicates = self.conflicts = self.letters = 0
        self._first: dict[str, tuple[object, ...]] = {}  # the body that won, by the id that it is stored under

    def run(self, payloads: int, connection: Connection) -> None:
        """Raises `Failed` at the first payload that does not come out as it should."""
        for start in range(0, payloads, PER_WRITE):
            now = utc_now()
            batch, sent = Batch(), []
            for number in range(start, min(payloads, start + PER_WRITE)):
                kind, payload = self.mutations.next()
                taken = len(batch.events)
                try:
                    self._decode(batch, connection, kind, payload, now)
                except Exception as error:
                    raise Failed(number, payload, error) from error
                sent.append((number, payload, batch.events[taken:]))
            try:
                self._write(batch, now)
            except Exception as error:
                raise self._find_culprit(sent, now, error) from error

    def _decode(self, batch: Batch, connection: Connection, kind: str, payload: bytes, now: datetime) -> None:
        events, dead = len(batch.events), len(batch.dead)
        packet = mqtt5.PublishPacket(host_topic(HOST, kind), payload, qos=mqtt5.QoS.AT_LEAST_ONCE, packet_id=1)
        batch.take(connection, packet, now)
        letters = batch.dead[dead:]
        if kind == EVENTS:
            refused = [(letter.reason, letter.payload) for letter in letters]
            check_decoding(payload, batch.events[events:], refused, self.mutations.good)
        for letter in letters:
            notice = encode(DeadNotice(letter.topic, letter.reason, letter.size))
            mqtt5.PublishPacket(DEAD, notice).write()
            assert json.loads(notice)["reason"] == letter.reason
            self.classes[_PARTICULAR.sub("…", letter.reason)[:110]] += 1

    def _write(self, batch: Batch, now: datetime) -> None:
        for host, info in batch.infos.items():
            self.store.record_info(host, info, now)
            assert self.store.get_info(host) == info
        written = self.store.write(WriteBatch(batch.events, now, batch.dead, batch.beats))
        expected = self._expect(batch.events, now)
        assert (written.stored, written.duplicates, written.conflicts) == expected, (written, expected)
        assert len(written.letters) == len(batch.dead) + written.conflicts, "the store refuses what was accepted"
        self._read_back(batch.events, now)
        self.accepted += len(batch.events)
        self.stored += written.stored
        self.duplicates += written.duplicates
        self.conflicts += written.conflicts
        self.letters += len(written.letters)

    def _expect(self, events: list[Event], now: datetime) -> tuple[int, int, int]:
        stored = duplicates = conflicts = 0
        for row, event in zip(make_rows(events, now, _KEEP_DAYS)[0], events, strict=True):
            body = (
                rfc3339(event.timestamp), event.source_host, event.os_type, event.event_type, event.severity,
                event.source_ip, event.user, event.raw_message,
            )  # fmt: skip
            first = self._first.setdefault(row.event_id, body)
            if first is body:
                stored += 1
            elif first == body:
                duplicates += 1
            else:
                conflicts += 1
        return stored, duplicates, conflicts

    def _read_back(self, events: list[Event], now: datetime) -> None:
        ids = list({row.event_id for row in make_rows(events, now, _KEEP_DAYS)[0]})
        query = select(logs.c.event_id, *(logs.c[name] for name in BODY_COLUMNS)).where(logs.c.event_id.in_(ids))
        with self.store.database.reading() as connection:
            found = {event_id: tuple(body) for event_id, *body in connection.execute(query)}
        assert len(found) == len(ids), "an accepted event is not in logs"
        for event_id, body in found.items():
            assert body == self._first[event_id], f"{event_id} was changed: {body}"

    def _find_culprit(self, sent: list[tuple[int, bytes, list[Event]]], now: datetime, error: BaseException) -> Failed:
        """The payload whose events alone make a new, empty database fail in the same way; else the last one."""
        for number, payload, events in sent:
            with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
                fresh = open_fresh(self.store.database.writer.dialect.name, Path(folder), stack)
                try:
                    Fuzz(fresh, 0)._write(Batch(events=events), now)
                except Exception as again:  # noqa: BLE001 -- whatever it is, it is told
                    return Failed(number, payload, again)
        return Failed(sent[-1][0], sent[-1][1], error)

    def report(self) -> str:
        lines = [
            f"accepted {self.accepted} events: {self.stored} stored, {self.duplicates} duplicates,"
            f" {self.conflicts} conflicts; {self.letters} dead letters, of which refused when decoded:"
        ]
        lines += [f"{count:>9}  {reason}" for reason, count in self.classes.most_common(40)]
        return "\n".join(lines)


def open_fresh(database: str, folder: Path, stack: ExitStack) -> Store:
    url = f"sqlite:///{folder / 'fuzz.db'}"
    if database == "postgresql":
        from postgresql_server import database as fresh

        url = stack.enter_context(fresh())
    store = open_store(url, keep_days=_KEEP_DAYS, checkpointer=True)
    stack.callback(store.close)
    return store


async def make_connection() -> Connection:
    """One that is connected to nothing: batches note where answers would go."""
    return Connection(mqtt5.ConnectPacket("fuzz"), lambda _connection, _packets: None)


def run(seed: int, payloads: int, database: str) -> Fuzz:
    """Run, and return what came of it. Raises `Failed`."""
    with tempfile.TemporaryDirectory(prefix="heimdall-fuzz-") as folder, ExitStack() as stack:
        fuzz = Fuzz(open_fresh(database, Path(folder), stack), seed)
        fuzz.run(payloads, asyncio.run(make_connection()))
        return fuzz


def main() -> int:
    seed = int(os.environ.get("HEIMDALL_FUZZ_SEED") or secrets.randbits(32))
    payloads = int(os.environ.get("HEIMDALL_FUZZ_PAYLOADS") or 100_000)
    database = os.environ.get("HEIMDALL_FUZZ_DATABASE") or "sqlite"
    print(f"fuzz: {payloads} payloads on {database}, HEIMDALL_FUZZ_SEED={seed}", flush=True)
    began = time.monotonic()
    try:
        fuzz = run(seed, payloads, database)
    except Failed as failure:
        print(f"FAILED with HEIMDALL_FUZZ_SEED={seed}\n{failure}")
        return 1
    print(f"{payloads / (time.monotonic() - began):.0f} payloads a second\n{fuzz.report()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
