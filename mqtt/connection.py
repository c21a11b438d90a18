"""One MQTT 5 connection: an `asyncio.Protocol` over the sans-IO codec `mqtt5`.

What is not acknowledged is not sent again on the same connection (MQTT 5, section 4.4), so nothing here
gives a message up: it is handed on, and acknowledged by whoever has stored it, in the order of receipt.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from typing import cast

import mqtt5

from core.errors import Unavailable
from core.messages import CONTENT_TYPE
from core.settings import BrokerAddress
from core.tls import make_context
from mqtt.packets import split_packets

log = logging.getLogger("mqtt.connection")

KEEP_ALIVE_SECONDS = 15
PATIENCE_SECONDS = 10.0
BUSY_PACKETS = 3  # in one read
BREATH_SECONDS = 0.002

Deliver = Callable[["Connection", list[mqtt5.PublishPacket]], None]


class Connection(asyncio.Protocol):
    """One network connection. `deliver` gets the PUBLISH packets of each read, in order."""

    def __init__(self, connect: mqtt5.ConnectPacket, deliver: Deliver) -> None:
        loop = asyncio.get_running_loop()
        self.accepted: asyncio.Future[mqtt5.ConnAckPacket] = loop.create_future()
        self.closed: asyncio.Future[str] = loop.create_future()
        self._subscribed: asyncio.Future[mqtt5.SubAckPacket] = loop.create_future()
        self._connect, self._deliver = connect, deliver
        self._transport: asyncio.Transport | None = None
        self.acknowledged: Callable[[mqtt5.PubAckPacket], None] = lambda _: None  # told of PUBACKs
        self._rest = b""
        self._packet_id = 0
        self._paused = False
        self.heard = loop.time()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are none of asyncio's classes
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(self._connect.write())

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(str(exc) if exc else "the broker closed the connection")

    def _end(self, reason: str) -> None:
        if not self.closed.done():
            self.closed.set_result(reason)
        for future in (self.accepted, self._subscribed):
            if not future.done():
                future.set_exception(Unavailable(reason))
                future.exception()  # seen: nobody may be waiting any more

    def data_received(self, data: bytes) -> None:
        self.heard = asyncio.get_running_loop().time()
        packets, self._rest, trouble = split_packets(self._rest + data if self._rest else data)
        published = [packet for packet in packets if type(packet) is mqtt5.PublishPacket]
        if len(published) < len(packets):
            for packet in packets:
                self._answer(packet)
        if trouble:
            self._refuse(mqtt5.DisconnectReasonCode.MALFORMED_PACKET, trouble)
        if published:
            self._deliver(self, published)
            if len(published) >= BUSY_PACKETS and not self._paused:
                self._take_breath()

    def _take_breath(self) -> None:
        """On a busy line read in larger pieces: a broker sends packet by packet, and waking up is what costs."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()
            asyncio.get_running_loop().call_later(BREATH_SECONDS, self._read_on)

    def _read_on(self) -> None:
        if self._transport is not None and not self._transport.is_closing() and not self._paused:
            self._transport.resume_reading()

    def _answer(self, packet: mqtt5.Packet) -> None:
        if isinstance(packet, mqtt5.ConnAckPacket) and not self.accepted.done():
            self.accepted.set_result(packet)
        elif isinstance(packet, mqtt5.SubAckPacket) and not self._subscribed.done():
            self._subscribed.set_result(packet)
        elif isinstance(packet, mqtt5.PubAckPacket):
            self.acknowledged(packet)
        elif isinstance(packet, mqtt5.DisconnectPacket):
            self._end(f"the broker said DISCONNECT: {packet.reason_code.name} {packet.reason_str or ''}".strip())
            self.abort()

    def _refuse(self, code: mqtt5.DisconnectReasonCode, reason: str) -> None:
        log.warning("%s: leaving this connection", reason)
        self.write(mqtt5.DisconnectPacket(reason_code=code).write())
        self._end(reason)
        self.abort()

    def write(self, data: bytes) -> None:
        """Send packets as they are; nothing happens on a connection that is gone."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def acknowledge(self, packet_ids: Iterable[int]) -> None:
        """Send a PUBACK for each, in the given order (MQTT 5, section 4.6: the order of receipt)."""
        self.write(b"".join(mqtt5.PubAckPacket(packet_id).write() for packet_id in packet_ids))

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Publish JSON at QoS 1, without waiting for the PUBACK: the next one says more than a repetition would."""
        packet = mqtt5.PublishPacket(
            topic, payload, qos=mqtt5.QoS.AT_LEAST_ONCE, retain=retain, packet_id=self.next_packet_id(),
            content_type=CONTENT_TYPE, payload_format_indicator=1,
        )  # fmt: skip
        self.write(packet.write())

    def next_packet_id(self) -> int:
        """A packet identifier for a message of our own; they wrap far beyond what is ever open."""
        self._packet_id = self._packet_id % 65_535 + 1
        return self._packet_id

    async def subscribe(self, filters: Sequence[mqtt5.TopicFilter]) -> None:
        """Subscribe. Raises `Unavailable`, naming the filter, when the broker refuses one."""
        self.write(mqtt5.SubscribePacket(self.next_packet_id(), list(filters)).write())
        # not wait_for, here and below: before Python 3.12 it loses a cancellation that comes with what is waited for
        async with asyncio.timeout(PATIENCE_SECONDS):
            answer = await self._subscribed
        for wanted, code in zip(filters, answer.reason_codes, strict=True):
            if code.value >= 0x80:
                raise Unavailable(f"the broker refuses the subscription to {wanted.pattern}: {code.name}")

    def unsubscribe(self, filters: Sequence[mqtt5.TopicFilter]) -> None:
        """Unsubscribe, without waiting for the UNSUBACK: nothing that comes meanwhile is lost by it."""
        patterns = [wanted.pattern for wanted in filters]
        self.write(mqtt5.UnsubscribePacket(self.next_packet_id(), patterns).write())

    def pause(self, wanted: bool) -> None:
        """Stop or go on reading the socket: the back-pressure that no broker can ignore."""
        if self._transport is None or self._transport.is_closing() or wanted == self._paused:
            return
        self._paused = wanted
        if wanted:
            self._transport.pause_reading()
        else:
            self.heard = asyncio.get_running_loop().time()
            self._transport.resume_reading()

    async def keep_alive(self) -> None:
        """Ping until the connection is closed; a broker that answers nothing for 1.5 keep alives is left."""
        loop = asyncio.get_running_loop()
        while not self.closed.done():
            await asyncio.wait([self.closed], timeout=KEEP_ALIVE_SECONDS / 2)
            self.write(mqtt5.PingReqPacket().write())
            if not self._paused and loop.time() - self.heard > 1.5 * KEEP_ALIVE_SECONDS:
                self._end("the broker has not answered for 1.5 keep alives")
                self.abort()

    def abort(self) -> None:
        """Close without a goodbye."""
        if self._transport is not None:
            self._transport.abort()

    async def leave(self) -> None:
        """Say DISCONNECT and close. The session stays on the broker until it expires."""
        if self._transport is not None and not self.closed.done():
            self._deliver = lambda *_: None  # what still comes stays without a PUBACK
            self.pause(False)
            self.write(mqtt5.DisconnectPacket().write())
            # closed at once, what the broker still sends would be answered with a reset, before it has read all of this
            await asyncio.wait([self.closed], timeout=2)
            self._transport.abort()
            await self.closed


def retained_will(topic: str, payload: bytes) -> mqtt5.Will:
    """What the broker shall retain when the connection ends without a goodbye: JSON, at QoS 1."""
    return mqtt5.Will(
        topic, payload=payload, qos=mqtt5.QoS.AT_LEAST_ONCE, retain=True, content_type=CONTENT_TYPE,
        payload_format_indicator=1,
    )  # fmt: skip


async def connect(address: BrokerAddress, packet: mqtt5.ConnectPacket, deliver: Deliver) -> Connection:
    """A connection that the broker has accepted. Raises `OSError`, `TimeoutError` and `Unavailable`."""
    context = make_context(address) if address.tls else None
    async with asyncio.timeout(PATIENCE_SECONDS):
        _, connection = await asyncio.get_running_loop().create_connection(
            lambda: Connection(packet, deliver), address.host, address.port, ssl=context
        )
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            answer = await connection.accepted
        if answer.reason_code != mqtt5.ConnAckReasonCode.SUCCESS:
            raise Unavailable(f"the broker refuses {packet.username}: {answer.reason_code.name}")
    except BaseException:
        connection.abort()
        raise
    return connection
