"""Sentences: what was found, as words that a person understands, and as values for JSON."""

from __future__ import annotations

from collections.abc import Sequence

from core.clock import rfc3339
from core.text import name_some
from watch.falls import DAY, HOUR, to_time
from watch.flapping import Spell
from watch.groups import Together
from watch.habits import Habit
from watch.latency import HOURS, Rise
from watch.periods import Period

Value = str | int | float | bool | list[str]
Said = tuple[str, dict[str, Value]]

NAMED_HOSTS = 5  # in words
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_DAY_SETS = {(5, 6): "weekends", (0, 1, 2, 3, 4): "weekdays"}


def say_spells(host: str, spells: Sequence[Spell], days: int) -> Said:
    """Of a host that flaps, or did so."""
    last = spells[-1]
    words = (
        f"{host} {'flaps now' if last.lasts else 'flapped'}: {_count(len(spells), 'time')} in {days} days, last on "
        f"{_date(last.began)} with {last.falls} outages within {_length(last.last - last.began)}"
    )
    outages = sum(spell.falls for spell in spells)
    return words, {"now": last.lasts, "times": len(spells), "outages": outages, **_span([s.began for s in spells])}


def say_habit(host: str, habit: Habit, total: int) -> Said:
    """Of a time of day, days of the week, or both."""
    when = ""
    data: dict[str, Value] = {}
    if habit.days:
        when += f" on {_DAY_SETS.get(habit.days) or _DAYS[habit.days[0]] + 's'}"
        data["days"] = [_DAYS[day] for day in habit.days]
    if habit.end:
        data["from"], data["to"] = _clock(habit.start), _clock(habit.end)
        when += f" between {data['from']} and {data['to']} UTC"
    words = f"{host} goes down{when}: {len(habit.begun)} of {total} outages"
    return words, {**data, "outages": len(habit.begun), "of": total, **_span(habit.begun)}


def say_period(host: str, period: Period, total: int) -> Said:
    """Of outages that come every so many hours."""
    count = len(period.begun)
    words = f"{host} goes down every {_length(period.seconds)}: {count} of {total} outages came so long after another"
    return words, {"period_seconds": period.seconds, "outages": count, "of": total, **_span(period.begun)}


def say_rise(host: str, rise: Rise) -> Said:
    """Of latency before outages."""
    words = (
        f"{host}'s heartbeats slow down in the {HOURS} hours before it goes down, to {rise.ratio:.1f} times the usual "
        f"latency: before {len(rise.begun)} of {rise.total} outages"
    )
    data: dict[str, Value] = {"hours": HOURS, "ratio": round(rise.ratio, 2)}
    return words, {**data, "outages": len(rise.begun), "of": rise.total, **_span(rise.begun)}


def say_together(together: Together, days: int, fleet: int) -> Said:
    """Of hosts that fall together, in a fleet of so many."""
    kind, name, _ = together.group
    number = len(together.hosts)
    who = {
        "all": f"all {fleet} hosts" if number == fleet else f"{number} of all {fleet} hosts",
        "network": f"{number} hosts of {name}",
        "tag": f"{number} hosts with tag {name}",
        "hosts": f"these {number} hosts ({name_some(together.hosts, NAMED_HOSTS)})",
    }[kind]
    begun = [incident.at for incident in together.incidents]
    words = f"{who} fall together: {len(begun)} times in {days} days, last on {_date(max(begun))}"
    return words, {"share": kind, "name": name, "times": len(begun), **_span(begun)}


def _span(begun: Sequence[int]) -> dict[str, Value]:
    return {"first": rfc3339(to_time(min(begun))), "last": rfc3339(to_time(max(begun)))}


def _date(seconds: int) -> str:
    return f"{to_time(seconds):%Y-%m-%d}"


def _clock(seconds: int) -> str:
    return f"{seconds % DAY // HOUR:02}:{seconds % HOUR // 60:02}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _length(seconds: float) -> str:
    """To the minute below two hours, else to a tenth of an hour."""
    if seconds < 2 * HOUR:
        return _count(max(1, round(seconds / 60)), "minute")
    return f"{round(seconds / HOUR, 1):g} hours"
