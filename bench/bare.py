"""The bare pipeline, the yardstick: same load, broker, codec, decoder and INSERT into the same tables, nothing else.

No check beyond the decoder's, no heartbeats, no activity, no receipts, no dead letters, no second session. It runs
on the same event loop and spares the garbage collector in the same way, so that only the work differs. With the
word `heartbeat` it stores nothing and writes a line with the time when the last one came in.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import time
from typing import Any, cast

import mqtt5
import uvloop

from bench.load import LAST_HOST
from core import topics
from core.clock import utc_now
from core.home import find_login
from core.messages import Event
from core.settings import load
from ingestor.decode import _events as decoder
from store import open_store
from store.events import make_rows

WAITING_EVENTS = 15_000


class Bare(asyncio.Protocol):
    """One session that decodes what comes in, writes it in a thread and acknowledges it."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._settings = load()
        self._database = open_store(self._settings.database_url, checkpointer=True).database
        self._rest = b""
        self._events: list[Event] = []
        self._ids: list[int] = []
        self._writing: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        user, password = find_login(self._settings, "ingestor")
        connect = mqtt5.ConnectPacket(
            f"{user}-1", username=user, password=password.encode(), clean_start=False, session_expiry_interval=600,
            receive_max=5_000,
        )  # fmt: skip
        subscribe = mqtt5.SubscribePacket(1, [mqtt5.TopicFilter(topics.shared(topics.every_host(self._kind)))])
        transport.write(connect.write() + subscribe.write())  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        data = self._rest + data
        view, at = memoryview(data), 0
        try:
            while True:
                packet, size = mqtt5.read(view[at:])
                at += size
                if type(packet) is mqtt5.PublishPacket:
                    self._take(packet)
                elif type(packet) is mqtt5.SubAckPacket:
                    print("is subscribed at", flush=True)
        except IndexError:
            self._rest = data[at:]
        if self._kind == topics.HEARTBEAT:
            self._acknowledge()
        elif self._writing is None and self._events:
            self._writing = asyncio.get_running_loop().create_task(self._write())
        if len(self._events) >= WAITING_EVENTS:
            self._transport.pause_reading()

    def _take(self, packet: mqtt5.PublishPacket) -> None:
        self._ids.append(packet.packet_id or 0)
        if self._kind == topics.HEARTBEAT:
            if LAST_HOST in packet.topic:
                print("last", time.monotonic(), flush=True)
            return
        decoded: Any = decoder.decode(packet.payload)
        if isinstance(decoded, list):
            self._events += decoded
        else:
            self._events.append(decoded)

    def _acknowledge(self) -> None:
        ids, self._ids = self._ids, []
        self._transport.write(b"".join(mqtt5.PubAckPacket(packet_id).write() for packet_id in ids))

    async def _write(self) -> None:
        loop = asyncio.get_running_loop()
        while self._events:
            events, self._events = self._events, []
            ids, self._ids = self._ids, []
            self._transport.resume_reading()
            await loop.run_in_executor(None, self._insert, events)
            self._transport.write(b"".join(mqtt5.PubAckPacket(packet_id).write() for packet_id in ids))
        self._writing = None

    def _insert(self, events: list[Event]) -> None:
        now = utc_now()
        rows, days = make_rows(events, now, 90)
        self._database.prepare_days(days, now.date())
        with self._database.writing() as connection:
            self._database.insert_events(connection, rows)


async def run(kind: str) -> None:
    address = load().broker
    await asyncio.get_running_loop().create_connection(lambda: Bare(kind), address.host, address.port)
    await asyncio.Event().wait()


if __name__ == "__main__":
    gc.freeze()
    gc.set_threshold(100_000, 20, 20)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run(sys.argv[1]))
