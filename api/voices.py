"""Voices: for which hosts a key may speak. Who is enrolled speaks for itself, and no key for just any host does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Set
from typing import NamedTuple

from starlette.concurrency import run_in_threadpool

from api.auth import CACHE_SECONDS
from api.problems import Refused
from core.errors import Unavailable
from store import EnrolledHosts, Key


class Voice(NamedTuple):
    """For which hosts `key` may speak: the one that it is bound to, else all but the `enrolled`.

    Never for the `revoked`, of whom nothing would be stored. Names are in lower case.
    """

    key: Key
    enrolled: Set[str]
    revoked: Set[str]

    def refusal(self, host: str) -> str | None:
        """Why it may not speak for `host`, `None` when it may."""
        if host.lower() in self.revoked:
            return f"{host!r} was revoked: nothing of it is stored until it is enrolled again"
        if self.key.host is not None:
            return (
                None
                if self.key.host == host
                else f"{self.key.name} may speak for {self.key.host!r} alone, not for {host!r}"
            )
        if host.lower() in self.enrolled:
            return f"{host!r} is enrolled: its own agent may speak for it, or a key with the scope agent:{host}"
        return None

    def check(self, host: str) -> None:
        """Raises `Refused` (403) when it may not speak for `host`."""
        reason = self.refusal(host)
        if reason is not None:
            raise Refused(403, reason)


class Voices:
    """Knows who is enrolled, as late as the authenticator knows keys. It reads when it is asked, and not else."""

    def __init__(self, hosts: EnrolledHosts) -> None:
        self._hosts = hosts
        self._until = 0.0
        self._reading = asyncio.Lock()
        self._known = False

    async def of(self, key: Key) -> Voice:
        """The voice of `key`. Raises `Unavailable` when it has never been known who is enrolled."""
        if time.monotonic() >= self._until:
            async with self._reading:
                if time.monotonic() >= self._until:
                    await self._read()
        return Voice(key, self._hosts.names, self._hosts.revoked)

    async def _read(self) -> None:
        try:
            await run_in_threadpool(self._hosts.refresh)
            self._known = True
        except Unavailable:
            # as with keys: what was known when the database went goes on being known
            if not self._known:
                raise
        self._until = time.monotonic() + CACHE_SECONDS
