"""The gateway: events of HTTP agents are safe in a spool on disk before their request is answered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from core.errors import Unavailable
from core.messages import Event
from core.spool import Spool, SpoolFull

_Waiting = tuple[list[Event], "asyncio.Future[None]"]


class Gateway:
    """Writes the events of many requests to one spool, with one flush for those that wait together.

    While one group is being flushed in a thread, the next requests gather; so the disk's latency is
    paid once a group and a lone request never waits for company.
    """

    def __init__(self, spool: Spool, on_kept: Callable[[], None]) -> None:
        self.spool = spool
        self._on_kept = on_kept  # called from the event loop when events have been kept
        self._waiting: list[_Waiting] = []
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        # one thread of its own: reads of the database must not make a flush wait for a thread
        self._thread = ThreadPoolExecutor(1, "gateway-spool")

    async def keep(self, events: list[Event]) -> None:
        """Return when `events` are flushed to disk. Raises `SpoolFull` and `Unavailable`: none is kept then."""
        if not events:
            return
        if self._task is None or self._task.done():
            raise Unavailable("the gateway is not running")
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((events, done))
        self._wake.set()
        await done

    def start(self) -> None:
        """Begin to write; needs a running event loop."""
        self._task = asyncio.create_task(self._write_groups(), name="gateway")

    async def stop(self) -> None:
        """Write what waits, then stop. The spool stays open."""
        if self._task is not None:
            task, self._task = self._task, None
            self._wake.set()
            await task
        self._thread.shutdown()

    async def _write_groups(self) -> None:
        while self._waiting or self._task is not None:
            await self._wake.wait()
            self._wake.clear()
            group, self._waiting = self._waiting, []
            try:
                await self._write_group(group)
            finally:
                for _, done in group:  # whatever ends this task, nobody waits for ever
                    _fail(done, Unavailable("the gateway's writer has ended"))

    async def _write_group(self, group: list[_Waiting]) -> None:
        # a batch on its way is a run of one host's events: sorted, the runs are long
        events = sorted((event for events, _ in group for event in events), key=lambda event: event.source_host)
        try:
            await self._append(events)
        except SpoolFull as error:
            if len(group) == 1:
                _fail(group[0][1], error)
                return
            # together they do not fit; one by one the smaller ones still may
            for one in group:
                await self._write_group([one])
            return
        except Unavailable as error:
            for _, done in group:
                _fail(done, error)
            return
        for _, done in group:
            if not done.done():
                done.set_result(None)
        self._on_kept()

    async def _append(self, events: list[Event]) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, self.spool.append, events)


def _fail(done: asyncio.Future[None], error: Unavailable) -> None:
    if not done.done():
        done.set_exception(error)
