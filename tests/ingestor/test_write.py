"""The writer while nothing can be committed: it tries again whatever the error is, and holds no more than its bound."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from uuid import uuid4

import mqtt5
import pytest

from core.home import Credential
from core.settings import BrokerAddress
from ingestor.batch import MAX_EVENTS, Batch
from ingestor.decode import decode_events
from ingestor.write import WAITING_BATCHES, Work, Writer
from mqtt.connection import Connection
from mqtt.session import Session
from store import EventFilter, Store, open_store

SUBACK = mqtt5.SubAckPacket(1, [mqtt5.SubAckReasonCode.GRANTED_QOS_AT_LEAST_ONCE]).write()
ACCEPTED = mqtt5.ConnAckPacket().write() + SUBACK
BEAT = ("heartbeat", b'{"os_type": "LINUX"}')


def an_event(number: int = 0) -> tuple[str, bytes]:
    event = {
        "event_id": str(uuid4()), "timestamp": "2026-01-01T00:00:00Z", "source_host": "a", "os_type": "LINUX",
        "event_type": "LOGIN_FAIL", "severity": 3, "raw_message": f"number {number}",
    }  # fmt: skip
    return "events", json.dumps(event).encode()


class Broker:
    """A broker that sends whatever it has, whatever the receive maximum is, and counts the PUBACKs."""

    def __init__(self, messages: list[tuple[str, bytes]]) -> None:
        self._messages = messages
        self.acknowledged: list[int] = []
        self.all_acknowledged = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1024)
        writer.write(ACCEPTED)
        for number, (kind, payload) in enumerate(self._messages, 1):
            topic = f"heimdall/v1/hosts/a/{kind}"
            writer.write(mqtt5.PublishPacket(topic, payload, qos=mqtt5.QoS.AT_LEAST_ONCE, packet_id=number).write())
        rest = b""
        while data := await reader.read(65_536):
            view, at = memoryview(rest + data), 0
            with contextlib.suppress(IndexError):
                while at < len(view):
                    packet, size = mqtt5.read(view[at:])
                    at += size
                    if isinstance(packet, mqtt5.PubAckPacket):
                        self.acknowledged.append(packet.packet_id)
                    elif isinstance(packet, mqtt5.DisconnectPacket):
                        writer.close()
            rest = bytes(view[at:])
            if len(self.acknowledged) >= len(self._messages):
                self.all_acknowledged.set()
        writer.close()


@contextlib.asynccontextmanager
async def connected(store: Store, messages: list[tuple[str, bytes]]) -> AsyncIterator[tuple[Writer, Broker]]:
    """A writer, and a broker that has `messages` for it."""
    writer, broker = Writer(store), Broker(messages)
    server = await asyncio.start_server(broker.serve, "127.0.0.1", 0)
    address = BrokerAddress("mqtt", "127.0.0.1", server.sockets[0].getsockname()[1])

    def deliver(connection: Connection, packets: list[mqtt5.PublishPacket]) -> None:
        kinds = {packet.topic.rpartition("/")[2] for packet in packets}
        (writer.deliver_events if "events" in kinds else writer.deliver_presence)(connection, packets)

    session = Session(address, Credential("@ingestor", "x"), "@ingestor-1", [mqtt5.TopicFilter("a")], deliver)
    tasks = [asyncio.create_task(work) for work in (writer.run(), session.run())]
    try:
        yield writer, broker
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await session.close()
        writer.close()
        server.close()


@pytest.fixture
def store(tmp_path: Path):
    opened = open_store(f"sqlite:///{tmp_path / 'mini_siem.db'}")
    yield opened
    opened.close()


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("message", [BEAT, an_event()], ids=lambda message: message[0])
def test_a_locked_database_bounds_what_is_read_and_everything_is_acknowledged_in_order_afterwards(
    store: Store, tmp_path: Path, message: tuple[str, bytes]
) -> None:
    count = 60_000

    async def scenario() -> tuple[int, list[int]]:
        other = sqlite3.connect(tmp_path / "mini_siem.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        async with connected(store, [message] * count) as (writer, broker):
            held = lambda: sum(batch.messages for batch in (*writer._full, writer._events, writer._presence))  # noqa: E731
            await until(lambda: held() >= MAX_EVENTS)
            seen = -1
            while seen != held():
                seen = held()
                await asyncio.sleep(0.2)
            assert broker.acknowledged == []
            other.execute("ROLLBACK")
            await asyncio.wait_for(broker.all_acknowledged.wait(), 60)
            other.close()
            return seen, broker.acknowledged

    held, acknowledged = asyncio.run(scenario())
    # and of one read at most what it holds
    assert held < (WAITING_BATCHES + 1) * MAX_EVENTS + 262_144 // len(message[1])
    assert acknowledged == list(range(1, count + 1))


@pytest.mark.parametrize("error", [MemoryError, TypeError, OSError, sqlite3.DatabaseError, RecursionError, KeyError])
def test_whatever_a_transaction_fails_with_it_is_tried_again(
    store: Store, error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = 3
    insert = store.database.insert_events

    def fail(*arguments):
        nonlocal failures
        failures -= 1
        if failures >= 0:
            raise error("for a while")
        return insert(*arguments)

    monkeypatch.setattr(store.database, "insert_events", fail)

    async def scenario() -> None:
        async with connected(store, [an_event(), an_event()]) as (writer, broker):
            await until(lambda: writer.state() != "ok")
            assert "for a while" in writer.state()
            assert broker.acknowledged == []
            await asyncio.wait_for(broker.all_acknowledged.wait(), 30)
            assert writer.state() == "ok"

    asyncio.run(scenario())
    assert len(store.events(EventFilter(), 10).events) == 2


def test_info_that_only_the_store_refuses_is_a_dead_letter_and_stops_nothing(store: Store) -> None:
    async def scenario() -> None:
        presence = Batch(infos={"a": "{", "b": "{}"})
        events = Batch(events=decode_events("a", an_event()[1])[0])
        written = Writer(store)._write(Work(events, presence))
        assert [(letter.source_host, letter.topic) for letter in written.letters] == [("a", "heimdall/v1/hosts/a/info")]
        assert written.stored == 1

    asyncio.run(scenario())
    assert (store.get_info("a"), store.get_info("b")) == (None, "{}")
