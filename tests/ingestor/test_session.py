from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import mqtt5
import pytest

from core.home import Credential
from core.settings import BrokerAddress
from ingestor.batch import Batch, waited_seconds
from mqtt.connection import Connection
from mqtt.session import Session

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SUBACK = mqtt5.SubAckPacket(1, [mqtt5.SubAckReasonCode.GRANTED_QOS_AT_LEAST_ONCE]).write()
CONNACK = mqtt5.ConnAckPacket().write()
# a topic that is not UTF-8: the codec panics
NOT_UTF8 = b"\x30\x05\x00\x02\xff\xfe\x00"


# the codec's panic leaves the decoding error behind it, which nobody can catch
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(
    "garbage", [NOT_UTF8, b"\x00\x00", b"\xf0\xff\xff\xff\xff\xff"], ids=["utf-8", "type", "length"]
)
def test_a_broker_that_sends_garbage_is_left_with_a_reason_and_tried_again(garbage: bytes) -> None:
    async def scenario() -> list[bytes]:
        goodbyes: list[bytes] = []
        twice = asyncio.Event()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(1024)
            writer.write(CONNACK)
            await reader.read(1024)
            writer.write(SUBACK + garbage)
            goodbyes.append(await reader.read(1024))
            writer.close()
            if len(goodbyes) == 2:
                twice.set()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        address = BrokerAddress("mqtt", "127.0.0.1", server.sockets[0].getsockname()[1])
        session = Session(
            address, Credential("@ingestor", "x"), "@ingestor-1", [mqtt5.TopicFilter("a")], lambda _c, _p: None
        )
        task = asyncio.create_task(session.run())
        await asyncio.wait_for(twice.wait(), 20)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        server.close()
        return goodbyes

    goodbyes = asyncio.run(scenario())
    expected = mqtt5.DisconnectPacket(reason_code=mqtt5.DisconnectReasonCode.MALFORMED_PACKET).write()
    assert goodbyes == [expected, expected]


def test_packets_that_arrive_in_pieces_are_put_together() -> None:
    async def scenario() -> list[str]:
        seen: list[str] = []
        connection = Connection(mqtt5.ConnectPacket("x"), lambda _c, packets: seen.extend(p.topic for p in packets))
        stream = b"".join(mqtt5.PublishPacket(f"t/{n}", b"x" * n).write() for n in range(300))
        for at in range(0, len(stream), 7):
            connection.data_received(stream[at : at + 7])
        return seen

    assert asyncio.run(scenario()) == [f"t/{n}" for n in range(300)]


def test_a_heartbeat_that_waited_on_the_broker_is_dated_back_by_that_time() -> None:
    assert waited_seconds(30, 60) == 0
    assert waited_seconds(30, 15) == 45
    assert waited_seconds(30, None) == 0
    assert waited_seconds(30, 600) == 0, "an expiry that is not ours says nothing"


def test_a_receipt_goes_to_the_host_of_the_topic_and_to_nobody_else() -> None:
    async def scenario() -> list[str]:
        batch = Batch()
        connection = Connection(mqtt5.ConnectPacket("x"), lambda _c, _p: None)
        for response in ("heimdall/v1/hosts/a/receipt", "heimdall/v1/hosts/b/receipt", "$SYS/x", None):
            packet = mqtt5.PublishPacket(
                "heimdall/v1/hosts/a/events", b"[]", response_topic=response, correlation_data=b"c"
            )
            batch.take(connection, packet, NOW)
        return [topic for _, topic, _ in batch.receipts]

    assert asyncio.run(scenario()) == ["heimdall/v1/hosts/a/receipt"]


@pytest.mark.parametrize("topic", ["heimdall/v1/hosts/a b/events", "heimdall/v1/hosts/a/b/events", "elsewhere", "\0"])
def test_a_topic_that_names_no_host_is_a_dead_letter(topic: str) -> None:
    async def scenario() -> Batch:
        batch = Batch()
        batch.take(Connection(mqtt5.ConnectPacket("x"), lambda _c, _p: None), mqtt5.PublishPacket(topic, b"{}"), NOW)
        return batch

    batch = asyncio.run(scenario())
    assert ([letter.source_host for letter in batch.dead], batch.events) == ([None], [])
    assert "\0" not in batch.dead[0].topic
