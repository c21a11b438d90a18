"""The observer: hears what the judge says of the fleet's hosts, and keeps every change with the time of its arrival."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import NamedTuple

import mqtt5
import msgspec

from core.errors import Unavailable
from core.home import Credential
from core.messages import CLONE, Alert, Verdict
from core.topics import ALERTS, VERDICT, every_host, parse_host_topic
from heimdall.sim.ledger import Blackout
from heimdall.sim.link import Line, Link, make_connect

log = logging.getLogger("heimdall.sim")

KEEP_ALIVE_SECONDS = 15
RETRY_SECONDS = 0.2
BEFORE = -math.inf  # when something was said that we found


_verdict = msgspec.json.Decoder(Verdict)
_alert = msgspec.json.Decoder(Alert)


class Said(NamedTuple):
    """A verdict that changed, `at` by the monotonic clock; `BEFORE` for the one that was there."""

    host: str
    state: str
    reason: str
    at: float


@dataclass
class SaidAlert:
    """An alert, by when it came to be known open, and when resolved. Without a host it is an incident."""

    id: str
    kind: str
    host: str | None
    opened_at: float
    resolved_at: float | None = None


class Observer:
    """A session that subscribes to verdicts and alerts of `hosts`. `gaps` are when it could not hear."""

    def __init__(
        self, line: Line, login: Credential | None, client_id: str, hosts: Collection[str], clock: Callable[[], float]
    ) -> None:
        self.said: list[Said] = []
        self.alerts: list[SaidAlert] = []
        self.gaps: list[Blackout] = []
        self.ready = asyncio.Event()
        self._line, self._hosts, self._clock = line, hosts, clock
        self._connect = make_connect(client_id, login, KEEP_ALIVE_SECONDS)
        self._held: dict[str, tuple[str, str]] = {}
        self._open: dict[str, SaidAlert] = {}
        self._of_before: set[str] = set()  # alerts that were open when we came
        self._told: set[str] = set()  # alerts that this connection has told of
        self._link: Link | None = None
        self._lost_at: float | None = None
        self._refused = ""
        self._settled = False

    async def run(self) -> None:
        """Listen, until cancelled. Raises `Unavailable` when the broker refuses it."""
        while True:
            if self._link is None:
                try:
                    await self._line.open(self, self._connect)
                except Unavailable:
                    if not self.ready.is_set():
                        raise
            elif self._clock() - self._link.heard_at > 1.5 * KEEP_ALIVE_SECONDS:
                self._link.abort()
            elif self._clock() - self._link.sent_at > KEEP_ALIVE_SECONDS / 2:
                self._link.ping()
            if self._refused:
                raise Unavailable(f"{self._line} refuses the observer: {self._refused}")
            await asyncio.sleep(RETRY_SECONDS)

    def close(self) -> None:
        """Leave."""
        link, self._link = self._link, None
        if link is not None:
            link.leave()

    def opened(self, link: Link) -> None:
        self._link = link
        self._told.clear()

    def ended(self, link: Link, reason: str) -> None:
        if link is not self._link:
            return
        self._link = None
        if self._lost_at is None and self.ready.is_set():
            # what was said since the last packet may be lost
            self._lost_at = link.heard_at
            log.warning("the observer lost its connection: %s", reason)

    def heard(self, link: Link, packet: mqtt5.Packet) -> None:
        if isinstance(packet, mqtt5.ConnAckPacket):
            if packet.reason_code != mqtt5.ConnAckReasonCode.SUCCESS:
                self._refused = packet.reason_code.name
                return
            link.subscribe(every_host(VERDICT), f"{ALERTS}/+")
        elif isinstance(packet, mqtt5.SubAckPacket):
            if any(code.value >= 0x80 for code in packet.reason_codes):
                self._refused = packet.reason_codes[0].name
            # what is retained comes before the answer to it
            link.ping()
        elif isinstance(packet, mqtt5.PingRespPacket):
            self._settled = True
            self.ready.set()
            if self._lost_at is not None:
                self._close_unheard()
                self.gaps.append(Blackout(self._lost_at, self._clock()))
                self._lost_at = None
        elif isinstance(packet, mqtt5.PublishPacket):
            self._take(packet)

    def _take(self, packet: mqtt5.PublishPacket) -> None:
        found = parse_host_topic(packet.topic)
        try:
            if found is None:
                self._take_alert(packet)
            elif found.host in self._hosts and packet.payload:
                self._take_verdict(found.host, _verdict.decode(packet.payload))
        except (msgspec.DecodeError, RecursionError, ValueError) as error:
            log.warning("%.300r is not understood: %.200s", packet.topic, error)

    def _take_verdict(self, host: str, verdict: Verdict) -> None:
        held = (verdict.state, verdict.reason)
        if self._held.get(host) == held:
            return
        self._held[host] = held
        self.said.append(Said(host, verdict.state, verdict.reason, self._clock() if self._settled else BEFORE))

    def _take_alert(self, packet: mqtt5.PublishPacket) -> None:
        alert_id = packet.topic.rpartition("/")[2]
        alert = _alert.decode(packet.payload) if packet.payload else None
        if alert is None or alert.state == "resolved":
            known = self._open.pop(alert_id, None)
            if known is not None:
                known.resolved_at = self._clock()
            return
        if alert.subject is not None and alert.kind != CLONE:
            return  # what a rule has found in the events, of which the ledger knows nothing
        self._told.add(alert_id)
        if not self._settled:
            self._of_before.add(alert_id)
        ours = alert.source_host is None or alert.source_host in self._hosts
        if ours and alert_id not in self._open and alert_id not in self._of_before:
            opened = self._open[alert_id] = SaidAlert(alert_id, alert.kind, alert.source_host, self._clock())
            self.alerts.append(opened)

    def _close_unheard(self) -> None:
        """What is no longer retained was resolved while we could not hear."""
        for alert_id in self._open.keys() - self._told:
            self._open.pop(alert_id).resolved_at = self._clock()

    def close_gap(self, now: float) -> None:
        """At the end: a gap that still lasts is one until `now`."""
        if self._lost_at is not None:
            self.gaps.append(Blackout(self._lost_at, now))
            self._lost_at = None
