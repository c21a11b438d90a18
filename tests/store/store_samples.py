"""Events and batches for the tests of the store."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from core.ids import uuid7
from core.messages import Event
from store import Beat, DeadLetter, WriteBatch

NOW = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=123456)


def an_event(host: str = "web-01", event_id: UUID | None = None, **changes: Any) -> Event:
    values = {
        "timestamp": NOW,
        "os_type": "LINUX",
        "event_type": "LOGIN_FAIL",
        "severity": 3,
        "raw_message": "Failed password for admin",
        "source_ip": "203.0.113.7",
        "user": "admin",
    }
    return Event(event_id=event_id or uuid7(), source_host=host, **(values | changes))


def a_batch(*events: Event, at: datetime = NOW, dead: list[DeadLetter] = [], beats: list[Beat] = []) -> WriteBatch:  # noqa: B006
    return WriteBatch(list(events), at, list(dead), list(beats))


def v7_at(moment: datetime, number: int = 0) -> UUID:
    """A version 7 id of a given moment."""
    ms = int(moment.timestamp() * 1000)
    return UUID(int=(ms << 80) | (7 << 76) | (2 << 62) | number)
