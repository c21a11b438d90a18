"""Hearing: what comes from the broker, and since when nothing of it can have been missed.

Everything comes on one subscription at QoS 0 and so in the order in which the broker got it: when our own sign of life
comes back, all that was published before it has been heard. A sign that does not come back in time tells that we hear
nothing, whatever the cause: a broker that is away or hangs, a network that is cut.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable
from datetime import datetime

import mqtt5
import msgspec

from core import topics
from core.messages import DEFAULT_INTERVAL_SECONDS, STATUS_EXPIRY_SECONDS, Status
from mqtt.connection import Connection
from mqtt.signs import Signs
from watch.clones import Clones
from watch.fleet import Fleet
from watch.presence import NEVER

log = logging.getLogger("watch.hearing")

DEAF_SECONDS = 3.0  # without our own sign
LONGEST_INTERVAL_SECONDS = 7 * 86_400.0
UPTIME = "$SYS/broker/uptime"
HEARD = (
    *(topics.every_host(kind) for kind in (topics.STATUS, topics.INFO, topics.HEARTBEAT, topics.VERDICT)),
    f"{topics.ALERTS}/+",
    f"{topics.SERVICES}/#",
)
_UPTIME = re.compile(rb"(\d+)")
_TOLD_SECONDS = 60.0


class _Told(msgspec.Struct, gc=False):
    """What is asked of a heartbeat, and of info."""

    interval_s: float = DEFAULT_INTERVAL_SECONDS
    boot: str = ""


_status = msgspec.json.Decoder(Status)
_told = msgspec.json.Decoder(_Told)
_BAD = (msgspec.DecodeError, RecursionError, ValueError)


class Hearing:
    """Feeds `fleet`, `signs` and what is retained of our own words. `heard` is called after each read."""

    def __init__(self, fleet: Fleet, topic: str, clock: Callable[[], float], heard: Callable[[], None]) -> None:
        self._fleet, self._topic, self._clock, self._heard = fleet, topic, clock, heard
        self.signs = Signs()
        self.clones = Clones()
        self.proven_at = NEVER  # everything published until then has been heard
        self._asked: list[float] = []  # when the signs were sent that have not come back
        self._deaf = True
        self.verdicts: dict[str, bytes] | None = None  # retained ones, until the first round trip of a connection
        self.alerts: set[str] | None = None
        self.cleared: set[str] = set()  # hosts whose verdicts were cleared by somebody, though we hold them to be one
        self._told_at = NEVER

    def reconnected(self) -> None:
        """A new connection is about to be subscribed."""
        self._deaf, self._asked = True, []
        self.signs.forget()
        self.verdicts, self.alerts = {}, set()
        self._fleet.doubt_sessions()

    def sent_sign(self, at: float) -> None:
        """A sign of life was published at `at`."""
        self._asked.append(at)

    def deaf(self, now: float) -> bool:
        """Whether what is published now may not be heard. It ends with the sign that comes back next."""
        if self._asked and now - self._asked[0] > DEAF_SECONDS:
            self._deaf = True
        return self._deaf

    def deliver(self, _connection: Connection, packets: list[mqtt5.PublishPacket]) -> None:
        """Take what was published; garbage is told of, once a minute, and changes nothing."""
        now = self._clock()
        for packet in packets:
            try:
                self._take(packet, now)
            except _BAD as error:
                if now - self._told_at >= _TOLD_SECONDS:
                    self._told_at = now
                    log.warning("%.300r is not heeded: %.200s", packet.topic, error)
        self._heard()

    def _take(self, packet: mqtt5.PublishPacket, now: float) -> None:
        found = topics.parse_host_topic(packet.topic)
        if found is not None:
            self._take_of_host(packet, found, now)
        elif packet.topic == self._topic:
            self._take_sign(packet, now)
        elif packet.topic == UPTIME:
            seconds = _UPTIME.match(packet.payload)
            if seconds is not None:
                self._fleet.learn_broker_start(now - int(seconds[1]))
        elif packet.topic.startswith(f"{topics.ALERTS}/") and packet.retain:
            if self.alerts is not None and packet.payload:
                self.alerts.add(packet.topic.rpartition("/")[2])
        else:
            self.signs.record(packet.topic, packet.payload, packet.retain)

    def _take_of_host(self, packet: mqtt5.PublishPacket, found: topics.HostTopic, now: float) -> None:
        if found.kind == topics.VERDICT:
            self._take_verdict(packet, found.host)
        elif not packet.payload:
            return  # what was retained is cleared
        elif found.kind == topics.STATUS:
            status = _decode_status(packet.payload)
            if packet.retain:
                self._fleet.restore_status(found.host, status, _waited(packet.message_expiry_interval), now)
            else:
                self._fleet.hear_status(found.host, status, now)
        elif found.kind in (topics.HEARTBEAT, topics.INFO):
            told = _told.decode(packet.payload)
            if not 0 < told.interval_s <= LONGEST_INTERVAL_SECONDS:
                raise ValueError(f"interval_s {told.interval_s!r:.40} is none")
            if not packet.retain:  # what a broker remembers may be of an earlier boot
                self.clones.hear(found.host, told.boot, now)
            if found.kind == topics.INFO:
                self._fleet.learn_interval(found.host, told.interval_s)
            elif not packet.retain:
                self._fleet.hear_beat(found.host, told.interval_s, told.boot, now)

    def _take_verdict(self, packet: mqtt5.PublishPacket, host: str) -> None:
        if not packet.retain:
            if not packet.payload and self._fleet.holds(host):
                self.cleared.add(host)
        elif self.verdicts is not None:
            self.verdicts[host] = packet.payload

    def _take_sign(self, packet: mqtt5.PublishPacket, now: float) -> None:
        at = _decode_status(packet.payload).at.timestamp()
        if at not in self._asked:
            return  # of an earlier connection, or retained
        self._asked = [one for one in self._asked if one > at]
        self.proven_at = at
        if self._deaf:
            self._deaf = False
            self._fleet.listen_again(now)
            log.info("everything that is published is heard")


def _waited(left_seconds: int | None) -> float | None:
    return None if left_seconds is None else max(0.0, STATUS_EXPIRY_SECONDS - left_seconds)


def _decode_status(payload: bytes) -> Status:
    status = _status.decode(payload)
    moments: list[datetime | None] = [status.at, status.back_by]
    if any(moment is not None and moment.tzinfo is None for moment in moments):
        raise ValueError("a time without an offset")
    return status


def monotonic_wall_clock() -> Callable[[], float]:
    """Seconds since 1970 that never jump: the wall clock as it was at the start, and the monotonic one since."""
    offset = time.time() - time.monotonic()
    return lambda: time.monotonic() + offset
