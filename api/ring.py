"""The ring: the last messages of `GET /stream`, each made once, as bytes that all listeners share."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from typing import Literal, NamedTuple, get_args

Kind = Literal["verdict", "alert", "events"]
KINDS: tuple[Kind, ...] = get_args(Kind)

RING_MESSAGES = 10_000
RING_BYTES = 16_777_216
CHUNK_BYTES = 32_768  # that are sent at once; a message that is longer goes by itself
_CHUNKS = 16  # that are kept: most listeners are where the others are


class Chunk(NamedTuple):
    """What follows a position, as it is sent, and the position behind it; `data` is empty when nothing does."""

    data: bytes
    position: int


class Ring:
    """Messages by their number, which counts from 1; a position is the number of the last that somebody has.

    Numbers begin anew with each process, so an id has a random text before its number: `<boot>-<n>`.
    """

    def __init__(self, messages: int = RING_MESSAGES, size: int = RING_BYTES) -> None:
        self._boot = secrets.token_hex(4)
        self._messages, self._size = messages, size
        self._held: dict[int, tuple[str, bytes]] = {}
        self._first = self._next = 1
        self._bytes = 0
        self._chunks: dict[tuple[int, frozenset[Kind]], Chunk] = {}

    @property
    def newest(self) -> int:
        """The position of who has all."""
        return self._next - 1

    def add(self, kind: Kind, data: bytes) -> None:
        """Add a message of `kind`; `data` is JSON in one line. The oldest go when there is no room."""
        self._add(kind, data)

    def add_reset(self) -> None:
        """Tell everybody that something may have been missed."""
        self._add("reset", b"{}")

    def _add(self, kind: str, data: bytes) -> None:
        message = self._frame(kind, self._next, data)
        self._held[self._next] = (kind, message)
        self._next += 1
        self._bytes += len(message)
        while len(self._held) > self._messages or (self._bytes > self._size and len(self._held) > 1):
            self._bytes -= len(self._held.pop(self._first)[1])
            self._first += 1
        self._chunks.clear()

    def clear(self) -> None:
        """Forget all: what follows now does not join what was."""
        self._held.clear()
        self._chunks.clear()
        self._bytes = 0
        self._next += 1
        self._first = self._next

    def find(self, event_id: str) -> int | None:
        """The position that `event_id` names, `None` when what follows it is not held, or it is none of ours."""
        boot, _, number = event_id.partition("-")
        if boot != self._boot or not (number.isascii() and number.isdigit() and len(number) < 18):
            return None
        position = int(number)
        return position if self._first - 1 <= position <= self.newest else None

    def take(self, position: int, kinds: Iterable[Kind]) -> Chunk | None:
        """Messages of `kinds` behind `position`, some at a time; `None` when they are no longer held."""
        if position < self._first - 1:
            return None
        place = (position, frozenset(kinds))
        if place not in self._chunks:
            if len(self._chunks) >= _CHUNKS:
                self._chunks.clear()
            self._chunks[place] = self._collect(*place)
        return self._chunks[place]

    def _collect(self, position: int, kinds: frozenset[str]) -> Chunk:
        found: list[bytes] = []
        size = 0
        while position < self.newest:
            kind, message = self._held[position + 1]
            if kind in kinds or kind == "reset":
                size += len(message)
                if found and size > CHUNK_BYTES:
                    break
                found.append(message)
            position += 1
        return Chunk(b"".join(found), position)

    def reset(self) -> Chunk:
        """For who has missed something: that it did so, and that it has all from now on."""
        return Chunk(self._frame("reset", self.newest, b"{}"), self.newest)

    def comment(self, position: int) -> bytes:
        """A line that says nothing, and where its reader is: what it did not ask for has a number too."""
        return b":\nid: %s-%d\n\n" % (self._boot.encode(), position)

    def _frame(self, kind: str, number: int, data: bytes) -> bytes:
        return b"event: %s\nid: %s-%d\ndata: %s\n\n" % (kind.encode(), self._boot.encode(), number, data)
