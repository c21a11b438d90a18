"""Flapping: a host that falls and comes back, again and again within the hour.

Each outage of the last hour weighs 1 when it is new and nothing when it is an hour old. A host flaps from when the sum
is `HIGH` until it is below `LOW`: between the two it stays what it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from math import log
from typing import NamedTuple

from store.rows import Outage
from watch.chance import bound_poisson
from watch.falls import HOUR, Fall, to_seconds

HIGH = 3.0  # four within 20 minutes, or one every ten
LOW = 1.0


class Spell(NamedTuple):
    """So many outages within a time, of which the `last` began then; `lasts` says that it has not ended.

    `chance` is the logarithm of what a steady rate gives to any such spell of this host.
    """

    began: int
    ended: int
    last: int
    falls: int
    lasts: bool
    chance: float


def is_flapping(outages: Iterable[Outage], now: datetime, before: bool) -> bool:
    """Whether a host flaps at `now`, by its outages of the last hour; `before` says whether it did until now.

    What was announced (`away`) and what began after `now` does not count.
    """
    at = to_seconds(now)
    begun = {to_seconds(outage.began_at) for outage in outages if outage.cause != "away"}
    weight = _weigh(sorted(begun), at)
    return weight >= HIGH or (before and weight >= LOW)


def find_spells(falls: Sequence[Fall], since: int, until: int, limit: float) -> list[Spell]:
    """The times at which a host flapped more than its own rate from `since` to `until` makes plausible."""
    begun = [fall.began for fall in falls]
    found = []
    for first, end in _find_runs(begun):
        run = falls[first:end]
        took = run[-1].began - run[0].began
        # a spell may begin and end with any two of the outages
        mean = len(falls) * max(took, 1) / max(until - since, took, 1)
        chance = bound_poisson(mean, len(run) - 1) + 2 * log(len(falls))
        if chance <= limit:
            lasts = end == len(falls) and _weigh(begun, until) >= LOW
            found.append(Spell(run[0].began, run[-1].ended, run[-1].began, len(run), lasts, chance))
    return found


def merge_spells(falls: Sequence[Fall], spells: Sequence[Spell]) -> list[Fall]:
    """The outages with each spell as one: what comes of one trouble is not many signs of a pattern."""
    left = [fall for fall in falls if not any(spell.began <= fall.began <= spell.last for spell in spells)]
    return sorted([*left, *(Fall(spell.began, spell.ended) for spell in spells)])


def _weigh(begun: Sequence[int], at: int) -> float:
    return sum(1 - (at - each) / HOUR for each in begun if 0 <= at - each < HOUR)


def _find_runs(begun: Sequence[int]) -> list[tuple[int, int]]:
    """The runs of outages in which a host flapped, each from an index up to another."""
    runs: list[tuple[int, int]] = []
    flaps = False
    oldest = 0
    for index, at in enumerate(begun):
        while at - begun[oldest] >= HOUR:
            oldest += 1
        if flaps and _weigh(begun[oldest:index], at) >= LOW:
            runs[-1] = (runs[-1][0], index + 1)
            continue
        flaps = _weigh(begun[oldest : index + 1], at) >= HIGH
        if flaps:
            runs.append((max(oldest, runs[-1][1] if runs else 0), index + 1))
    return runs
