"""Rules that count how often other rules are met, by group and within a time: Sigma's correlations."""

from __future__ import annotations

import time
from bisect import insort
from collections import OrderedDict
from typing import Annotated, Literal

import msgspec

from core.clock import parse_time
from core.errors import Invalid
from watch.sigma.fields import Record
from watch.sigma.kinds import KINDS

MOST_GROUPS = 10_000  # of a rule; the one that was longest without an event goes first
MOST_COUNTED = 10_000
MOST_HELD = 200_000  # times that all groups of a rule hold together
LONGEST_SECONDS = 366 * 86_400
LONGEST_VALUE_CHARS = 256


class Count(msgspec.Struct, frozen=True):
    """What is counted: the events that meet rules (`fields` has them by their ids), or their different values.

    Of each rule `fields` names the fields that an event's group is made of, and with `values` behind them the field
    whose different values count. It is met when there are `number` within `seconds`. With `generate` the counted rules
    are told too.
    """

    fields: dict[str, list[str]]
    values: bool
    seconds: Annotated[int, msgspec.Meta(ge=1, le=LONGEST_SECONDS)]
    number: Annotated[int, msgspec.Meta(ge=1, le=MOST_COUNTED)]
    how: Literal["event_count", "value_count"] = "event_count"
    generate: bool = False


def find_group(count: Count, rule: str, record: Record) -> tuple[tuple[str, ...], str] | None:
    """The group in which `record`, which meets `rule`, counts, and the value that counts (empty: the event itself).

    `None` when it lacks a field that is asked for.
    """
    kind = KINDS.get(record.kind)
    found: list[str] = []
    for field in count.fields[rule]:
        name = kind.find(field) if kind else None
        value = (record.get(name) or kind.constants.get(name)) if kind and name else None
        if value is None:
            return None
        found.append(value[:LONGEST_VALUE_CHARS].casefold())
    value = found.pop() if count.values else ""
    return tuple(found), value


class Counter:
    """What was counted for one rule. It holds a bounded state, whatever comes."""

    def __init__(self, count: Count) -> None:
        self.count = count
        self._groups: OrderedDict[tuple[str, ...], list[tuple[float, str]]] = OrderedDict()
        self._held = 0

    def add(self, rule: str, record: Record) -> bool:
        """Count an event that meets `rule`; whether the number is full. An event that lacks a field is not counted."""
        found = find_group(self.count, rule, record)
        return found is not None and self._add(*found, _seconds(record))

    def _add(self, group: tuple[str, ...], value: str, at: float) -> bool:
        seen = self._groups.pop(group, [])
        self._held -= len(seen)
        insort(seen, (at, value))
        oldest = seen[-1][0] - self.count.seconds
        seen = [one for one in seen if one[0] > oldest]
        if self.count.values:
            seen = sorted((last, one) for one, last in {one: last for last, one in seen}.items())
        if len(seen) >= self.count.number:
            return True
        self._groups[group] = seen
        self._held += len(seen)
        while len(self._groups) > MOST_GROUPS or (self._held > MOST_HELD and len(self._groups) > 1):
            self._held -= len(self._groups.popitem(last=False)[1])
        return False


def _seconds(record: Record) -> float:
    try:
        return parse_time(str(getattr(record.event, "timestamp", ""))).timestamp()
    except (Invalid, ValueError, OverflowError):
        return time.time()
