"""Limits: a host that ignores the back-pressure for too long is disabled, before it starves the others."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import mqtt5

from core import topics
from core.clock import utc_now
from core.errors import Unavailable
from ingestor.meter import PATIENT_SECONDS, Excess, Meter
from ingestor.metrics import Metrics
from mqtt.connection import Connection
from store import Store

log = logging.getLogger("ingestor.limits")

QUIET_SECONDS = 1.0  # when nothing has come for so long, nothing waits, and no probe is needed
HOLD_OFF_SECONDS = 60.0


class Limits:
    """The meters of an ingestor's two sessions, and what is done about a host above its limit.

    Its identity is disabled, by an order to the keeper. Without a `keeper`, for the embedded broker knows no
    identities, what it sends is dropped for a minute. Times are seconds of the event loop's clock.
    """

    def __init__(self, store: Store, client_id: str, metrics: Metrics, *, keeper: bool) -> None:
        self._store, self._metrics, self._keeper = store, metrics, keeper
        self._meters = {kind: Meter(topics.probe_topic(client_id, kind)) for kind in (topics.EVENTS, topics.HEARTBEAT)}
        self._flowing: dict[str, Connection] = {}
        self._connections: dict[str, Connection] = {}
        self._taken_at: dict[str, float] = {}
        self._found: dict[str, Excess] = {}
        self._dealt_with: dict[str, float] = {}  # until when: what it had queued is still above its limit
        self._held_off: dict[str, float] = {}

    def take(
        self, kind: str, connection: Connection, packets: Sequence[mqtt5.PublishPacket], now: float, idle_since: float
    ) -> None:
        """Count what the session of `kind` has taken in.

        Since `idle_since` nothing is held that was not acknowledged (`inf`: something is). A broker that sends nothing
        for a while although it may has nothing.
        """
        meter = self._meters[kind]
        if len(packets) == 1 and packets[0].topic == meter.topic:
            meter.count(packets, now)  # its own probe does not make a quiet line flow
            return
        quiet = now - max(self._taken_at.get(kind, now), idle_since) >= QUIET_SECONDS
        self._taken_at[kind] = now
        if self._connections.get(kind) is not connection:
            self._connections[kind] = connection
            meter.restart()
        elif quiet:
            meter.note_empty(now - QUIET_SECONDS)
        if quiet:
            self._flowing.pop(kind, None)
        else:
            self._flowing[kind] = connection
        for excess in meter.count(packets, now):
            found = topics.parse_host_topic(excess.topic)
            if found is not None and self._dealt_with.get(found.host, 0.0) <= now:
                self._found[found.host] = excess

    def waiting_seconds(self, now: float, idle_since: float) -> float:
        """How long messages wait on the broker, at most, until they are taken in; 0 on a line that is quiet."""
        flowing = [kind for kind in self._flowing if now - max(self._taken_at[kind], idle_since) < QUIET_SECONDS]
        return max((self._meters[kind].waiting_seconds(now) for kind in flowing), default=0.0)

    def probe(self, now: float) -> None:
        """Publish a probe into the queue of each session that more than a message a second comes from."""
        for kind, connection in self._flowing.items():
            meter = self._meters[kind]
            if (payload := meter.make_probe(now)) is not None:
                connection.publish(meter.topic, payload)

    def collect(self, now: float) -> dict[str, Excess]:
        """The hosts that are to be dealt with, each once a minute at most: see `deal_with`."""
        found, self._found = self._found, {}
        self._dealt_with = {host: until for host, until in self._dealt_with.items() if until > now}
        self._dealt_with |= dict.fromkeys(found, now + HOLD_OFF_SECONDS)
        if found and not self._keeper:
            self._held_off = self._dealt_with
        return found

    def held_off(self, now: float) -> frozenset[str]:
        """The hosts whose messages are dropped although the database bars none of them."""
        if not self._held_off:
            return frozenset()
        return frozenset(host for host, until in self._held_off.items() if until > now)

    def deal_with(self, found: dict[str, Excess]) -> None:
        """Disable the hosts, and say so. It waits for the database: not for the event loop's thread."""
        for host, excess in found.items():
            why = (
                f"above its limit for {PATIENT_SECONDS:.0f} s: {excess.messages} messages waited at once, at most "
                f"{excess.limit} may; {excess.share:.0%} of what waited, for {excess.waited_seconds:.1f} s"
            )
            try:
                if self._keeper and self._store.disable_host(host, why, utc_now()) is None:
                    continue  # another ingestor was first
            except Unavailable as error:
                log.error("%s is %s, and cannot be disabled now: %s", host, why, error)
                continue
            self._metrics.add("hosts_disabled")
            consequence = (
                "it is disabled, and comes back by `heimdall enroll --replace`"
                if self._keeper
                else f"what it sends is dropped for {HOLD_OFF_SECONDS:.0f} s: the embedded broker knows no identities"
            )
            log.error("%s is %s: %s", host, why, consequence)
