"""The feed: fills the ring of `GET /stream` while somebody listens.

Verdicts and alerts come from the broker. Events are looked for in the store: at most once a second, when an ingestor
says that it has stored some, and every few seconds in case that was not heard.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable

from starlette.concurrency import run_in_threadpool

from api.listeners import Listener, Listeners
from api.ring import Kind, Ring
from api.told import read_alert, write_alert, write_events, write_verdict
from core.errors import HeimdallError, Unavailable
from core.messages import Alert
from core.topics import ALERTS, VERDICT, parse_host_topic
from store import Store
from store.news import News

PAUSE_SECONDS = 0.1  # between two wakings of all listeners
LOOK_SECONDS = 1.0
LOOK_ANYWAY_SECONDS = 5.0
CHECK_SECONDS = 15.0  # how long a revoked key may listen on, beside the 5 s for which it is remembered
LINGER_SECONDS = 60.0  # that nobody listens, and whoever comes again has missed nothing
MOST_CLEARED = 10_000  # alerts that wait to be looked up

log = logging.getLogger(__name__)


class Feed:
    """One a process. `stored` tells, by another answer, that there is more in the store."""

    def __init__(self, store: Store, stored: Callable[[], object]) -> None:
        self._store, self._ask_stored = store, stored
        self.ring = Ring()
        self.listeners = Listeners()
        self._tasks: list[asyncio.Task[None]] = []
        self._grown = asyncio.Event()
        self._due = asyncio.Event()
        self._cleared: dict[str, None] = {}
        self._looking = asyncio.Lock()
        self._active = self._ended = False
        self._next_check = self._listened = 0.0
        self._begin_events()

    def start(self) -> None:
        """Begin; it costs nothing until somebody listens."""
        self._tasks = [asyncio.create_task(one, name="feed") for one in (self._speak(), self._look())]

    def end(self) -> None:
        """Let everybody go, and nobody in any more."""
        self._ended = True
        self.listeners.end()

    async def stop(self) -> None:
        """End, and stop looking."""
        self.end()
        for task in self._tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    def hear(self, topic: str, payload: bytes) -> None:
        """A verdict or an alert has come from the broker."""
        if not self._active:
            return
        if topic.startswith(f"{ALERTS}/"):
            if payload:
                self._add("alert", read_alert(payload))
            else:
                self._look_up(topic[len(ALERTS) + 1 :])
            return
        found = parse_host_topic(topic)
        if found is not None and found.kind == VERDICT:
            self._add("verdict", write_verdict(found.host, payload))

    def reconnected(self) -> None:
        """The broker is there again; what it was told meanwhile nobody has heard."""
        if self._active:
            self._reset()

    def tell(self, alert: Alert) -> None:
        """Somebody has said to see to `alert`."""
        if self._active:
            self._add("alert", write_alert(alert))

    def _add(self, kind: Kind, data: bytes | None) -> None:
        if data is not None:
            self.ring.add(kind, data)
            self._grown.set()

    def _reset(self) -> None:
        self.ring.add_reset()
        self._grown.set()

    def _look_up(self, alert_id: str) -> None:
        if len(self._cleared) >= MOST_CLEARED:
            self._cleared.clear()
            self._reset()
            return
        self._cleared[alert_id] = None
        self._due.set()

    async def join(self, listener: Listener) -> None:
        """Tell `listener` from now on what comes. Raises `Unavailable` when there are too many, or this is the end."""
        if self._ended:
            raise Unavailable("the API is being stopped")
        self.listeners.add(listener)
        self._listened = time.monotonic()
        if not self._active:
            self._active = True
            self._due.set()
        try:
            # what is stored from now on is new: whoever asks for the rest behind this misses nothing
            if self._cursor is None and not self._blind:
                await self._look_for_events()
        except BaseException:
            self.listeners.remove(listener)
            raise

    def leave(self, listener: Listener) -> None:
        """It is gone."""
        self.listeners.remove(listener)
        self._listened = time.monotonic()

    async def _speak(self) -> None:
        while True:
            await self._grown.wait()
            self._grown.clear()
            await self.listeners.wake()
            await asyncio.sleep(PAUSE_SECONDS)

    async def _look(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS if self._active else None):
                    await self._due.wait()
            self._due.clear()
            now = time.monotonic()
            if not len(self.listeners) and now >= self._listened + LINGER_SECONDS:
                self._rest()
                continue
            await self._tell_cleared()
            await self._look_for_events()
            if now >= self._next_check:
                self._next_check = now + CHECK_SECONDS
                await self.listeners.check()

    def _rest(self) -> None:
        self._active = False
        self._cleared.clear()
        self.ring.clear()
        self._begin_events()

    async def _tell_cleared(self) -> None:
        """Alerts that the broker retains no longer are resolved: how, the store knows."""
        ids = [*self._cleared]
        if not ids:
            return
        try:
            found = await run_in_threadpool(self._store.find_alerts, ids)
        except HeimdallError as error:
            log.debug("resolved alerts are looked up later: %s", error)
            return
        for alert_id in ids:
            self._cleared.pop(alert_id, None)
        for alert in found:
            self._add("alert", write_alert(alert))

    def _begin_events(self) -> None:
        self._cursor: int | None = None
        self._begin: int | None = None
        self._blind = False
        self._stored: object = None
        self._next_look = self._look_anyway = 0.0

    async def _look_for_events(self) -> None:
        async with self._looking:
            now, stored = time.monotonic(), self._ask_stored()
            if now < self._next_look or (stored == self._stored and now < self._look_anyway):
                return
            self._next_look, self._look_anyway = now + LOOK_SECONDS, now + LOOK_ANYWAY_SECONDS
            try:
                news = await run_in_threadpool(self._store.read_news, self._cursor)
            except HeimdallError as error:
                log.debug("new events are looked for later: %s", error)
                self._blind = self._blind or self._cursor is None
                return
            # what is not settled yet is looked for again soon
            self._stored = stored if news.settled >= news.newest else None
            self._note(news)

    def _note(self, news: News) -> None:
        if self._cursor is not None:
            self._cursor = news.settled
            if news.stored:
                self._add("events", write_events(news))
            return
        if self._begin is None:
            self._begin = news.newest
        if news.settled < min(self._begin, news.newest):
            self._blind = True  # what is being written may be neither old nor new
            return
        self._cursor = news.settled
        if self._blind:
            self._reset()
