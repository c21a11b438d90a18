"""Identifiers: UUID version 7 for what is new, version 5 for what must come out the same each time."""

from __future__ import annotations

import os
import re
import threading
import time
import uuid

_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")

# Namespace of every version 5 id that Heimdall makes (RFC 9562, section 5.5).
NAMESPACE = uuid.UUID("6f1d3a52-4d0e-5c58-9d0c-4f8f6b3d2a71")


class _Version7:
    """Ascending ids need a memory: the last millisecond and the counter within it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ms = 0
        self._counter = 0

    def next(self) -> tuple[int, int]:
        with self._lock:
            now = time.time_ns() // 1_000_000
            if now > self._ms:
                self._ms, self._counter = now, int.from_bytes(os.urandom(2), "big") & 0x7FF
            elif self._counter < 0xFFF:
                self._counter += 1
            else:
                self._ms, self._counter = self._ms + 1, 0
            return self._ms, self._counter


_version7 = _Version7()


def uuid7() -> uuid.UUID:
    """A new UUID version 7 (RFC 9562, section 5.7): milliseconds, then a counter, then randomness.

    Ids of one process are strictly ascending, also when its clock is set back (section 6.2, method 1).
    """
    ms, counter = _version7.next()
    tail = int.from_bytes(os.urandom(8), "big") & ((1 << 62) - 1)
    return uuid.UUID(int=(ms << 80) | (0x7 << 76) | (counter << 64) | (0b10 << 62) | tail)


def uuid7_ms(event_id: uuid.UUID) -> int | None:
    """Milliseconds since 1970 UTC that a version 7 id carries; `None` for any other version."""
    return event_id.int >> 80 if event_id.version == 7 else None


def stable_id(*parts: str) -> uuid.UUID:
    """A UUID version 5 made of `parts`: the same parts give the same id, on every machine."""
    # the unit separator keeps ("ab", "c") and ("a", "bc") apart
    return uuid.uuid5(NAMESPACE, "\x1f".join(parts))


def ingested_id(host: str, text: str) -> uuid.UUID:
    """The id of an event that an agent of the HTTP version calls `text`: that UUID, or one made of host and text.

    Such ids are any text that is unique within a host.
    """
    return uuid.UUID(text) if _UUID.fullmatch(text) else stable_id(host, text)
