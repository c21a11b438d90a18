"""Periods: outages that come every so many minutes or hours after the one before.

At whatever rate, even one that changes, the logarithm of the time from an end to the next beginning has no density
above 1/e. So of the times between beginnings no more than `width / e` fall by chance into a window of that width of
their logarithms, and somewhat more when a part of that time is the outage itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import e, exp, log
from statistics import median_low
from typing import NamedTuple

from watch.chance import bound_binomial
from watch.falls import Fall

WIDTHS = (0.05, 0.1, 0.2)  # of the logarithm: about as many parts of the period
LEAST_SECONDS = 300
LEAST_GAPS = 5
LEAST_SHARE = 0.3  # of the times between outages
LEAST_FOLLOWED = 0.5  # of those that fit, so many have a neighbour that fits: two a day an hour apart are no period


class Period(NamedTuple):
    """`begun` are the outages that came a period after the one before; `chance` is the logarithm, for this host."""

    seconds: int
    begun: tuple[int, ...]
    chance: float


def find_period(falls: Sequence[Fall], limit: float) -> Period | None:
    """What period is most improbable, when chance gives it at most `limit`."""
    gaps = [after.began - before.began for before, after in pairwise(falls)]
    if len(gaps) < LEAST_GAPS:
        return None
    tests = log(len(WIDTHS) * len(gaps))
    best: tuple[float, int, float] | None = None
    lengths = sorted(gaps)
    for width in WIDTHS:
        count, shortest = _find_fullest(lengths, exp(width))
        longest = shortest * exp(width)
        if count >= max(LEAST_GAPS, LEAST_SHARE * len(gaps)):
            probability = _weigh_outages(falls, shortest, longest)
            chance = tests + bound_binomial(len(gaps) - 1, probability, count - 1)
            if chance <= limit and (best is None or chance < best[0]):
                best = chance, shortest, longest
    return _describe(falls, gaps, *best) if best else None


def _find_fullest(lengths: Sequence[int], ratio: float) -> tuple[int, int]:
    """How many lie at most between one of the lengths and `ratio` times it, and which one that is."""
    fullest, end = (0, 0), 0
    for index, shortest in enumerate(lengths):
        while end < len(lengths) and lengths[end] <= shortest * ratio:
            end += 1
        if shortest >= LEAST_SECONDS:
            fullest = max(fullest, (end - index, shortest))
    return fullest


def _weigh_outages(falls: Sequence[Fall], shortest: int, longest: float) -> float:
    """How probable such a time between beginnings is at most, as the mean over the outages with their lengths."""
    total = 0.0
    for fall in falls[:-1]:
        down = fall.ended - fall.began
        total += 1.0 if down >= shortest else min(1.0, log((longest - down) / (shortest - down)) / e)
    return total / (len(falls) - 2)  # the window begins at one of them, so one is none of the trials


def _describe(
    falls: Sequence[Fall], gaps: Sequence[int], chance: float, shortest: int, longest: float
) -> Period | None:
    fits = [shortest <= gap <= longest for gap in gaps]
    followed = sum(
        fit and any(fits[max(index - 1, 0) : index] + fits[index + 1 : index + 2]) for index, fit in enumerate(fits)
    )
    if followed < LEAST_FOLLOWED * sum(fits) or sum(fits) < LEAST_SHARE * len(gaps):
        return None
    begun = tuple(fall.began for fall, fit in zip(falls[1:], fits, strict=True) if fit)
    return Period(median_low([gap for gap, fit in zip(gaps, fits, strict=True) if fit]), begun, chance)
