"""Uptime: how a host spent its time, as spans and as sums. In whole seconds, so that sums are exact; all times are UTC.

1. Before the host was first heard nothing is known, whatever a row says.
2. An outage takes every second that it touches: the shortest one costs a second.
3. `away` was announced, and is counted apart. Everything else is down. A host that is away for longer than announced
   is down from when it was due: there `away` ends, and an outage `overdue` begins.
4. Where rows overlap, down wins over away, and then the one that began last.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from heapq import heappop, heappush
from itertools import pairwise
from typing import Literal, NamedTuple

from store.rows import Outage

Kind = Literal["up", "down", "away", "unknown"]

HOUR_SECONDS = 3600
DAY_SECONDS = 86_400
WINDOWS_SECONDS = (DAY_SECONDS, 7 * DAY_SECONDS, 30 * DAY_SECONDS, 90 * DAY_SECONDS)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Uptime:
    """How the last `window_seconds` were spent: up, down, away and unknown make up the whole.

    `known_seconds` are all but the unknown ones. `outages` counts the times that it was down in the window, those that
    touch as one. `share` is up ÷ (up + down), `None` when there is neither: it is 1 only when there was no outage.
    """

    window_seconds: int
    known_seconds: int
    up_seconds: int
    down_seconds: int
    away_seconds: int
    unknown_seconds: int
    outages: int
    share: float | None


class Span(NamedTuple):
    """What a host was from `begin` to `end`. `cause` is the outage's, `None` for `up` and `unknown`."""

    begin: datetime
    end: datetime
    kind: Kind
    cause: str | None


class _Piece(NamedTuple):
    """A span in seconds since 1970."""

    begin: int
    end: int
    kind: Kind
    cause: str | None


class _Row(NamedTuple):
    """An outage in seconds since 1970. They compare by who wins a second that several claim: the least does."""

    is_away: bool
    began_ago: int
    end: int
    cause: str

    @property
    def begin(self) -> int:
        return -self.began_ago


def find_spans(outages: Iterable[Outage], heard_at: datetime | None, since: datetime, now: datetime) -> list[Span]:
    """The time from `since` to `now` without a gap, in order; neighbours differ. No spans when `now` is not later.

    `outages` are of one host, in any order; `heard_at` is when it was first heard, `None` for not yet. Times have a
    zone. What ended before it began, or is still to come, counts nothing.
    """
    pieces = _cut(outages, heard_at, _floor(since), _ceil(now))
    return [Span(_to_time(one.begin), _to_time(one.end), one.kind, one.cause) for one in pieces]


def measure_uptime(
    outages: Iterable[Outage], heard_at: datetime | None, now: datetime, windows: Sequence[int] = WINDOWS_SECONDS
) -> list[Uptime]:
    """The uptime over each of `windows` (in seconds, above zero) until `now`; the rest is as for `find_spans`."""
    end = _ceil(now)
    pieces = _cut(outages, heard_at, end - max(windows, default=0), end)
    return [_sum_up(pieces, end - window, end) for window in windows]


def say_uptime(uptime: Uptime) -> str:
    """Such as `99.93 % over 30 days: down 31 min in 3 outages`."""
    window = say_length(uptime.window_seconds)
    if uptime.share is None:
        why = "away, as announced" if uptime.away_seconds else "nothing heard yet"
        return f"not known over {window}: {why}"
    words = f"{say_share(uptime)} over {window}"
    if uptime.unknown_seconds:
        words += f", of which {say_length(uptime.known_seconds)} are known"
    if uptime.outages:
        plural = "" if uptime.outages == 1 else "s"
        words += f": down {say_length(uptime.down_seconds)} in {uptime.outages} outage{plural}"
    else:
        words += ": no outage"
    return f"{words}; away {say_length(uptime.away_seconds)}, as announced" if uptime.away_seconds else words


def say_share(uptime: Uptime) -> str:
    """The share in per cent, to two digits: `100 %` only without an outage, `0 %` only when it was never up."""
    known = uptime.up_seconds + uptime.down_seconds
    if not known:
        return "not known"
    hundredths = (20_000 * uptime.up_seconds + known) // (2 * known)
    if hundredths == 10_000 and uptime.down_seconds:
        return ">99.99 %"
    if hundredths == 0 and uptime.up_seconds:
        return "<0.01 %"
    return f"{hundredths / 100:g} %"


def say_length(seconds: int) -> str:
    """In one unit, cut off: `119 s`, `2 min`, `119 min`, `2.5 h`, `47.9 h`, `2 days`."""
    if seconds < 120:
        return f"{seconds} s"
    if seconds < 2 * HOUR_SECONDS:
        return f"{seconds // 60} min"
    unit_seconds, unit = (HOUR_SECONDS, "h") if seconds < 2 * DAY_SECONDS else (DAY_SECONDS, "days")
    return f"{seconds * 10 // unit_seconds / 10:g} {unit}"


def _cut(outages: Iterable[Outage], heard_at: datetime | None, begin: int, end: int) -> list[_Piece]:
    """What fills the time from `begin` to `end`, in order; neighbours differ."""
    if begin >= end:
        return []
    known_at = end if heard_at is None else min(max(_floor(heard_at), begin), end)
    rows = [_to_row(one, end) for one in outages if one.ended_at is None or one.began_at < one.ended_at]
    rows.sort(key=lambda row: row.begin)
    edges = {known_at, end, *(min(max(edge, known_at), end) for row in rows for edge in (row.begin, row.end))}
    pieces = [_Piece(begin, known_at, "unknown", None)] if begin < known_at else []
    claims: list[_Row] = []
    taken = 0
    for low, high in pairwise(sorted(edges)):
        while taken < len(rows) and rows[taken].begin <= low:
            heappush(claims, rows[taken])
            taken += 1
        while claims and claims[0].end <= low:
            heappop(claims)
        kind: Kind = ("away" if claims[0].is_away else "down") if claims else "up"
        cause = claims[0].cause if claims else None
        goes_on = bool(pieces) and pieces[-1][2:] == (kind, cause)
        pieces.append(_Piece(pieces.pop().begin if goes_on else low, high, kind, cause))
    return pieces


def _to_row(outage: Outage, end: int) -> _Row:
    ended = end if outage.ended_at is None else _ceil(outage.ended_at)
    return _Row(outage.cause == "away", -_floor(outage.began_at), ended, outage.cause)


def _sum_up(pieces: Sequence[_Piece], begin: int, end: int) -> Uptime:
    seconds: dict[Kind, int] = {"up": 0, "down": 0, "away": 0, "unknown": 0}
    outages = 0
    was_down = False
    for piece in pieces:
        if piece.end <= begin:
            continue
        seconds[piece.kind] += piece.end - max(piece.begin, begin)
        is_down = piece.kind == "down"
        outages += is_down and not was_down
        was_down = is_down
    up, down, unknown = seconds["up"], seconds["down"], seconds["unknown"]
    share = up / (up + down) if up + down else None
    return Uptime(end - begin, end - begin - unknown, up, down, seconds["away"], unknown, outages, share)


def _floor(at: datetime) -> int:
    return (at - _EPOCH) // _SECOND


def _ceil(at: datetime) -> int:
    return -((_EPOCH - at) // _SECOND)


def _to_time(seconds: int) -> datetime:
    return _EPOCH + seconds * _SECOND
