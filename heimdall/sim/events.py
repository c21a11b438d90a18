"""Events of the whole fleet at a steady rate, each published again until its receipt comes."""

from __future__ import annotations

import heapq
import secrets
from collections.abc import Sequence

from core.clock import utc_now
from core.forwarder import PATIENCE_SECONDS
from core.ids import uuid7
from core.messages import Event, encode
from heimdall.sim.host import Host

LONGEST_SECONDS = 300.0
RETRY_SECONDS = 1.0  # of a host that is away, or whose broker takes no more just now
AT_MOST = 1_000  # in one turn: a process that was stopped does not make up for it at once


class _Waiting:
    __slots__ = ("host", "patience_seconds", "payload")

    def __init__(self, host: Host, payload: bytes) -> None:
        self.host, self.payload = host, payload
        self.patience_seconds = PATIENCE_SECONDS


class Events:
    """`rate` a second, host after host; one is `accepted` when its receipt came. Times are of the monotonic clock."""

    def __init__(self, hosts: Sequence[Host], rate: float, now: float) -> None:
        self.made = self.accepted = self.repeated = 0
        self._hosts, self._rate = hosts, rate
        self._run = secrets.token_bytes(16)
        self._waiting: dict[int, _Waiting] = {}
        self._due: list[tuple[float, int]] = []
        self._before, self._owed = now, 0.0
        self._next_host = 0

    @property
    def waiting(self) -> int:
        """How many have no receipt yet."""
        return len(self._waiting)

    def turn(self, now: float) -> None:
        """Publish what is due at `now`."""
        self._owed = min(self._owed + (now - self._before) * self._rate, AT_MOST)
        self._before = now
        while self._owed >= 1:
            self._owed -= 1
            self._make(now)
        while self._due and self._due[0][0] <= now:
            _, number = heapq.heappop(self._due)
            if number in self._waiting:
                self.repeated += self._publish(number, now)

    def receive(self, correlation: bytes | None) -> None:
        """A receipt came, of ours or of an earlier run."""
        if correlation is not None and len(correlation) == 24 and correlation.startswith(self._run):
            self.accepted += self._waiting.pop(int.from_bytes(correlation[16:], "big"), None) is not None

    def _make(self, now: float) -> None:
        host = self._hosts[self._next_host]
        self._next_host = (self._next_host + 1) % len(self._hosts)
        self.made += 1
        port = 1_024 + self.made % 60_000
        message = f"sshd[{self.made % 32_768}]: Failed password for root from 203.0.113.7 port {port} ssh2"
        event = Event(uuid7(), utc_now(), host.name, "LINUX", "LOGIN_FAIL", 3, message, "203.0.113.7", "root")
        self._waiting[self.made] = _Waiting(host, encode(event))
        self._publish(self.made, now)

    def _publish(self, number: int, now: float) -> bool:
        one = self._waiting[number]
        sent = one.host.publish_events(one.payload, self._run + number.to_bytes(8, "big"))
        wait = one.patience_seconds if sent else RETRY_SECONDS
        if sent:
            one.patience_seconds = min(one.patience_seconds * 2, LONGEST_SECONDS)
        heapq.heappush(self._due, (now + wait, number))
        return sent
