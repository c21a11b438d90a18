"""Who listens to `GET /stream`: each is served by its own request, and all are woken together."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator
from itertools import islice
from typing import NamedTuple

from starlette.types import Send

from api.ring import Kind, Ring
from core.errors import Unavailable
from store import Key

MOST_LISTENERS = 2_000
COMMENT_SECONDS = 15.0
STALLED_SECONDS = 60.0  # that a client may take nothing in while there is something for it
_WOKEN_AT_ONCE = 50  # some milliseconds; then others have their turn


class Credential(NamedTuple):
    """The key or session token that a listener came with, and how it is looked up."""

    find: Callable[[str], Awaitable[Key | None]]
    secret: str


class Listener:
    """One that listens from `position` on; with `None`, which is not known, it is told that it missed something."""

    def __init__(self, ring: Ring, kinds: Iterable[Kind], position: int | None, credential: Credential) -> None:
        self.credential = credential
        self._ring, self._kinds = ring, frozenset(kinds)
        self._position = position
        self._news = asyncio.Event()
        self.ended = self._sending = False
        self._abort: Callable[[], object] = lambda: None

    def wake(self) -> None:
        """There may be something new."""
        self._news.set()

    def end(self) -> None:
        """Serve it no longer; a client that takes nothing in is not waited for."""
        self.ended = True
        self._news.set()
        if self._sending:
            self._abort()

    async def serve(self, send: Send, abort: Callable[[], object]) -> None:
        """Send what there is until `end`. `abort` cuts the connection, where the server can."""
        self._abort = abort
        first = self._ring.newest if self._position is None else self._position
        await self._send(send, self._ring.comment(first))
        while data := await self._next():
            await self._send(send, data)

    async def _send(self, send: Send, data: bytes) -> None:
        self._sending = True
        try:
            async with asyncio.timeout(STALLED_SECONDS):
                await send({"type": "http.response.body", "body": data, "more_body": True})
        except TimeoutError:
            self.end()
        finally:
            self._sending = False

    async def _next(self) -> bytes:
        while not self.ended:
            self._news.clear()
            chunk = None if self._position is None else self._ring.take(self._position, self._kinds)
            if chunk is None:
                chunk = self._ring.reset()
            self._position = chunk.position
            if chunk.data:
                return chunk.data
            try:
                async with asyncio.timeout(COMMENT_SECONDS):
                    await self._news.wait()
            except TimeoutError:
                return self._ring.comment(self._position)
        return b""


class Listeners:
    """All of them."""

    def __init__(self) -> None:
        self._all: dict[Listener, None] = {}  # in the order in which they came

    def __len__(self) -> int:
        return len(self._all)

    def add(self, listener: Listener) -> None:
        """One more. Raises `Unavailable` when there are as many as there may be."""
        if len(self._all) >= MOST_LISTENERS:
            raise Unavailable(f"{MOST_LISTENERS} listen already: ask for what you need from time to time instead")
        self._all[listener] = None

    def remove(self, listener: Listener) -> None:
        """It is gone."""
        self._all.pop(listener, None)

    async def wake(self) -> None:
        """Wake all, some at a time, so that nobody else waits for them."""
        for some in _in_slices([*self._all]):
            for listener in some:
                listener.wake()
            await asyncio.sleep(0)

    async def check(self) -> None:
        """End those whose key or session is no more, or may no longer read; each is looked up once."""
        by_credential: dict[Credential, list[Listener]] = {}
        for listener in self._all:
            by_credential.setdefault(listener.credential, []).append(listener)
        for credential, those in by_credential.items():
            try:
                found = await credential.find(credential.secret)
            except Unavailable:
                continue  # while the database is away, what was known goes on being known
            if found is None or "read" not in found.scopes:
                for listener in those:
                    listener.end()

    def end(self) -> None:
        """End all."""
        for listener in [*self._all]:
            listener.end()


def _in_slices(listeners: list[Listener]) -> Iterator[list[Listener]]:
    left = iter(listeners)
    while some := [*islice(left, _WOKEN_AT_ONCE)]:
        yield some
