"""Latency: heartbeats that take longer in the hours before an outage than at the same hours of other days.

Before each outage the mean of the three full hours before it is compared with the same hours of the nearest days
before and after: with `n` of them, it is above all by chance once in n + 1. A slow trend puts a day between its
neighbours, never above both, and what is usual at an hour of the day is in all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean, median_low
from typing import NamedTuple

from store.rows import BeatHour
from watch.chance import bound_binomial
from watch.falls import DAY, HOUR, Fall, to_seconds

HOURS = 3
LEAST_HOURS = 2  # with heartbeats, of these
MOST_DAYS = 10  # compared with, and as far away on either side
LEAST_DAYS = 6
LEAST_OUTAGES = 5
LEAST_SHARE = 0.5  # of the outages
LEAST_RATIO = 1.5  # to what is usual, in half of the outages


class Rise(NamedTuple):
    """Before `begun` of `total` outages that could be judged, latency was `ratio` times the usual (the median)."""

    begun: tuple[int, ...]
    total: int
    ratio: float
    chance: float


def find_rise(falls: Sequence[Fall], beats: Sequence[BeatHour], limit: float) -> Rise | None:
    """Whether latency rises before a host's outages, when chance gives it at most `limit`."""
    if not beats or len(falls) < LEAST_OUTAGES:
        return None
    rows = {to_seconds(row.hour) // HOUR: row for row in beats}
    # an hour is not usual when an outage begins in it, or soon after
    unusual = {fall.began // HOUR - hours for fall in falls for hours in range(HOURS + 1)}
    begun: list[int] = []
    ratios: list[float] = []
    probabilities: list[float] = []
    judged = -DAY
    for fall in falls:
        first = fall.began // HOUR - HOURS
        value = _average(rows, first)
        if fall.began - judged < DAY or value is None:
            continue  # a day with many outages is one sign
        usual = _find_usual(rows, first, unusual)
        if len(usual) < LEAST_DAYS:
            continue
        judged = fall.began
        probabilities.append(1 / (len(usual) + 1))
        ratios.append(value / max(median_low(usual), 1e-6))
        if value > max(usual):
            begun.append(fall.began)
    if len(ratios) < LEAST_OUTAGES or len(begun) < LEAST_SHARE * len(ratios):
        return None
    chance = bound_binomial(len(ratios), fmean(probabilities), len(begun))
    ratio = median_low(ratios)
    return Rise(tuple(begun), len(ratios), ratio, chance) if chance <= limit and ratio >= LEAST_RATIO else None


def _find_usual(rows: Mapping[int, BeatHour], first: int, unusual: set[int]) -> list[float]:
    usual: list[float] = []  # in pairs, for a trend would count on one side alone
    for days in range(1, MOST_DAYS + 1):
        before, after = (
            _average(rows, at) if unusual.isdisjoint(range(at, at + HOURS)) else None
            for at in (first - 24 * days, first + 24 * days)
        )
        if before is not None and after is not None:
            usual += [before, after]
        if len(usual) >= MOST_DAYS:
            break
    return usual


def _average(rows: Mapping[int, BeatHour], first: int) -> float | None:
    """The mean latency of the hours from `first` on, in seconds."""
    total, number, hours = 0.0, 0, 0
    for hour in range(first, first + HOURS):
        row = rows.get(hour)
        if row is not None and (measured := sum(row.latency_counts)):
            total, number, hours = total + row.latency_sum, number + measured, hours + 1
    return total / number if hours >= LEAST_HOURS else None
