"""A look at the fleet for those who have no key: counts and times, no name of a host and nothing that one has said."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from datetime import datetime

from starlette.concurrency import run_in_threadpool

from api.access import Parts
from api.health import judge_parts
from core.clock import utc_now
from core.errors import HeimdallError
from store import Condition, Store

LOOK_SECONDS = 5.0  # between two looks, however many ask: strangers cannot load the database
SEEN: tuple[Condition, ...] = ("online", "late")
WRONG: tuple[Condition, ...] = ("crashed", "silent", "zombie", "overdue", "missing")
CALM: tuple[Condition, ...] = ("away", "stopped", "shutdown", "unjudged")  # announced, or only just begun


@dataclass(frozen=True)
class Some:
    """How many machines are what, and since when the first of them; `None` when that is not known."""

    condition: Condition
    count: int
    since: datetime | None


@dataclass(frozen=True)
class Look:
    """The fleet at the moment `at`. `total` is `None` when it is not known; `blind_since`: Heimdall is not well.

    A machine that was never heard or is revoked does not count.
    """

    at: datetime
    seen: int = 0
    total: int | None = None
    wrong: tuple[Some, ...] = ()
    calm: tuple[Some, ...] = ()
    blind_since: datetime | None = None

    @property
    def word(self) -> str:
        """How it is, in one word: `well`, `trouble`, or `unknown` while Heimdall cannot see."""
        if self.blind_since is not None or self.total is None:
            return "unknown"
        return "trouble" if self.wrong else "well"


class Looks:
    """The last look, shared by all who ask."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._last = Look(utc_now())
        self._until = 0.0

    async def last(self, parts: Parts) -> Look:
        """A look that is at most `LOOK_SECONDS` old."""
        async with self._lock:
            if time.monotonic() >= self._until:
                self._last = await self._take(parts)
                self._until = time.monotonic() + LOOK_SECONDS
            return self._last

    async def _take(self, parts: Parts) -> Look:
        found = await judge_parts(parts)
        found["watch"] = parts.bridge.signs.judge("watch", time.monotonic())
        blind_since = None
        if any(state != "ok" for state in found.values()):
            blind_since = self._last.blind_since or utc_now()
        try:
            return await run_in_threadpool(_look, parts.store, blind_since)
        except HeimdallError:
            return Look(utc_now(), blind_since=blind_since or utc_now())


def _look(store: Store, blind_since: datetime | None) -> Look:
    states = store.host_list.count()
    since = store.host_list.first_since([*WRONG, *CALM])

    def some(conditions: tuple[Condition, ...]) -> tuple[Some, ...]:
        return tuple(Some(one, states[one], since.get(one)) for one in conditions if states[one])

    seen = sum(states[one] for one in SEEN)
    total = seen + sum(states[one] for one in (*WRONG, *CALM))
    return Look(utc_now(), seen, total, some(WRONG), some(CALM), blind_since)
