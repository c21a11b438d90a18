"""The fleet in memory: what is known of each host, and when it must be looked at again.

Work is in proportion to what changes: a heartbeat of a host that is online is only noted, and a host is judged when
something is heard that matters, or at the time at which its verdict would change by itself.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

from core.messages import DEFAULT_INTERVAL_SECONDS, Status, VerdictState
from store import HeldVerdict, Outage, Signal
from watch.presence import NEVER, SILENT_INTERVALS, Judgement, Signals, Wait, judge
from watch.sessions import Sessions

HOSTS_A_LOOK = 5_000  # some 50 ms
CHECK_SECONDS = 2.0  # until the store is asked again about a host
UNSEEN = "unseen"  # the cause of an outage that nobody watched
EVENTS_ALONE_SECONDS = 300.0  # the interval of a host that gives no heartbeats: silent after 15 minutes, as in /hosts


@dataclass(slots=True)
class Host:
    """One host. Times are seconds since 1970; `checked_at`: until then the store told all that it had heard."""

    name: str
    interval_seconds: float = 0.0  # 0: it has never told
    sessions: Sessions = Sessions()  # noqa: RUF009 -- frozen
    beat_at: float = NEVER
    heard_at: float = NEVER
    checked_at: float = NEVER
    vouched: int = 0  # the last connection whose broker knows of the session
    boot: str = ""  # as the store knows it, until a heartbeat is heard here
    held: HeldVerdict | None = None
    judged: Judgement | None = None
    next_at: float = NEVER

    def signals(self, listening_since: float, connection: int) -> Signals:
        """What it is judged by, on the connection of this number."""
        interval = self.interval_seconds
        if not interval:
            alone = self.beat_at == NEVER and self.sessions.last is None
            interval = EVENTS_ALONE_SECONDS if alone else DEFAULT_INTERVAL_SECONDS
        proven = self.vouched == connection
        return Signals(interval, listening_since, self.sessions.last, proven, self.beat_at, self.heard_at)


class Findings(NamedTuple):
    """What a look at the fleet found: transitions to be claimed, and what must be known before others may be."""

    transitions: list[HeldVerdict]
    unproven: bool  # a round trip is needed
    unchecked: list[str]  # hosts of which the store may have heard events


class Fleet:
    """All hosts. It does no input and output and has no clock; one thread uses it."""

    def __init__(self, listening_since: float) -> None:
        self._hosts: dict[str, Host] = {}
        self._due: list[tuple[float, str]] = []
        self._changed: set[str] = set()
        self._waiting: set[str] = set()
        self._listening_since = listening_since
        self._broker_since = NEVER
        self._connection = 1
        self.unseen: deque[Outage] = deque()  # of which is known only afterwards, until somebody has kept them

    def __len__(self) -> int:
        return len(self._hosts)

    def __iter__(self) -> Iterator[Host]:
        return iter(self._hosts.values())

    def _host(self, name: str) -> Host:
        host = self._hosts.get(name)
        if host is None:
            host = self._hosts[name] = Host(name)
            self._changed.add(name)
        return host

    def add(self, names: Iterable[str]) -> None:
        """Hosts that there are, whether or not anything is heard of them."""
        for name in names:
            self._host(name)

    def forget(self, names: Iterable[str]) -> None:
        """Hosts of which nothing that was heard before counts any more."""
        gone = {name for name in names if self._hosts.pop(name, None) is not None}
        self.unseen = deque(outage for outage in self.unseen if outage.source_host not in gone)

    def held(self, names: Iterable[str]) -> list[HeldVerdict]:
        """What those of the hosts that were judged are held to be."""
        known = [self._hosts[name].held for name in names if name in self._hosts]
        return [one for one in known if one is not None]

    def holds(self, name: str) -> bool:
        """Whether the host is held to be something."""
        host = self._hosts.get(name)
        return host is not None and host.held is not None

    def hold(self, verdicts: Iterable[HeldVerdict]) -> None:
        """What hosts are held to be, as the store says."""
        for held in verdicts:
            host = self._host(held.source_host)
            host.held = held
            by_events = held.state == "late" or held.reason == "silent"
            host.judged = Judgement(held.state, held.reason, held.since.timestamp(), by_events=by_events)
            self._changed.add(held.source_host)

    def learn(self, told: Iterable[Signal], at: float, asked: Iterable[str] = ()) -> None:
        """What the store has heard of hosts; all that there was to hear until `at`.

        Of those of whom it was `asked` it may have heard nothing ever.
        """
        signals = {one.source_host: one for one in told}
        for name in {*asked, *signals}:
            self._host(name).checked_at = at
            self._changed.add(name)
        for name, one in signals.items():
            host = self._host(name)
            if one.interval_s:
                host.interval_seconds = one.interval_s
            if host.beat_at == NEVER and one.boot:
                host.boot = one.boot
            beat_at = one.beat_at.timestamp() if one.beat_at else NEVER
            heard_at = one.last_seen.timestamp() if one.last_seen else NEVER
            host.beat_at, host.heard_at = max(host.beat_at, beat_at), max(host.heard_at, heard_at)

    def hear_beat(self, name: str, interval_seconds: float, boot: str, at: float) -> None:
        """A heartbeat that was published at `at`.

        A host that was alive when we ended, and begins anew when we begin, was gone while nobody watched.
        """
        host = self._host(name)
        began_anew = (
            host.boot and boot and boot != host.boot and at - host.beat_at > SILENT_INTERVALS * interval_seconds
        )
        if began_anew and host.held is not None and host.held.state in ("online", "late"):
            self.unseen.append(Outage(name, moment(host.beat_at), moment(at), UNSEEN))
        host.boot = ""
        host.beat_at = at
        if host.judged is None or host.judged.state != "online":
            self._changed.add(name)
        if host.interval_seconds != interval_seconds:
            self.learn_interval(name, interval_seconds)

    def learn_interval(self, name: str, interval_seconds: float) -> None:
        """The host's agent beats each `interval_seconds`."""
        self._host(name).interval_seconds = interval_seconds
        self._changed.add(name)

    def hear_status(self, name: str, status: Status, at: float) -> None:
        """A status that came live at `at`."""
        host = self._host(name)
        host.sessions = host.sessions.hear(status, at)
        host.vouched = self._connection
        self._changed.add(name)

    def restore_status(self, name: str, status: Status, waited_seconds: float | None, at: float) -> None:
        """A status that came at `at` and that the broker had retained for so long; `None` when it does not tell."""
        host = self._host(name)
        host.sessions = host.sessions.restore(status, at - (waited_seconds or 0.0), waited_seconds is not None)
        self._vouch(host)
        self._changed.add(name)

    def _vouch(self, host: Host) -> bool:
        """Whether the broker that we listen to was there when the host's last session began; the host's then."""
        last = host.sessions.last
        if last is None or not last.dated or not last.at >= self._broker_since > NEVER:
            return False
        host.vouched = self._connection
        return True

    def doubt_sessions(self) -> None:
        """The connection to the broker is a new one: what it has retained tells which sessions are still there."""
        self._broker_since = NEVER
        self._connection += 1

    def learn_broker_start(self, at: float) -> None:
        """The broker that we listen to was started at `at`: births that it got since are proven."""
        # it is told in whole seconds, and each ten
        if self._broker_since > NEVER and at > self._broker_since - 1.0:
            return
        self._broker_since = at
        for host in self:
            if host.vouched != self._connection and self._vouch(host):
                self._changed.add(host.name)

    def listen_again(self, at: float) -> None:
        """Until `at` something may not have been heard: everybody has an interval and the grace to speak."""
        self._listening_since = at
        self._changed.update(self._hosts)

    def look_again(self, names: Iterable[str]) -> None:
        """What was found of these hosts may not have been kept."""
        self._changed.update(names)

    def next_at(self) -> float:
        """When somebody must be looked at, if nothing is heard."""
        return NEVER if self._changed else (self._due[0][0] if self._due else -NEVER)

    def look(self, now: float, proven_at: float) -> Findings:
        """Judge whoever must be judged at `now`; everything published until `proven_at` has been heard.

        After a blackout everybody must: they are taken in turn, for nobody is heard meanwhile.
        """
        self._changed |= self._waiting
        self._waiting = set()
        names = {self._changed.pop() for _ in range(min(len(self._changed), HOSTS_A_LOOK))}
        while self._due and self._due[0][0] <= now:
            at, name = heapq.heappop(self._due)
            if name in self._hosts and self._hosts[name].next_at == at:
                names.add(name)
        transitions: list[HeldVerdict] = []
        unchecked: list[str] = []
        for name in names & self._hosts.keys():  # another may have been forgotten
            host = self._hosts[name]
            found = judge(host.signals(self._listening_since, self._connection), host.judged, now)
            if isinstance(found, Wait):
                self._schedule(host, found.until)
                continue
            self._schedule(host, found.next_at)
            if host.held is not None and _same(host.held, found):
                host.judged = found
            elif found.ripe_at > proven_at:
                self._waiting.add(name)
            elif found.by_events and found.ripe_at > host.checked_at:
                unchecked.append(name)
                self._schedule(host, now + CHECK_SECONDS)
            else:
                transitions.append(_transition(host, found))
        return Findings(transitions, bool(self._waiting), unchecked)

    def _schedule(self, host: Host, at: float) -> None:
        if at != host.next_at:
            host.next_at = at
            if at < -NEVER:
                heapq.heappush(self._due, (at, host.name))

    def states(self) -> dict[str, VerdictState]:
        """What every host that was judged is held to be."""
        return {host.name: host.held.state for host in self if host.held is not None}

    def wait_for_events(self) -> list[str]:
        """Hosts that events alone would bring back, which are not heard here."""
        return [one.name for one in self if one.judged is not None and one.judged.by_events]


def _same(held: HeldVerdict, found: Judgement) -> bool:
    return held.state == found.state and held.reason in (found.reason, "revoked")


def _transition(host: Host, found: Judgement) -> HeldVerdict:
    last = host.sessions.last
    back_by = last.due_at if last is not None and found.state in ("away", "overdue") else None
    return HeldVerdict(
        host.name, found.state, found.reason, moment(found.since), None if back_by is None else moment(back_by),
        host.held.version if host.held is not None else 0,
    )  # fmt: skip


def moment(seconds: float) -> datetime:
    """The moment `seconds` after 1970, in UTC."""
    return datetime.fromtimestamp(seconds, UTC)
