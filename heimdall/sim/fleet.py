"""The fleet: all hosts of this process, their connections opened in a paced way, and what happens to them noted."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from functools import partial

from core.errors import Unavailable
from heimdall.sim.host import Host, Manner
from heimdall.sim.ledger import Fact
from heimdall.sim.link import Line, Link
from heimdall.sim.timers import Timers

log = logging.getLogger("heimdall.sim")

TURN_SECONDS = 0.02
AT_ONCE = 200  # connections that are being opened
GOODBYES = 500  # in one turn
GOODBYE_SECONDS = 20.0  # for the broker to take them all
CONNACK_SECONDS = 10.0


class Fleet:
    """Hosts by name. What happens to them becomes facts; `clock` is monotonic."""

    def __init__(
        self, line: Line, names: Sequence[str], manner: Manner, connect_rate: float, clock: Callable[[], float]
    ) -> None:
        self.manner, self.timers, self.clock = manner, Timers(), clock
        self.hosts = {name: Host(name, number, manner, self) for number, name in enumerate(names)}
        self.facts: list[Fact] = []
        self.receipts: Callable[[bytes | None], None] = lambda _: None
        self.beats = self.lost = 0
        self.longest_lag = 0.0
        self.refusal = ""
        self._line, self._rate = line, connect_rate
        self._clones: dict[str, Host] = {}
        self._queue: dict[Host, None] = dict.fromkeys(self.hosts.values())
        self._opening: dict[Host, asyncio.Task[None]] = {}
        self._allowance = 0.0
        self._leaving = False

    def note(self, host: Host, kind: str, now: float, due_at: float | None = None) -> None:
        """Something that the judge should notice, or should not, happens to `host`."""
        sent_at = host.link.sent_at if host.link else now
        self.facts.append(Fact(host.name, kind, now, host.fault, host.beat_at, sent_at, due_at, host.required))

    async def run(self) -> None:
        """Open, beat and do what is due, until cancelled. Raises `Unavailable` when the broker lets nobody in."""
        before = self.clock()
        while True:
            now = self.clock()
            self.longest_lag = max(self.longest_lag, self.timers.run_due(now))
            self._open_queued(now - before)
            before = now
            if self.refusal and not any(host.births for host in self.hosts.values()):
                raise Unavailable(self.refusal)
            await asyncio.sleep(min(TURN_SECONDS, max(0.001, self.timers.next_at - self.clock())))

    def _open_queued(self, passed_seconds: float) -> None:
        self._allowance = min(self._allowance + passed_seconds * self._rate, max(1.0, self._rate / 10))
        while self._queue and self._allowance >= 1 and len(self._opening) < AT_ONCE and not self._leaving:
            self._allowance -= 1
            host = next(iter(self._queue))
            del self._queue[host]
            if host not in self._opening:
                task = self._opening[host] = asyncio.create_task(self._open(host))
                task.add_done_callback(partial(self._opened, host))

    def _opened(self, host: Host, _task: asyncio.Task[None]) -> None:
        del self._opening[host]

    async def _open(self, host: Host) -> None:
        if host.mood == "down" or (host.link is not None and host.fault != "roam"):
            return
        try:
            link = await self._line.open(host, host.make_connect())
        except Unavailable as error:
            self.dropped(host, str(error))
            return
        answer_by = self.clock() + CONNACK_SECONDS
        self.timers.call_at(answer_by, lambda _: None if host.accepted or host.link is not link else link.abort())

    def open(self, host: Host) -> None:
        """Let `host` connect, in its turn; one that roams takes over its own connection."""
        host.mood = "up"
        self._queue[host] = None

    def connected(self) -> int:
        """How many hosts are in."""
        return sum(host.accepted for host in self.hosts.values())

    def born(self, host: Host) -> None:
        now = self.clock()
        host.backoff = None
        host.beat_due = now
        if host.name not in self._clones:
            if host.births == 1:
                self.note(host, "connect", now)
            else:
                self._note_return(host, now)
        self._tend(host, now)

    def _note_return(self, host: Host, now: float) -> None:
        self.note(host, "return", now)
        host.fault, host.required = "", True

    def _tend(self, host: Host, now: float) -> None:
        sent = host.seq
        host.tend_at = host.tend(now)
        self.beats += host.seq - sent
        if host.tend_at is not None:
            self.timers.call_at(host.tend_at, partial(self._tend_when_due, host, host.tend_at))

    def _tend_when_due(self, host: Host, due_at: float, now: float) -> None:
        if host.tend_at == due_at:  # else it is of an earlier connection
            self._tend(host, now)

    def speak_again(self, host: Host) -> None:
        """`host`, which was mute, beats."""
        now = self.clock()
        host.mood, host.beat_due = "up", now
        self._note_return(host, now)
        self._tend(host, now)

    def wake(self, host: Host) -> None:
        """`host`, which hung, goes on; whether it still has its connection the broker's answer tells."""
        if host.link is None:
            self.open(host)
            return
        host.mood = "waking"
        host.link.hang(False)
        host.link.ping()

    def woke(self, host: Host) -> None:
        self.speak_again(host)

    def dropped(self, host: Host, reason: str) -> None:
        log.debug("%s: %s", host.name, reason)
        if not host.births:
            self.refusal = f"{self._line}: {reason}"
        if self._leaving or host.mood in ("down", "hung"):
            return
        now = self.clock()
        if host.births and host.fault in ("", "mute") and host.name not in self._clones:
            self.lost += 1
            host.fault, host.required = "lost", False
            self.note(host, "lost", now)
        pause = 0.0 if host.mood == "waking" else host.pause_seconds()
        host.mood = "up"
        self.timers.call_at(now + pause, lambda _: self.open(host) if host.mood == "up" else None)

    def receive(self, correlation: bytes | None) -> None:
        self.receipts(correlation)

    def clone(self, host: Host) -> None:
        """Somebody else connects as `host`: the two evict each other from now on."""
        other = self._clones[host.name] = Host(host.name, host.number, self.manner, self)
        self.open(other)

    def end_clone(self, host: Host) -> None:
        """The other one stays away; `host` has its name back at once."""
        other = self._clones.pop(host.name, None)
        if other is None:
            return
        other.mood = "down"
        if host.link is None:
            # it takes over: were the other one cut off, its will would have nobody to follow it
            self.open(host)
        else:
            other.cut()
            self._note_return(host, self.clock())

    async def leave(self) -> None:
        """Goodbye for everybody, also for those that hang; returns when all is said."""
        self._leaving = True
        self._queue.clear()
        for task in [*self._opening.values()]:
            task.cancel()
        links: list[Link] = []
        everybody = [*self.hosts.values(), *self._clones.values()]
        for number, host in enumerate(everybody, 1):
            host.mood = "down"
            link = host.say_goodbye("offline", "stop")
            if link is not None:
                links.append(link)
            if number % GOODBYES == 0:
                await asyncio.sleep(TURN_SECONDS)
        # a broker that has closed a connection has read what was said on it
        deadline = self.clock() + GOODBYE_SECONDS
        while self.clock() < deadline and not all(link.closed for link in links):
            await asyncio.sleep(TURN_SECONDS)
        for link in links:
            link.abort()
