"""Publishing at QoS 1 on one connection: each message is answered, and no more are open than the broker allows."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import mqtt5

from core.messages import CONTENT_TYPE
from mqtt.connection import Connection

SUCCESS, NOBODY_SUBSCRIBED, REFUSED_FROM = 0x00, 0x10, 0x80  # PUBACK reason codes (MQTT 5, section 3.4.2.1)
MOST_OPEN = 1_000  # messages without PUBACK; the broker may ask for less (CONNACK's receive maximum)

# gets the PUBACK's reason code, or `None` when the connection ended before one came
Done = Callable[["int | None"], object]


@dataclass(frozen=True)
class Message:
    """What is to be published, JSON or nothing. `expiry_seconds` is rounded up to whole seconds by the caller."""

    topic: str
    payload: bytes
    retain: bool = False
    expiry_seconds: int | None = None
    response_topic: str | None = None
    correlation: bytes | None = None


class Publisher:
    """Publishes on `connection`, which was accepted. It belongs to the event loop."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._most = min(MOST_OPEN, connection.accepted.result().receive_max)
        self._open: dict[int, Done] = {}
        self._queue: deque[tuple[Message, Done]] = deque()
        connection.acknowledged = self._settle
        connection.closed.add_done_callback(lambda _: self._give_up())

    def publish(self, message: Message, done: Done) -> None:
        """Publish; waits its turn when as many are open as may be."""
        if self._connection.closed.done():
            done(None)
        elif len(self._open) >= self._most:
            self._queue.append((message, done))
        else:
            self._send(message, done)

    def _send(self, message: Message, done: Done) -> None:
        number = self._connection.next_packet_id()
        while number in self._open:
            number = self._connection.next_packet_id()
        self._open[number] = done
        packet = mqtt5.PublishPacket(
            message.topic, message.payload, qos=mqtt5.QoS.AT_LEAST_ONCE, retain=message.retain, packet_id=number,
            content_type=CONTENT_TYPE, payload_format_indicator=1, message_expiry_interval=message.expiry_seconds,
            response_topic=message.response_topic, correlation_data=message.correlation,
        )  # fmt: skip
        self._connection.write(packet.write())

    def _settle(self, packet: mqtt5.PubAckPacket) -> None:
        done = self._open.pop(packet.packet_id, None)
        if self._queue and len(self._open) < self._most:
            self._send(*self._queue.popleft())
        if done is not None:
            done(packet.reason_code.value)

    def _give_up(self) -> None:
        left = [*self._open.values(), *(done for _, done in self._queue)]
        self._open.clear()
        self._queue.clear()
        for done in left:
            done(None)
