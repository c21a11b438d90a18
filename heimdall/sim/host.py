"""One host of the fleet: what its agent does on the wire. It has no timer of its own, and is told what to do."""

from __future__ import annotations

import math
import platform
import random
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol
from uuid import uuid4

import mqtt5

from agents.link import Backoff
from core.clock import utc_now
from core.home import Credential
from core.messages import CONTENT_TYPE, STATUS_EXPIRY_SECONDS, Heartbeat, Info, Reason, State, Status, encode
from core.topics import EVENTS, HEARTBEAT, INFO, RECEIPT, STATUS, host_topic
from heimdall.sim.link import Link, make_connect

Mood = Literal["up", "mute", "hung", "waking", "down"]
RACKS = 20  # by which the fleet's hosts are tagged


@dataclass(frozen=True)
class Manner:
    """How every host of a fleet behaves. `login` is everybody's; `None`: none is needed."""

    interval_seconds: float
    login: Credential | None
    version: str

    @property
    def keep_alive_seconds(self) -> int:
        """That of an agent with this interval."""
        return int(min(30, max(5, self.interval_seconds)))

    def client_id(self, name: str) -> str:
        """Under which `name` connects: a service's user has no client id of its own, and begins with `@`."""
        service = self.login is not None and self.login.user.startswith("@")
        return f"{self.login.user}-sim-{name}" if service and self.login else name


class Site(Protocol):
    """Who looks after the hosts."""

    def born(self, host: Host) -> None:
        """The broker has accepted `host`, and its birth is out."""

    def dropped(self, host: Host, reason: str) -> None:
        """`host` has lost its connection, or was refused one."""

    def woke(self, host: Host) -> None:
        """`host`, which hung, still has its connection."""

    def receive(self, correlation: bytes | None) -> None:
        """A receipt came."""


class Host:
    """An agent. `fault` is what the script does to it at the time; times are seconds of the monotonic clock."""

    __slots__ = (
        "_manner", "_session", "_site", "accepted", "backoff", "beat_at", "beat_due", "births", "boot", "fault", "link",
        "mood", "name", "number", "required", "seq", "tend_at",
    )  # fmt: skip

    def __init__(self, name: str, number: int, manner: Manner, site: Site) -> None:
        self.name, self.number = name, number
        self._manner, self._site = manner, site
        self.link: Link | None = None
        self.accepted, self.births = False, 0
        self.mood: Mood = "up"
        self.fault, self.required = "", True
        self.backoff: Backoff | None = None
        self._session = ""
        self.beat_at = self.beat_due = 0.0
        self.tend_at: float | None = None
        self.start_anew()

    def start_anew(self) -> None:
        """The agent is another process from now on."""
        self.boot, self.seq = str(uuid4()), 0

    def make_connect(self) -> bytes:
        """The CONNECT of a new session, with its will."""
        self._session = str(uuid4())
        will = mqtt5.Will(
            host_topic(self.name, STATUS), payload=self._status("offline", "lost"), qos=mqtt5.QoS.AT_LEAST_ONCE,
            retain=True, message_expiry_interval=STATUS_EXPIRY_SECONDS, content_type=CONTENT_TYPE,
        )  # fmt: skip
        manner = self._manner
        return make_connect(manner.client_id(self.name), manner.login, manner.keep_alive_seconds, will)

    def _status(self, state: State, reason: Reason, back_by: datetime | None = None) -> bytes:
        return encode(Status(state, self._session, utc_now(), reason, back_by))

    def opened(self, link: Link) -> None:
        if self.mood == "down":
            link.abort()
            return
        # from now on: when it takes over, the end of the former connection is no loss
        self.link, self.accepted = link, False

    def heard(self, link: Link, packet: mqtt5.Packet) -> None:
        if link is not self.link:
            return
        if isinstance(packet, mqtt5.ConnAckPacket):
            if packet.reason_code != mqtt5.ConnAckReasonCode.SUCCESS:
                self.ended(link, f"refused: {packet.reason_code.name}")
                link.abort()
                return
            self._introduce(link)
        elif isinstance(packet, mqtt5.PublishPacket):
            self._site.receive(packet.correlation_data)
        elif isinstance(packet, mqtt5.PingRespPacket) and self.mood == "waking":
            self._site.woke(self)

    def ended(self, link: Link, reason: str) -> None:
        if link is self.link:
            self.link, self.accepted = None, False
            self._site.dropped(self, reason)

    def _introduce(self, link: Link) -> None:
        link.subscribe(host_topic(self.name, RECEIPT))
        link.publish(
            host_topic(self.name, STATUS), self._status("online", "start"), retain=True,
            expiry_seconds=STATUS_EXPIRY_SECONDS,
        )  # fmt: skip
        info = Info(
            "LINUX", self._manner.version, "sim", platform.machine(), self._manner.interval_seconds,
            ["sim", f"rack-{self.number % RACKS}"], self.boot, f"sim-{self.name}",
        )  # fmt: skip
        link.publish(host_topic(self.name, INFO), encode(info), retain=True)
        self.accepted = True
        self.births += 1
        self._site.born(self)

    def beat(self, now: float) -> None:
        """A heartbeat, now or never."""
        link, interval = self.link, self._manner.interval_seconds
        if link is None or not self.accepted:
            return
        payload = encode(Heartbeat("LINUX", utc_now(), self.seq, self.boot, interval, 0))
        self.seq += 1
        if link.publish(host_topic(self.name, HEARTBEAT), payload, expiry_seconds=max(1, math.ceil(2 * interval))):
            self.beat_at = now

    def tend(self, now: float) -> float | None:
        """Beat, ping, and leave a broker that answers nothing, as is due; when to be called again, or never."""
        link, keep_alive = self.link, self._manner.keep_alive_seconds
        if link is None or not self.accepted or self.mood not in ("up", "mute"):
            return None
        if now - link.heard_at > 2 * keep_alive:
            link.abort()
            return None
        if self.mood == "up" and now >= self.beat_due:
            self.beat(now)
            # from the last deadline on, so that beats do not drift
            self.beat_due = max(self.beat_due, now - self._manner.interval_seconds / 2) + self._manner.interval_seconds
        if now - link.sent_at >= keep_alive:
            link.ping()
        ping_due = link.sent_at + keep_alive
        return min(self.beat_due, ping_due) if self.mood == "up" else ping_due

    def publish_events(self, payload: bytes, correlation: bytes) -> bool:
        """Publish events that ask for a receipt; whether they are out."""
        link = self.link
        if link is None or not self.accepted or self.mood not in ("up", "mute"):
            return False
        return link.publish(
            host_topic(self.name, EVENTS), payload, response_topic=host_topic(self.name, RECEIPT),
            correlation=correlation,
        )  # fmt: skip

    def say_goodbye(self, state: State, reason: Reason, back_by: datetime | None = None) -> Link | None:
        """Last words, then DISCONNECT, which keeps the broker from sending the will; on which connection, if any."""
        link, self.link, self.accepted = self.link, None, False
        if link is None:
            return None
        link.hang(False)
        link.in_flight = 0  # what is open does not matter any more
        link.publish(
            host_topic(self.name, STATUS), self._status(state, reason, back_by), retain=True,
            expiry_seconds=STATUS_EXPIRY_SECONDS,
        )  # fmt: skip
        link.leave()
        return link

    def cut(self) -> None:
        """The connection breaks without a word."""
        link, self.link, self.accepted = self.link, None, False
        if link is not None:
            link.abort()

    def pause_seconds(self) -> float:
        """Until the next attempt after the connection was lost: an agent's back-off, within the interval at first."""
        if self.backoff is None:
            self.backoff = Backoff(min(15.0, self._manner.interval_seconds))
        return self.backoff.next_seconds() + random.uniform(0.0, 0.1)
