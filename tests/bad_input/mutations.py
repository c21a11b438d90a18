"""Payloads for the fuzz run: valid messages that are changed in one of many ways, all from one seed."""

from __future__ import annotations

import json
import time
from random import Random
from typing import Any
from uuid import UUID

from line import event

from core.topics import EVENTS, HEARTBEAT, INFO

HOST = "web-01"
KEYS = list(event(HOST))
TEXTS = [
    "",
    "x",
    'a "quoted", [bracketed] {braced} \\',
    "\u6f22\u5b57 \U0001f600",
    "\u2028\x7f\t\n",
    "0" * 3_000,
    "\\u0000",
    "%s{}",
]
VALUES: list[Any] = [
    None, True, False, 0, -1, 1, 3, 5, 6, 2**31, 2**63, 2**64, -(2**63) - 1, 10**400, 0.5, -0.0, 1e308, 1e-320,
    "", "N/A", "LINUX", "linux", HOST, HOST.upper(), "db-01", "::1", "1.2.3.4", "fe80::1%eth0",
    "1970-01-01T00:00:00Z", "9998-12-31T23:59:59.9999999-23:59", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z",
    "2025-12-03T23:59:60Z", "2025-12-03 20:49:50+00:00", "\0", "a\0b", "\ud800", "\udc00\ud800",
    str(UUID(int=0)), str(UUID(int=2**128 - 1)), "0" * 32, [], {}, [[]], {"a": {}}, [None] * 50,
]  # fmt: skip
BYTES = [
    b"\0", b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xef\xbb\xbf", b"\\u0000", b"\\ud800",
    b"\\udfff", b'"', b"\\", b"[", b"]", b"{", b"}", b",", b":", b"-", b"NaN", b"1e999",
    b"9" * 5_000, b"[" * 1_500, b"]" * 1_500, b" " * 99,
]  # fmt: skip
_DAY_MS = 86_400_000
_TODAY_MS = int(time.time()) // 86_400 * _DAY_MS  # what depends on the day is the same all day


class Mutations:
    """An endless supply. `good` has the valid events, by id, that were sent so far."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.good: dict[str, dict[str, Any]] = {}
        self._pool = [self._new_event(text) for text in TEXTS]

    def _new_event(self, text: str) -> dict[str, Any]:
        random = self.random
        days = random.choice((-91, -90, -1, 0, 0, 0, 1, 2))
        ms = random.choice(
            (0, 2**48 - 1, random.getrandbits(48), _TODAY_MS + days * _DAY_MS + random.randrange(_DAY_MS))
        )
        version = random.choice((1, 4, 5, 7, 7, 7, 7, 8))
        event_id = str(UUID(int=(ms << 80) | (version << 76) | (0b10 << 62) | random.getrandbits(60)))
        severity = random.randint(1, 5)
        at = "2025-12-03T20:49:50.123456Z"
        self.good[event_id] = event(HOST, event_id=event_id, timestamp=at, raw_message=text, severity=severity)
        return self.good[event_id]

    def next(self) -> tuple[str, bytes]:
        """The kind of topic, and a payload."""
        kind = self.random.choices([EVENTS, HEARTBEAT, INFO], [8, 1, 1])[0]
        payload = self._events() if kind == EVENTS else self._presence(kind)
        for _ in range(self.random.choice((0, 0, 1, 1, 2, 4))):
            payload = self._garble(payload)
        return kind, payload

    def _good_event(self) -> dict[str, Any]:
        random = self.random
        return random.choice(self._pool) if random.random() < 0.3 else self._new_event(random.choice(TEXTS))

    def _events(self) -> bytes:
        random = self.random
        elements = [
            json.dumps(self._good_event(), ensure_ascii=random.random() < 0.5) for _ in range(random.randint(1, 5))
        ]
        parts = [one.encode() if random.random() < 0.6 else self._change_fields(json.loads(one)) for one in elements]
        return parts[0] if len(parts) == 1 and random.random() < 0.5 else b"[" + b",".join(parts) + b"]"

    def _change_fields(self, fields: dict[str, Any]) -> bytes:
        random = self.random
        for _ in range(random.choice((0, 1, 1, 2))):
            fields[random.choice(KEYS)] = random.choice(VALUES)
        if random.random() < 0.2:
            fields.pop(random.choice(list(fields)), None)
        written = [f"{json.dumps(key)}:{json.dumps(value)}" for key, value in fields.items()]
        if random.random() < 0.2:
            written.append(f"{json.dumps(random.choice(KEYS))}:{json.dumps(random.choice(VALUES))}")
        if random.random() < 0.1:
            depth = random.choice((10, 900, 1_100, 10_000))
            written.append('"deep":' + "[" * depth + "]" * depth)
        random.shuffle(written)
        return ("{" + ",".join(written) + "}").encode()

    def _presence(self, kind: str) -> bytes:
        random = self.random
        fields: dict[str, Any] = {
            "os_type": "LINUX",
            "interval_s": 60,
            "seq": 1,
            "boot": "b",
            "tags": ["a"],
            "version": "1",
        }
        for _ in range(random.choice((0, 1, 2))):
            fields[random.choice(list(fields))] = random.choice(VALUES)
        if kind == INFO and random.random() < 0.2:
            depth = random.randint(1, 1_100)
            return b'{"a":' * depth + b"1" + b"}" * depth
        return json.dumps(fields).encode()

    def _garble(self, payload: bytes) -> bytes:
        random = self.random
        at = random.randint(0, len(payload))
        end = min(len(payload), at + random.choice((1, 1, 2, 8, 200)))
        way = random.randrange(6)
        if way == 0 and at < len(payload):  # a bit flips
            return payload[:at] + bytes([payload[at] ^ (1 << random.randrange(8))]) + payload[at + 1 :]
        if way == 1:  # bytes are spliced in
            return payload[:at] + random.choice(BYTES) + payload[at:]
        if way == 2:  # cut off
            return payload[:at]
        if way == 3:  # left out
            return payload[:at] + payload[end:]
        if way == 4:  # repeated
            return payload[:end] + payload[at:end] * random.choice((1, 3, 400)) + payload[end:]
        return payload[:at] + random.randbytes(random.randint(1, 6)) + payload[end:]
