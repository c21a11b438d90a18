"""Alerts of scores: a host whose score has sunk below a number, until it is well above it again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from core.messages import SCORE, Alert
from store import FoundScore, Store
from store.found_alerts import Finding, Subject

SEVERITY = 3
ABOVE = 5  # points that it must be better by, so that it does not come and go


def judge_scores(
    store: Store, marks: Sequence[FoundScore], below: int, now: datetime
) -> tuple[list[Alert], list[Alert]]:
    """The alerts that are opened and resolved by `marks`. Raises `Unavailable`."""
    known = {alert.source_host for alert in store.read_open_alerts() if alert.kind == SCORE}
    found: list[Finding] = []
    over: list[Subject] = []
    for mark in marks:
        host, value = mark.source_host, mark.value
        subject = Subject(SCORE, host)
        if value is not None and value < below and host not in known:
            text = f"{host} has a score of {value}, below {below}: {msgspec.json.decode(mark.told)['words']}"
            found.append(Finding(subject, host, SEVERITY, text, now, lasts=True))
        elif host in known and (value is None or value >= below + ABOVE):
            over.append(subject)
    return store.record_findings(found, over, now) if found or over else ([], [])
