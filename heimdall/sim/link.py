"""One connection to the broker: an `asyncio.Protocol` over the sans-IO codec `mqtt5`, light enough for thousands."""

from __future__ import annotations

import asyncio
import ssl
import time
from typing import Protocol, cast

import mqtt5

from core.errors import Invalid, Unavailable
from core.home import Credential
from core.messages import CONTENT_TYPE
from core.settings import BrokerAddress
from core.tls import make_context
from mqtt.packets import split_packets

OPEN_SECONDS = 10.0


class Owner(Protocol):
    """Whose connection it is."""

    def opened(self, link: Link) -> None:
        """The network connection stands; CONNECT goes out next."""

    def heard(self, link: Link, packet: mqtt5.Packet) -> None:
        """A packet came."""

    def ended(self, link: Link, reason: str) -> None:
        """The connection is gone, for whatever `reason`. It is told once."""


class Link(asyncio.Protocol):
    """`sent_at` and `heard_at` are of the last packet either way, in seconds of the monotonic clock.

    `in_flight` counts messages of QoS 1 without PUBACK; the broker allows `receive_maximum` of them.
    """

    __slots__ = (
        "_connect", "_over", "_owner", "_packet_id", "_rest", "_transport",
        "heard_at", "in_flight", "receive_maximum", "sent_at",
    )  # fmt: skip

    def __init__(self, owner: Owner, connect: bytes) -> None:
        self._owner, self._connect = owner, connect
        self._transport: asyncio.Transport | None = None
        self._rest = b""
        self._packet_id = self.in_flight = 0
        self._over = False
        self.receive_maximum = 65_535
        self.sent_at = self.heard_at = time.monotonic()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are none of asyncio's classes
        self._transport = cast(asyncio.Transport, transport)
        self._owner.opened(self)
        self.write(self._connect)
        self._connect = b""

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._end(str(exc) if exc else "the broker closed the connection")

    def _end(self, reason: str) -> None:
        if not self._over:
            self._over = True
            self._owner.ended(self, reason)

    def data_received(self, data: bytes) -> None:
        self.heard_at = time.monotonic()
        packets, self._rest, trouble = split_packets(self._rest + data if self._rest else data)
        for packet in packets:
            self._take(packet)
        if trouble:
            self._end(trouble)
            self.abort()

    def _take(self, packet: mqtt5.Packet) -> None:
        if isinstance(packet, mqtt5.PubAckPacket):
            self.in_flight -= 1
        elif isinstance(packet, mqtt5.ConnAckPacket):
            self.receive_maximum = packet.receive_max
        if not self._over:
            self._owner.heard(self, packet)
        if isinstance(packet, mqtt5.DisconnectPacket):
            self._end(f"the broker said DISCONNECT: {packet.reason_code.name}")
            self.abort()

    def write(self, data: bytes) -> None:
        """Send packets as they are; nothing happens on a connection that is gone."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)
            self.sent_at = time.monotonic()

    def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        retain: bool = False,
        expiry_seconds: int | None = None,
        response_topic: str | None = None,
        correlation: bytes | None = None,
    ) -> bool:
        """Publish JSON at QoS 1; `False`, and nothing is sent, when the broker takes no more before a PUBACK."""
        if self.in_flight >= self.receive_maximum:
            return False
        self.in_flight += 1
        packet = mqtt5.PublishPacket(
            topic, payload, qos=mqtt5.QoS.AT_LEAST_ONCE, retain=retain, packet_id=self.next_packet_id(),
            message_expiry_interval=expiry_seconds, content_type=CONTENT_TYPE, response_topic=response_topic,
            correlation_data=correlation,
        )  # fmt: skip
        self.write(packet.write())
        return True

    def subscribe(self, *filters: str) -> None:
        """Subscribe at QoS 0; what is retained comes marked so."""
        wanted = [mqtt5.TopicFilter(one, max_qos=mqtt5.QoS.AT_MOST_ONCE, retain_as_published=False) for one in filters]
        self.write(mqtt5.SubscribePacket(self.next_packet_id(), wanted).write())

    def next_packet_id(self) -> int:
        """A packet identifier; they wrap far beyond what is ever open."""
        self._packet_id = self._packet_id % 65_535 + 1
        return self._packet_id

    def ping(self) -> None:
        """Ask the broker for a sign of life, and give one."""
        self.write(mqtt5.PingReqPacket().write())

    def hang(self, hung: bool) -> None:
        """Read nothing from now on, or go on reading."""
        if self._transport is not None and not self._transport.is_closing():
            (self._transport.pause_reading if hung else self._transport.resume_reading)()

    def abort(self) -> None:
        """Close without a goodbye."""
        if self._transport is not None:
            self._transport.abort()

    def leave(self) -> None:
        """Say DISCONNECT, which keeps the broker from sending the will; it closes when it has read that."""
        self.write(mqtt5.DisconnectPacket().write())

    @property
    def closed(self) -> bool:
        """Whether nothing is connected any more."""
        return self._transport is None


class Line:
    """The way to the broker at `address`, looked up once for all connections. `login` is `None` for nobody's."""

    def __init__(self, address: BrokerAddress) -> None:
        if address.websockets:
            raise Invalid(f"broker {address}: sim speaks mqtt:// or mqtts://")
        self._address = address
        self._context: ssl.SSLContext | None = make_context(address) if address.tls else None
        self._numeric = ""

    def __str__(self) -> str:
        return str(self._address)

    async def open(self, owner: Owner, connect: bytes) -> Link:
        """A connection on which `connect` has been sent. Raises `Unavailable`."""
        loop = asyncio.get_running_loop()
        try:
            if not self._numeric:
                found = await loop.getaddrinfo(self._address.host, self._address.port, type=1)
                self._numeric = str(found[0][4][0])
            name = self._address.host if self._context else None
            opening = loop.create_connection(
                lambda: Link(owner, connect), self._numeric, self._address.port, ssl=self._context, server_hostname=name
            )
            _, link = await asyncio.wait_for(opening, OPEN_SECONDS)
        except (OSError, TimeoutError) as error:
            raise Unavailable(f"no connection to {self._address}: {error or 'it does not answer'}") from error
        return link


def make_connect(
    client_id: str, login: Credential | None, keep_alive_seconds: int, will: mqtt5.Will | None = None
) -> bytes:
    """A CONNECT for a session that ends with its connection."""
    return mqtt5.ConnectPacket(
        client_id,
        username=login.user if login else None,
        password=login.password.encode() if login else None,
        clean_start=True,
        will=will,
        keep_alive=keep_alive_seconds,
    ).write()
