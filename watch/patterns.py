"""Patterns: what the outages of a fleet have in common, in words and as data. All times are UTC.

Everything is judged against chance: of fleets whose hosts fall by chance alone, whatever their rates, at most `CHANCE`
have any pattern. Each kind has an equal part of that, and within a kind it is divided by hosts and by tests.
docs/patterns.md says for each kind what is taken for chance, and what else is asked for.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import exp, log
from typing import Literal

from store.rows import BeatHour, Outage
from watch.falls import DAY, Fall, collect_falls, to_seconds
from watch.flapping import find_spells, merge_spells
from watch.groups import LEAST_HOSTS, Group, find_named, find_unnamed, leave_out
from watch.habits import Habit, find_habit
from watch.latency import find_rise
from watch.periods import Period, find_period
from watch.sentences import Said, Value, say_habit, say_period, say_rise, say_spells, say_together

Kind = Literal["time_of_day", "day_of_week", "period", "together", "latency_before", "flapping"]

CHANCE = 0.002
PARTS = 8  # flapping, time of day, of week, day of week, period, latency, groups by name and without one


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a host: since when, its tags, and its network as text (IPv4 /24, IPv6 /64)."""

    since: datetime
    tags: Sequence[str] = ()
    network: str | None = None


@dataclass(frozen=True, slots=True)
class Pattern:
    """What outages have in common: `words` is a sentence, `data` the same as values for JSON, times as RFC 3339.

    `data["chance"]` bounds how probable it is that chance shows such a thing anywhere in the fleet. A `day_of_week`
    has a time of day too (`from`, `to`) when both belong together.
    """

    kind: Kind
    hosts: tuple[str, ...]
    words: str
    data: Mapping[str, Value]


@dataclass(slots=True)
class _History:
    """One host's outages, in order, and between when they are looked at."""

    host: str
    falls: list[Fall]
    since: int
    until: int
    explained: set[int]  # begun when the clock told: that others begin then too says nothing more


def find_patterns(
    outages: Iterable[Outage],
    hosts: Mapping[str, Known],
    now: datetime,
    window: timedelta = timedelta(days=90),
    beats: Mapping[str, Sequence[BeatHour]] | None = None,
) -> list[Pattern]:
    """The patterns of what began in the `window` before `now`; those of many hosts come first. Rows in any order.

    `hosts` are all of the fleet, also those without an outage; `beats` are needed for `latency_before` alone.
    Raises `TypeError` for a time without a time zone.
    """
    begin = now - window
    falls = collect_falls(outages, begin, now)
    fleet = {*hosts, *falls}
    limit = log(CHANCE / PARTS)
    among = log(max(len(fleet), 1))
    singles: list[Pattern] = []
    histories: list[_History] = []
    for host, own in falls.items():
        since = max(begin, hosts[host].since) if host in hosts else begin
        history = _History(host, own, min(own[0].began, to_seconds(since)), to_seconds(now), set())
        found = _find_own(history, (beats or {}).get(host, ()), limit - among, window.days)
        singles += [_make(kind, (host,), said, chance + among) for kind, said, chance in found]
        histories.append(history)
    begun = {history.host: [fall.began for fall in history.falls] for history in histories}
    named = find_named(begun, _group(fleet, hosts), limit)
    left = leave_out(begun, named)
    for history in histories:
        left[history.host] = [at for at in left[history.host] if at not in history.explained]
    return [
        _make("together", together.hosts, say_together(together, window.days, len(fleet)), together.chance)
        for together in [*named, *find_unnamed(left, limit)]
    ] + singles


def _find_own(
    history: _History, beats: Sequence[BeatHour], limit: float, days: int
) -> Iterator[tuple[Kind, Said, float]]:
    """What one host's outages tell by themselves, with the logarithm of its chance; `history` learns from it."""
    host, since, until = history.host, history.since, history.until
    if spells := find_spells(history.falls, since, until, limit):
        history.falls = merge_spells(history.falls, spells)
        yield "flapping", say_spells(host, spells, days), min(spell.chance for spell in spells)
    total = len(history.falls)
    habit, period = _choose(find_habit(history.falls, since, until, limit), find_period(history.falls, limit))
    if habit:
        history.explained.update(habit.begun if habit.end else ())
        yield "day_of_week" if habit.days else "time_of_day", say_habit(host, habit, total), habit.chance
    if period:
        history.explained.update(period.begun)
        yield "period", say_period(host, period, total), period.chance
    if rise := find_rise(history.falls, beats, limit):
        yield "latency_before", say_rise(host, rise), rise.chance


def _choose(habit: Habit | None, period: Period | None) -> tuple[Habit | None, Period | None]:
    """A habit has a period of days, and a period such as twelve hours is at times of the day: one of them is said."""
    if not (habit and period):
        return habit, period
    if not habit.end:
        return habit, period if period.seconds < 0.9 * DAY else None
    days = round(period.seconds / DAY)
    return (habit, None) if days and abs(period.seconds - days * DAY) < 0.1 * DAY else (None, period)


def _group(fleet: Iterable[str], hosts: Mapping[str, Known]) -> list[Group]:
    """Which hosts share something."""
    shared: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    shared["all", ""].update(fleet)
    for host, known in hosts.items():
        if known.network:
            shared["network", known.network].add(host)
        for tag in known.tags:
            shared["tag", tag].add(host)
    return [Group(*key, frozenset(members)) for key, members in shared.items() if len(members) >= LEAST_HOSTS]


def _make(kind: Kind, hosts: tuple[str, ...], said: Said, chance: float) -> Pattern:
    words, data = said
    return Pattern(kind, hosts, words, {**data, "chance": float(f"{exp(min(chance, 0.0)):.2g}")})
