"""Hosts to be scored: what they are judged by, made of outages as the store has them."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from typing import Any

from store.rows import Outage
from watch.score import Beats, Figures
from watch.uptime import DAY_SECONDS, measure_uptime

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
LONG_AGO = NOW - timedelta(days=400)


def was_down(minutes: float, *, days_ago: float, cause: str = "crashed") -> Outage:
    """An outage that began so many days ago and lasted so many minutes."""
    began_at = NOW - timedelta(days=days_ago)
    return Outage("web-01", began_at, began_at + timedelta(minutes=minutes), cause)


def is_down(*, days: float, cause: str = "crashed") -> Outage:
    """An outage that lasts, for so many days now."""
    return Outage("web-01", NOW - timedelta(days=days), None, cause)


def host(*outages: Outage, **changes: Any) -> Figures:
    """A boring machine, but for what is said."""
    windows = [days * DAY_SECONDS for days in (1, 7, 30)]
    boring = Figures(
        "online", *measure_uptime(outages, LONG_AGO, NOW, windows),
        beats_24_hours=Beats(1_440, 0), beats_7_days=Beats(10_080, 0), interval_seconds=60, jitter_seconds=0.02,
        latency_seconds=0.03, usual_latency_seconds=0.02, spool=0, skew_seconds=0.1,
    )  # fmt: skip
    return dataclasses.replace(boring, **changes)


def http_host(*outages: Outage, **changes: Any) -> Figures:
    """A host whose agent speaks HTTP: of its heartbeats only when they came is known."""
    untold = dict.fromkeys(
        ["beats_24_hours", "beats_7_days", "interval_seconds", "jitter_seconds", "latency_seconds",
         "usual_latency_seconds", "spool", "skew_seconds"]
    )  # fmt: skip
    return host(*outages, **(untold | changes))
