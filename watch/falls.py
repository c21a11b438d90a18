"""Falls: when a host's outages began and ended, in whole seconds since 1970, so that sums and differences are exact."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from store.rows import Outage

HOUR = 3600
DAY = 86_400
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)


class Fall(NamedTuple):
    """One outage, or a spell of many: a host that flaps falls once. Seconds since 1970."""

    began: int
    ended: int


def to_seconds(at: datetime) -> int:
    """Whole seconds since 1970."""
    return (at - _EPOCH) // _SECOND


def to_time(seconds: int) -> datetime:
    """The time in UTC."""
    return _EPOCH + seconds * _SECOND


def collect_falls(outages: Iterable[Outage], since: datetime, now: datetime) -> dict[str, list[Fall]]:
    """By host, in order, what began from `since` to `now`. One that was announced (`away`) is none."""
    falls: dict[str, dict[int, int]] = {}
    until = to_seconds(now)
    for outage in outages:
        if outage.cause != "away" and since <= outage.began_at <= now:
            began = to_seconds(outage.began_at)
            ended = until if outage.ended_at is None else max(began, to_seconds(outage.ended_at))
            known = falls.setdefault(outage.source_host, {})
            known[began] = max(ended, known.get(began, began))
    return {host: [Fall(*fall) for fall in sorted(known.items())] for host, known in sorted(falls.items())}
