"""Signs of life: what the services say of themselves, and how old that is by our own clock."""

from __future__ import annotations

import logging
import time
from datetime import datetime
from typing import NamedTuple

import msgspec

from core.clock import utc_now
from core.messages import ServiceStatus
from core.topics import parse_service_topic

HUNG_AFTER_SECONDS = 6.0
QUEUE_SECONDS = 600.0  # that the broker keeps what an ingestor has left

log = logging.getLogger(__name__)
_decoder = msgspec.json.Decoder(ServiceStatus)


class Sign(NamedTuple):
    """The last sign of one instance; `heard` is a moment of the monotonic clock, in seconds."""

    status: ServiceStatus
    heard: float


class Signs:
    """The last sign of each instance of each service. Recorded by one thread, read by others."""

    def __init__(self) -> None:
        self._signs: dict[tuple[str, str], Sign] = {}

    def record(self, topic: str, payload: bytes, retained: bool) -> bool:
        """Keep a sign; whether it tells that an instance has come up (a session not known before).

        A retained one may be of any age: it is dated by the sender's clock, and only a live one, which
        comes within 2 s, is dated by ours.
        """
        key = parse_service_topic(topic)
        if key is None:
            return False
        if not payload:
            self._signs.pop(key, None)
            return False
        try:
            status = _decoder.decode(payload)
        except (msgspec.DecodeError, RecursionError) as error:
            log.warning("a sign of life on %r cannot be read: %s", topic, error)
            return False
        known = self._signs.get(key)
        self._signs[key] = Sign(status, time.monotonic() - (_age_seconds(status.at, utc_now()) if retained else 0.0))
        return status.state == "online" and (
            known is None or known.status.state != "online" or known.status.session != status.session
        )

    def forget(self) -> None:
        """Forget all: the connection that they came on is gone."""
        self._signs.clear()

    def judged(self, now: float) -> list[tuple[tuple[str, str], Sign, str]]:
        """Each instance (service and its name), its last sign, and what is wrong with it at `now` (monotonic)."""
        return [(key, sign, _fault(key[1], sign, now)) for key, sign in list(self._signs.items())]

    def judge(self, service: str, now: float) -> str:
        """`ok` when an instance of `service` is alive and well at `now` (monotonic), else what is wrong."""
        faults = [fault for key, _, fault in self.judged(now) if key[0] == service]
        if "" in faults:
            return "ok"
        return "; ".join(faults) or "no sign of life yet"

    def stored(self) -> list[object]:
        """How many events each ingestor says to have stored: another answer when there are more."""
        return [
            (instance, sign.status.session, sign.status.metrics.get("events_stored"))
            for (service, instance), sign in list(self._signs.items())
            if service == "ingestor"
        ]

    def behind_seconds(self, now: float) -> float | None:
        """How old, at `now` (monotonic), what was published may be without being stored by any ingestor.

        `None` while that is not known: one is not well, or has left a queue to which nobody else has access.
        """
        behind: list[float] = []
        for (service, instance), sign in list(self._signs.items()):
            age = now - sign.heard
            if service != "ingestor" or (sign.status.state != "online" and age > QUEUE_SECONDS):
                continue
            reported = sign.status.metrics.get("behind_seconds")
            if _fault(instance, sign, now) or not isinstance(reported, (int, float)):
                return None
            behind.append(age + reported)
        return max(behind, default=None)


def _age_seconds(at: datetime, now: datetime) -> float:
    if at.tzinfo is None:
        return HUNG_AFTER_SECONDS
    age = (now - at).total_seconds()
    # a sender whose clock is ahead tells nothing about the age
    return age if age >= 0 else HUNG_AFTER_SECONDS


def _fault(instance: str, sign: Sign, now: float) -> str:
    """What is wrong with an instance, in words; empty when nothing is."""
    if sign.status.state != "online":
        return f"{instance} is {sign.status.state} ({sign.status.reason})"
    age = now - sign.heard
    if age >= HUNG_AFTER_SECONDS:
        return f"{instance} has given no sign of life for {age:.0f} s"
    wrong = [f"{part}: {state}" for part, state in sign.status.parts.items() if state != "ok"]
    return f"{instance}: {', '.join(wrong)}" if wrong else ""
