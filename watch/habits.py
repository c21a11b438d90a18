"""Habits: the time of day at which a host falls, the days of the week, or both. All in UTC.

1. Time of day: in which window, of one of `WIDTHS` and from one of the outages on, are outages of the most days? By
   chance a day has one in it as often as its outages, each with the window's width before it, cover of 24 hours.
2. Days of the week, among the days of that window when there is one, else among all that have an outage: by chance
   they are drawn from the days on which the host was known.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from math import log
from typing import NamedTuple

from watch.chance import bound_binomial, bound_hypergeometric, find_least
from watch.falls import DAY, HOUR, Fall

WIDTHS = (900, 1800, HOUR, 2 * HOUR, 4 * HOUR, 8 * HOUR)
LEAST_DAYS = 5
LEAST_SHARE = 0.3  # of the outages, and twice the window's part of the day
LEAST_RATIO = 3.0  # as many outages a day on these days as on the others
ROUND_SECONDS = 300
DAYS = (*((day,) for day in range(7)), (5, 6), (0, 1, 2, 3, 4))  # Monday is 0


class Habit(NamedTuple):
    """A window (seconds of the day, `end` may be the next day's; both 0: any time), and days (none: any day).

    `begun` are the outages in it; `chance` is the logarithm of what chance gives to any such habit of this host.
    """

    start: int
    end: int
    days: tuple[int, ...]
    begun: tuple[int, ...]
    chance: float


def find_habit(falls: Sequence[Fall], since: int, until: int, time_limit: float, day_limit: float) -> Habit | None:
    """What is most improbable of a host, known from `since` to `until`, when chance gives it at most its limit."""
    begun = [fall.began for fall in falls]
    if len(begun) < LEAST_DAYS:
        return None
    window = _find_window(begun, time_limit)
    inside, anchor = (window.begun, window.start) if window else (tuple(begun), 0)
    # the window of a night that goes on into the next day belongs to the day on which it begins
    by_night = {at: (at - anchor) // DAY for at in inside}
    found = _find_days(set(by_night.values()), since // DAY, until // DAY, day_limit)
    if found is None:
        return window
    days, chance = found
    kept = tuple(at for at in inside if _weekday(by_night[at]) in days)
    if len(kept) < LEAST_SHARE * len(begun):
        return window
    start, end = _round(kept, window.start) if window else (0, 0)
    return Habit(start, end, days, kept, chance)


def _find_window(begun: Sequence[int], limit: float) -> Habit | None:
    moments = sorted((at % DAY, at) for at in begun)
    moments += [(moment + DAY, at) for moment, at in moments]
    gaps = _find_gaps(begun)
    days = len(gaps)
    best: Habit | None = None
    for width in WIDTHS if days >= LEAST_DAYS else ():
        cover = [sum(min(gap, width) for gap in of_day) / DAY for of_day in gaps]
        probability = (sum(cover) - min(cover)) / (days - 1)
        tests = log(len(WIDTHS) * len(begun))

        def bound(count: int, probability: float = probability, tests: float = tests) -> float:
            return tests + bound_binomial(days - 1, probability, count - 1)

        least = max(LEAST_DAYS, find_least(bound, limit, days))
        share = max(LEAST_SHARE, 2 * width / DAY) * len(begun)
        for inside in _slide(moments, width, max(least, share)):
            anchor = inside[0][0]
            nights = min(days, len({(at - anchor) // DAY for _, at in inside}))
            if nights >= least and (best is None or bound(nights) < best.chance):
                hits = tuple(sorted(at for _, at in inside))
                best = Habit(*_round(hits, anchor), (), hits, bound(nights))
    return best


def _find_gaps(begun: Iterable[int]) -> list[list[int]]:
    """For each day that has outages, the time between them, around the clock."""
    by_day: dict[int, list[int]] = {}
    for at in begun:
        by_day.setdefault(at // DAY, []).append(at % DAY)
    return [
        [after - before for before, after in zip(moments, [*moments[1:], moments[0] + DAY], strict=True)]
        for moments in by_day.values()
    ]


def _slide(moments: Sequence[tuple[int, int]], width: int, least: float) -> Iterable[Sequence[tuple[int, int]]]:
    """The windows around the clock that begin with an outage and have at least so many."""
    number, end = len(moments) // 2, 0
    for index in range(number):
        while end < index + number and moments[end][0] - moments[index][0] <= width:
            end += 1
        if end - index >= least:
            yield moments[index:end]


def _find_days(days: set[int], first: int, last: int, limit: float) -> tuple[tuple[int, ...], float] | None:
    """The days of the week on which most of `days` are (numbers since 1970), of those from `first` to `last`."""
    first = min(first, *days)
    known = Counter(_weekday(day) for day in range(first, last + 1))
    hits = Counter(_weekday(day) for day in days)
    best: tuple[tuple[int, ...], float] | None = None
    for weekdays in DAYS:
        marked, count = sum(known[day] for day in weekdays), sum(hits[day] for day in weekdays)
        others = known.total() - marked
        if count < LEAST_DAYS or count * others < LEAST_RATIO * (len(days) - count) * marked:
            continue
        chance = log(len(DAYS)) + bound_hypergeometric(known.total(), marked, len(days), count)
        if chance <= limit and (best is None or chance < best[1]):
            best = weekdays, chance
    return best


def _weekday(day: int) -> int:
    return (day + 3) % 7  # 1970 began on a Thursday


def _round(begun: Iterable[int], anchor: int) -> tuple[int, int]:
    """From the first to the last moment, outwards to five minutes."""
    moments = [anchor + (at - anchor) % DAY for at in begun]
    start = min(moments) // ROUND_SECONDS * ROUND_SECONDS
    return start, max(-(-max(moments) // ROUND_SECONDS) * ROUND_SECONDS, start + ROUND_SECONDS)
