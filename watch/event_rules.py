"""Rules over events: `[rule.NAME]` of `rules.toml`, and those that hold when it says nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from importlib.resources import files
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec

from core.messages import EventType, OsType
from core.topics import fits_any

if TYPE_CHECKING:  # whoever only reads the rules, such as `heimdall up`, loads no database
    from store import StoredEvent

Minutes = Annotated[float, msgspec.Meta(gt=0, le=1440)]
Count = Annotated[int, msgspec.Meta(ge=1, le=1000)]
Severity = Annotated[int, msgspec.Meta(ge=1, le=5)]
Field = Literal["source_ip", "source_host", "user"]


class Before(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`before`: what must have come first, of the same subject: `count` events within the minutes, and since the last
    time: who logs in after two mistakes, and again after three, has not made five.
    """

    event_type: EventType
    count: Count = 1
    within_minutes: Minutes = 10


class EventRule(msgspec.Struct, forbid_unknown_fields=True, frozen=True, dict=True):
    """`[rule.NAME]`. It looks at events of one of the types, at least so severe, of hosts whose name fits a pattern,
    with all of the texts in their message in either case of letters; and counts them for each of what `by` names.

    With `distinct` it counts how many values of that field come. It finds something when there are `count` within the
    minutes, and again when there has been none for as long. What the rule `unless` has found already it does not count.
    """

    title: str
    event_type: EventType | Sequence[EventType] = ()
    os_type: OsType | Sequence[OsType] = ()
    severity_at_least: Severity = 1
    hosts: Sequence[str] = ()
    contains: Sequence[str] = ()
    by: Field = "source_host"
    count: Count = 1
    distinct: Field | None = None
    within_minutes: Minutes = 10
    before: Before | None = None
    unless: str | None = None
    severity: Severity = 3
    enabled: bool = True

    @property
    def types(self) -> Sequence[str]:
        """The types of events that it looks at; none are all."""
        return (self.event_type,) if isinstance(self.event_type, str) else self.event_type

    @cached_property
    def _systems(self) -> frozenset[str]:
        return frozenset((self.os_type,) if isinstance(self.os_type, str) else self.os_type)

    @cached_property
    def _texts(self) -> list[str]:
        return [text.casefold() for text in self.contains]

    def fits(self, event: StoredEvent) -> bool:
        """Whether it looks at `event`, which is of one of its types."""
        if (event.severity or 1) < self.severity_at_least:
            return False
        if self._systems and event.os_type not in self._systems:
            return False
        if self.hosts and not fits_any(event.source_host, self.hosts):
            return False
        if not self._texts:
            return True
        message = event.raw_message.casefold()
        return all(text in message for text in self._texts)


def default_rules() -> Mapping[str, Mapping[str, object]]:
    """The rules that hold when nobody says otherwise, as they would stand in `rules.toml`."""
    import tomllib  # noqa: PLC0415 -- a watch reads them once

    told: dict[str, dict[str, dict[str, object]]] = tomllib.loads(
        files("watch").joinpath("default_rules.toml").read_text(encoding="utf-8")
    )
    return told["rule"]
