"""A service's MQTT 5 session: an `asyncio.Protocol` over the sans-IO codec `mqtt5`.

What is not acknowledged is not sent again on the same connection (MQTT 5, section 4.4), so nothing here
gives a message up: it is handed on, and acknowledged by whoever has stored it, in the order of receipt.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import cast

import mqtt5

from core.errors import HeimdallError, Unavailable
from core.home import Credential
from core.messages import CONTENT_TYPE
from core.settings import BrokerAddress
from core.tls import make_context
from mqtt.packets import split_packets

log = logging.getLogger("mqtt.session")

KEEP_ALIVE_SECONDS = 15
SESSION_EXPIRY_SECONDS = 600
RECEIVE_MAXIMUM = 5_000
PATIENCE_SECONDS = 10.0
LONGEST_PAUSE_SECONDS = 15.0
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


class Session:
    """A session: connects, subscribes, and comes back with jitter, until cancelled.

    The broker keeps a `persistent` one, and what comes for it, for ten minutes; another begins empty each time.
    `trouble` is empty while subscribed, else what is wrong. `connected` is told of each new connection, before any
    message of it is delivered. `before_return` is awaited before it comes back under
    its client id, for whoever has that now would be evicted: what it raises ends the session.
    """

    def __init__(
        self,
        address: BrokerAddress,
        credential: Credential,
        client_id: str,
        filters: Sequence[mqtt5.TopicFilter],
        deliver: Deliver,
        will: mqtt5.Will | None = None,
        before_return: Callable[[], Awaitable[None]] | None = None,
        *,
        persistent: bool = True,
        connected: Callable[[], None] = lambda: None,
    ) -> None:
        self._address, self._credential, self._client_id = address, credential, client_id
        self._filters, self._deliver, self._will = filters, deliver, will
        self._before_return = before_return
        self._persistent, self._connected = persistent, connected
        self.connection: Connection | None = None
        self.trouble = "not connected yet"
        self.reconnects = -1  # the first time is none

    async def run(self) -> None:
        """Hold the session. Ends only by being cancelled, or by what `before_return` raises."""
        pause = 0.1
        while True:
            try:
                connection = await self._open()
                pause = 0.1
                log.info("%s is subscribed at %s", self._client_id, self._address)
                await connection.keep_alive()
                reason = connection.closed.result()
            except (HeimdallError, OSError, TimeoutError) as error:
                reason = str(error) or type(error).__name__
            if self.trouble != reason:
                log.warning("%s lost its session at %s: %s", self._client_id, self._address, reason)
            self.trouble = reason
            await self.close()
            await asyncio.sleep(pause * random.uniform(0.5, 1.5))
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
            if self._before_return is not None:
                await self._before_return()

    async def _open(self) -> Connection:
        """Connect and subscribe: always again, for a session may be present with its subscriptions gone."""
        packet = mqtt5.ConnectPacket(
            self._client_id,
            username=self._credential.user,
            password=self._credential.password.encode(),
            clean_start=not self._persistent,
            will=self._will,
            keep_alive=KEEP_ALIVE_SECONDS,
            session_expiry_interval=SESSION_EXPIRY_SECONDS if self._persistent else 0,
            receive_max=RECEIVE_MAXIMUM,
        )
        context = make_context(self._address) if self._address.tls else None
        async with asyncio.timeout(PATIENCE_SECONDS):
            _, connection = await asyncio.get_running_loop().create_connection(
                lambda: Connection(packet, self._deliver), self._address.host, self._address.port, ssl=context
            )
        self.connection = connection
        async with asyncio.timeout(PATIENCE_SECONDS):
            answer = await connection.accepted
        if answer.reason_code != mqtt5.ConnAckReasonCode.SUCCESS:
            raise Unavailable(f"the broker refuses {self._credential.user}: {answer.reason_code.name}")
        self._connected()
        await connection.subscribe(self._filters)
        self.trouble = ""
        self.reconnects += 1
        return connection

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Publish JSON at QoS 1; nothing happens without a connection."""
        if self.connection is not None:
            self.connection.publish(topic, payload, retain=retain)

    def unsubscribe(self) -> None:
        """Have the broker keep nothing more for this session; nothing happens without a connection."""
        if self.connection is not None:
            self.connection.unsubscribe(self._filters)

    async def close(self) -> None:
        """Leave the present connection, if there is one."""
        connection, self.connection = self.connection, None
        if connection is not None:
            with contextlib.suppress(OSError):
                await connection.leave()
