"""The ring that `GET /stream` is read from, and who reads it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from api.listeners import Credential, Listener, Listeners
from api.ring import CHUNK_BYTES, KINDS, Ring
from core.errors import Unavailable
from store import Key


def ids(data: bytes) -> list[int]:
    return [int(line.rpartition(b"-")[2]) for line in data.splitlines() if line.startswith(b"id: ")]


def read_all(ring: Ring, position: int) -> list[int]:
    found: list[int] = []
    while (chunk := ring.take(position, KINDS)) is not None and chunk.data:
        assert len(chunk.data) <= CHUNK_BYTES
        found += ids(chunk.data)
        position = chunk.position
    return found


def test_what_is_read_in_chunks_is_whole_and_in_order() -> None:
    ring = Ring()
    for _ in range(2_000):
        ring.add("verdict", b'{"hostname":"web-01"}')
    assert read_all(ring, 0) == [*range(1, 2_001)]
    assert read_all(ring, 1_500) == [*range(1_501, 2_001)]


def test_those_who_are_at_one_place_share_the_same_bytes() -> None:
    ring = Ring()
    ring.add("verdict", b"{}")
    first, second = ring.take(0, KINDS), ring.take(0, [*reversed(KINDS)])
    assert first is not None
    assert first is second


def test_the_oldest_go_when_there_are_too_many() -> None:
    ring = Ring(messages=10)
    for _ in range(25):
        ring.add("verdict", b"{}")
    assert ring.take(14, KINDS) is None
    assert read_all(ring, 15) == [*range(16, 26)]


def test_the_oldest_go_when_they_are_too_large() -> None:
    ring = Ring(size=1_000)
    for _ in range(25):
        ring.add("verdict", b"x" * 300)
    assert read_all(ring, 23) == [24, 25]
    assert ring.take(20, KINDS) is None


def test_what_is_not_asked_for_is_passed_over_and_resets_never_are() -> None:
    ring = Ring()
    ring.add("verdict", b"{}")
    ring.add_reset()
    ring.add("alert", b"{}")
    ring.add("verdict", b"{}")
    chunk = ring.take(0, ["alert"])
    assert chunk is not None
    assert (ids(chunk.data), chunk.position) == ([2, 3], 4)


def test_after_it_was_cleared_no_earlier_place_is_known() -> None:
    ring = Ring()
    ring.add("verdict", b"{}")
    event_id = ring.comment(ring.newest).split()[-1].decode()
    assert ring.find(event_id) == 1
    ring.clear()
    assert ring.find(event_id) is None
    assert ring.take(1, KINDS) is None
    ring.add("verdict", b"{}")
    assert ring.find(event_id) is None
    assert read_all(ring, ring.newest - 1) == [ring.newest]


async def find_nobody(_secret: str) -> Key | None:
    return None


async def find_reader(_secret: str) -> Key | None:
    return Key("eva", frozenset({"read"}))


async def find_agent(_secret: str) -> Key | None:
    return Key("a box", frozenset({"agent"}))


async def fail(_secret: str) -> Key | None:
    raise Unavailable("the database is away")


def test_one_that_takes_nothing_in_for_long_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.listeners.STALLED_SECONDS", 0.01)
    cut: list[bool] = []

    async def hang(_message: Any) -> None:
        await asyncio.Event().wait()

    async def serve() -> None:
        await Listener(Ring(), KINDS, 0, Credential(find_reader, "x")).serve(hang, lambda: cut.append(True))

    asyncio.run(serve())
    assert cut == [True]


def test_a_look_ends_those_who_may_no_longer_read_and_asks_once_for_each() -> None:
    asked: list[str] = []

    async def find_once(secret: str) -> Key | None:
        asked.append(secret)
        return await find_reader(secret)

    async def look() -> list[bool]:
        ring, listeners = Ring(), Listeners()
        ways = (find_nobody, find_reader, find_agent, fail, find_once, find_once)
        made = [Listener(ring, KINDS, 0, Credential(way, "x")) for way in ways]
        for one in made:
            listeners.add(one)
        await listeners.check()
        return [one.ended for one in made]

    assert asyncio.run(look()) == [True, False, True, False, False, False]
    assert asked == ["x"]
