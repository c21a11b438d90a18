"""A client that publishes what it is given, once, as no agent of ours does: no spool, no receipts, no window."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from uuid import UUID

import mqtt5
from faults_site import Site

from core.home import Credential
from core.messages import Event, encode


def publish(here: Site, login: Credential, client_id: str, messages: Sequence[tuple[str, bytes]]) -> None:
    """Publish `messages` (topic and payload, at most 1,000) at QoS 1 and wait for the PUBACKs.

    Raises `OSError` when the broker is away or does not answer within 5 s.
    """
    connect = mqtt5.ConnectPacket(client_id, username=login.user, password=login.password.encode())
    with socket.create_connection(("127.0.0.1", here.mqtt_port), timeout=5) as broker:
        broker.sendall(connect.write())
        _read(broker, mqtt5.ConnAckPacket, 1)
        for number, (topic, payload) in enumerate(messages, 1):
            broker.sendall(mqtt5.PublishPacket(topic, payload, qos=mqtt5.QoS.AT_LEAST_ONCE, packet_id=number).write())
        _read(broker, mqtt5.PubAckPacket, len(messages))
        broker.sendall(mqtt5.DisconnectPacket().write())


def _read(broker: socket.socket, kind: type[mqtt5.Packet], count: int) -> None:
    """Read `count` packets of a kind, each with success."""
    rest = b""
    while count:
        data = broker.recv(65_536)
        if not data:
            raise ConnectionResetError("the broker closed the connection")
        rest += data
        while rest:
            try:
                packet, size = mqtt5.read(memoryview(rest))
            except IndexError:
                break
            rest = rest[size:]
            if isinstance(packet, kind):
                assert packet.reason_code.value in {0x00, 0x10}, packet
                count -= 1


def long_events(host: str, ids: Iterable[str]) -> bytes:
    """Events of `host`, 10 kB each, as one message."""
    now = datetime.now(UTC)
    events = (Event(UUID(made), now, host, "LINUX", "LOGIN_FAIL", 3, "long " * 2_000) for made in ids)
    return b"[" + b",".join(map(encode, events)) + b"]"
