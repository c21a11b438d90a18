"""Habits: the time of day at which a host falls, the days of the week, or both. All in UTC.

1. Time of day: in which window, of one of `WIDTHS` and from one of the outages on, are outages of the most days? By
   chance a day has one in it as often as its outages, each with the window's width before it, cover of 24 hours.
2. Days of the week, among the days of that window when there is one, else among all that have an outage: by chance
   they are drawn from the days on which the host was known.
3. What comes once a week is too rare to stand out among days: without such a window, the same as 1 with weeks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from math import log
from typing import NamedTuple

from watch.chance import bound_binomial, bound_hypergeometric, find_least
from watch.falls import DAY, HOUR, Fall

WEEK = 7 * DAY
WIDTHS = (900, 1800, HOUR, 2 * HOUR, 4 * HOUR, 8 * HOUR)
LEAST_DAYS = 5
LEAST_SHARE = 0.2  # of the outages, and twice the window's part of the day
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


def find_habit(falls: Sequence[Fall], since: int, until: int, limit: float) -> Habit | None:
    """The habit of a host that was known from `since` to `until`, when chance gives it at most `limit`.

    Chance has three tries at that.
    """
    begun = [fall.began for fall in falls]
    if len(begun) < LEAST_DAYS:
        return None
    daily = _find_window(begun, DAY, limit)
    found = _find_days(daily.begun if daily else begun, daily.start if daily else 0, since, until, limit)
    if daily is None:
        weekly = _find_window(begun, WEEK, limit)
        return min((habit for habit in (found, weekly) if habit), key=lambda habit: habit.chance, default=None)
    if found is None or len(found.begun) < LEAST_SHARE * len(begun):
        return daily
    start, end = _round(found.begun, daily.start, DAY)
    return found._replace(start=start, end=end)


def _find_window(begun: Sequence[int], cycle: int, limit: float) -> Habit | None:
    """The window of the day, or of the week as the cycle, in which outages of the most cycles are."""
    moments = sorted((at % cycle, at) for at in begun)
    moments += [(moment + cycle, at) for moment, at in moments]
    gaps = _find_gaps(begun, cycle)
    cycles = len(gaps)
    best: Habit | None = None
    for width in WIDTHS if cycles >= LEAST_DAYS else ():
        cover = [sum(min(gap, width) for gap in around) / cycle for around in gaps]
        probability = (sum(cover) - min(cover)) / (cycles - 1)
        tests = log(len(WIDTHS) * len(begun))

        def bound(count: int, probability: float = probability, tests: float = tests) -> float:
            return tests + bound_binomial(cycles - 1, probability, count - 1)

        least = max(LEAST_DAYS, find_least(bound, limit, cycles))
        share = max(LEAST_SHARE, 2 * width / cycle) * len(begun)
        for inside in _slide(moments, width, max(least, share)):
            anchor = inside[0][0]
            number = min(cycles, len({(at - anchor) // cycle for _, at in inside}))
            if number >= least and (best is None or bound(number) < best.chance):
                hits = tuple(sorted(at for _, at in inside))
                start, end = _round(hits, anchor, cycle)
                days = (_weekday(start // DAY),) if cycle == WEEK else ()
                best = Habit(start % DAY, end - start + start % DAY, days, hits, bound(number))
    return best


def _find_gaps(begun: Iterable[int], cycle: int) -> list[list[int]]:
    """For each day or week that has outages, the time between them, around the clock."""
    by_cycle: dict[int, list[int]] = {}
    for at in begun:
        by_cycle.setdefault(at // cycle, []).append(at % cycle)
    return [
        [after - before for before, after in zip(moments, [*moments[1:], moments[0] + cycle], strict=True)]
        for moments in by_cycle.values()
    ]


def _slide(moments: Sequence[tuple[int, int]], width: int, least: float) -> Iterable[Sequence[tuple[int, int]]]:
    """The windows around the clock that begin with an outage and have at least so many."""
    number, end = len(moments) // 2, 0
    for index in range(number):
        while end < index + number and moments[end][0] - moments[index][0] <= width:
            end += 1
        if end - index >= least:
            yield moments[index:end]


def _find_days(begun: Sequence[int], midnight: int, since: int, until: int, limit: float) -> Habit | None:
    """The days of the week on which most of the days with outages are; a day begins at `midnight`, of its seconds.

    So a window that goes on into the next day belongs to the day on which it begins.
    """
    day_of = {at: (at - midnight) // DAY for at in begun}
    days = set(day_of.values())
    known = Counter(_weekday(day) for day in range(min(since // DAY, *days), until // DAY + 1))
    hits = Counter(_weekday(day) for day in days)
    best: Habit | None = None
    for weekdays in DAYS:
        marked, count = sum(known[day] for day in weekdays), sum(hits[day] for day in weekdays)
        others = known.total() - marked
        if count < LEAST_DAYS or count * others < LEAST_RATIO * (len(days) - count) * marked:
            continue
        chance = log(len(DAYS)) + bound_hypergeometric(known.total(), marked, len(days), count)
        if chance <= limit and (best is None or chance < best.chance):
            kept = tuple(at for at in begun if _weekday(day_of[at]) in weekdays)
            best = Habit(0, 0, weekdays, kept, chance)
    return best


def _weekday(day: int) -> int:
    return (day + 3) % 7  # 1970 began on a Thursday


def _round(begun: Iterable[int], anchor: int, cycle: int) -> tuple[int, int]:
    """From the first to the last moment, outwards to five minutes."""
    moments = [anchor + (at - anchor) % cycle for at in begun]
    start = min(moments) // ROUND_SECONDS * ROUND_SECONDS
    return start, max(-(-max(moments) // ROUND_SECONDS) * ROUND_SECONDS, start + ROUND_SECONDS)
