"""Alerts of scores: a host whose score has sunk below a number, until it is well above it again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from core.messages import Alert
from store import FoundScore, Store

KIND = "score"
SEVERITY = 3
ABOVE = 5  # points that it must be better by, so that it does not come and go


def judge_scores(
    store: Store, marks: Sequence[FoundScore], below: int, now: datetime
) -> tuple[list[Alert], list[Alert]]:
    """The alerts that are opened and resolved by `marks`. Raises `Unavailable`."""
    known = {alert.source_host for alert in store.read_open_alerts() if alert.kind == KIND}
    opened: list[Alert | None] = []
    resolved: list[Alert | None] = []
    for mark in marks:
        host, value = mark.source_host, mark.value
        if value is not None and value < below and host not in known:
            text = f"{host} has a score of {value}, below {below}: {msgspec.json.decode(mark.told)['words']}"
            opened.append(store.open_alert(KIND, host, text, SEVERITY, now, now))
        elif host in known and (value is None or value >= below + ABOVE):
            resolved.append(store.resolve_alert(KIND, host, now))
    return [one for one in opened if one is not None], [one for one in resolved if one is not None]
