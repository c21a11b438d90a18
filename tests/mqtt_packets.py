"""MQTT 5 packets byte by byte: what no client library would send."""

from __future__ import annotations

import struct

PINGREQ, PINGRESP = b"\xc0\x00", b"\xd0\x00"


def _packet(kind: int, body: bytes) -> bytes:
    """A control packet with its remaining length (section 2.1)."""
    length, encoded = len(body), b""
    while True:
        length, digit = divmod(length, 128)
        encoded += bytes([digit | (0x80 if length else 0)])
        if not length:
            return bytes([kind]) + encoded + body


def _text(content: bytes) -> bytes:
    return struct.pack(">H", len(content)) + content


def connect(client_id: bytes, user: bytes, password: bytes) -> bytes:
    """A CONNECT (section 3.1) with clean start and a keep alive of 30 s."""
    flags = b"\xc2"  # user name, password, clean start
    fields = client_id, user, password
    return _packet(0x10, _text(b"MQTT") + b"\x05" + flags + b"\0\x1e\0" + b"".join(_text(one) for one in fields))


def publish(topic: bytes, payload: bytes) -> bytes:
    """A PUBLISH (section 3.3) of QoS 0."""
    return _packet(0x30, _text(topic) + b"\0" + payload)
