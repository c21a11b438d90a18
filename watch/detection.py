"""Detection: what rules find in the events that come, one after the other. It knows no clock and no database.

What a rule knows of a subject is a window: the last values that it counts, each with when it came. An event's time is
its own, but never later than when it was stored; whether something is over is told by the server's clock.
"""

from __future__ import annotations

import json
import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

from core.errors import Invalid
from core.messages import NO_ADDRESS, SIGMA
from core.text import name_some, printable
from store.columns import read_time
from store.found_alerts import Finding, Subject
from store.rows import StoredEvent
from watch.event_rules import EventRule

log = logging.getLogger("watch.detection")

MOST_SUBJECTS = 50_000  # of a rule; beyond it those are forgotten of which nothing came for the longest time
NAMED_HOSTS = 5
SIGMA_MINUTES = 10.0
LONGEST_NAME = 100


class Met(Protocol):
    """A rule of Sigma that an event meets."""

    @property
    def id(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def severity(self) -> int: ...


class Sigma(Protocol):
    """What finds the rules of Sigma that an event meets."""

    def match(self, event: StoredEvent) -> Sequence[Met]: ...


@dataclass(slots=True)
class Window:
    """`seen` are values with time (ms since 1970) and host; `last` is when the newest was stored.

    `found`: it has been found, and is not over.
    """

    seen: dict[str, tuple[int, str]] = field(default_factory=dict)
    last: int = 0
    found: bool = False

    def add(self, value: str, at: int, host: str, most: int) -> None:
        """One more value; of more than `most` the oldest goes."""
        known = self.seen.pop(value, None)
        self.seen[value] = (at, host) if known is None or known[0] <= at else known
        if len(self.seen) > most:
            del self.seen[min(self.seen, key=lambda one: self.seen[one][0])]

    def within(self, at: int, duration: int) -> int:
        """How many values came in the `duration` that ended `at`, both in ms."""
        return sum(1 for moment, _ in self.seen.values() if at - duration < moment <= at)

    def pack(self) -> str:
        return json.dumps([self.last, self.found, [[value, *one] for value, one in self.seen.items()]])

    @classmethod
    def unpack(cls, text: str) -> Window:
        last, found, seen = json.loads(text)
        return cls({value: (at, host) for value, at, host in seen}, last, found)


class Detection:
    """`rules` by their names.

    `changed` are the subjects of which it knows something else than what was kept, `over` those of which something was
    found that is over; whoever keeps them clears both. `sigma` is asked of every event, if there is one.
    """

    def __init__(self, rules: Mapping[str, EventRule]) -> None:
        self._by_type: dict[str, list[tuple[str, EventRule]]] = defaultdict(list)
        self._of_every_type: list[tuple[str, EventRule]] = []
        self._before: dict[str, list[tuple[str, EventRule]]] = defaultdict(list)
        # how long each of those who remember something does, in ms
        self._durations = {SIGMA: _ms(SIGMA_MINUTES)}
        for name, rule in rules.items():
            if rule.enabled:
                self._add(name, rule)
        self._windows: dict[str, dict[str, Window]] = defaultdict(dict)
        self.sigma: Sigma | None = None
        self.changed: set[Subject] = set()
        self.over: list[Subject] = []

    def _add(self, name: str, rule: EventRule) -> None:
        self._durations[name] = _ms(rule.within_minutes)
        if not rule.types:
            self._of_every_type.append((name, rule))
        for kind in rule.types:
            self._by_type[kind].append((name, rule))
        if rule.before is not None:
            self._before[rule.before.event_type].append((_first(name), rule))
            self._durations[_first(name)] = _ms(rule.before.within_minutes)

    def remember(self, kept: Mapping[Subject, str]) -> None:
        """What was kept before; of rules that are gone it is forgotten, and what they have found is over."""
        for subject, text in kept.items():
            if subject.rule in self._durations:
                self._windows[subject.rule][subject.name] = Window.unpack(text)
            else:
                self.changed.add(subject)

    def pack(self, subject: Subject) -> str | None:
        """What is known of the subject, to be kept; `None` when it is nothing."""
        window = self._windows[subject.rule].get(subject.name)
        return None if window is None else window.pack()

    def take(self, events: Iterable[StoredEvent]) -> list[Finding]:
        """What the rules find in `events`, the next ones in the order of their ids."""
        found: list[Finding] = []
        for event in events:
            try:
                found += self._look(event)
            except Exception:  # whatever is wrong with one, the next ones are looked at
                log.exception("event %s could not be looked at", event.event_id)
        return found

    def _look(self, event: StoredEvent) -> list[Finding]:
        found: list[Finding] = []
        if self.sigma is not None and (met := self.sigma.match(event)):
            found += self._take_met(met, event)
        rules = [*self._by_type.get(event.event_type, ()), *self._of_every_type]
        firsts = self._before.get(event.event_type, ())
        if not rules and not firsts:
            return found
        at, stored_at = _times(event)
        found += [one for name, rule in rules if (one := self._apply(name, rule, event, at, stored_at)) is not None]
        for name, rule in firsts:
            if rule.before is not None and (subject := _subject(rule, event)):
                self._note(Subject(name, subject), str(event.id), event.source_host, at, stored_at, rule.before.count)
        return found

    def _take_met(self, met: Sequence[Met], event: StoredEvent) -> list[Finding]:
        """Each rule of Sigma is told once of each host, and again when it was not met for a while."""
        at, stored_at = _times(event)
        found = []
        for rule in met:
            subject = Subject(SIGMA, f"{rule.id} {event.source_host}")
            window = self._note(subject, str(event.id), event.source_host, at, stored_at, 1)
            if not window.found:
                window.found = True
                text = f"{printable(rule.title, LONGEST_NAME)}, on {event.source_host}"
                since = datetime.fromtimestamp(at / 1000, UTC)
                found.append(Finding(subject, event.source_host, rule.severity, text, since, lasts=False))
        return found

    def _apply(self, name: str, rule: EventRule, event: StoredEvent, at: int, stored_at: int) -> Finding | None:
        subject = Subject(name, _subject(rule, event))
        if not subject.name or not rule.fits(event) or self._has_found(rule.unless, subject.name):
            return None
        if rule.before is not None and not self._use_up(Subject(_first(name), subject.name), rule.before.count, at):
            return None
        value = str(event.id) if rule.distinct is None else getattr(event, rule.distinct)
        window = self._note(subject, value, event.source_host, at, stored_at, rule.count)
        if window.found or len(window.seen) < rule.count:
            return None
        if window.within(max(moment for moment, _ in window.seen.values()), self._durations[name]) < rule.count:
            return None
        window.found = True
        return _finding(subject, rule, window)

    def _use_up(self, first: Subject, count: int, at: int) -> bool:
        """Whether what must come first has come; it must come anew before the next time."""
        window = self._windows[first.rule].pop(first.name, None)
        if window is None:
            return False
        self.changed.add(first)
        return window.within(at, self._durations[first.rule]) >= count

    def _has_found(self, name: str | None, subject: str) -> bool:
        window = None if name is None else self._windows[name].get(subject)
        return window is not None and window.found

    def _note(self, subject: Subject, value: str, host: str, at: int, stored_at: int, most: int) -> Window:
        windows = self._windows[subject.rule]
        window = windows.pop(subject.name, None) or Window()
        if window.found and stored_at - window.last > self._durations[subject.rule]:
            self.over.append(subject)
            window = Window()
        windows[subject.name] = window  # last of all: those of which nothing came for long come first
        window.add(value, at, host, most)
        window.last = max(window.last, stored_at)
        self.changed.add(subject)
        if len(windows) > MOST_SUBJECTS:
            quiet = next((one for one in windows if not windows[one].found), None)
            if quiet is not None:
                del windows[quiet]
                self.changed.add(Subject(subject.rule, quiet))
        return window

    def forget(self, now: int) -> None:
        """What nothing came of for a rule's minutes before `now` (ms since 1970) is over, and known no more."""
        for name, windows in self._windows.items():
            duration = self._durations[name]
            quiet = [one for one, window in windows.items() if now - window.last > duration]
            self.over += [Subject(name, one) for one in quiet if windows[one].found]
            self.changed.update(Subject(name, one) for one in quiet)
            for one in quiet:
                del windows[one]


def _first(name: str) -> str:
    """Under which name a rule remembers what must come first; no rule has it."""
    return f"{name}.before"


def _subject(rule: EventRule, event: StoredEvent) -> str:
    name: str = getattr(event, rule.by)
    return "" if name == NO_ADDRESS else name


def _ms(minutes: float) -> int:
    return int(minutes * 60_000)


def _times(event: StoredEvent) -> tuple[int, int]:
    """When it happened and when it was stored, in ms since 1970."""
    stored_at = _read_time(event.created_at)
    return min(_read_time(event.timestamp), stored_at), stored_at


def _read_time(text: str) -> int:
    try:
        return int(read_time(text).timestamp() * 1000)
    except Invalid:
        return 0  # in a row of an old database


def _finding(subject: Subject, rule: EventRule, window: Window) -> Finding:
    moments = [at for at, _ in window.seen.values()]
    hosts = sorted({host for _, host in window.seen.values()})
    return Finding(
        subject, hosts[0] if len(hosts) == 1 else None, rule.severity, _describe(subject, rule, hosts),
        datetime.fromtimestamp(min(moments) / 1000, UTC), rule.count > 1,
    )  # fmt: skip


def _describe(subject: Subject, rule: EventRule, hosts: Sequence[str]) -> str:
    what = rule.title
    if rule.count > 1:
        kind = {"source_ip": "addresses", "source_host": "hosts", "user": "users", None: "events"}[rule.distinct]
        what = f"{what}: {rule.count} {kind} within {rule.within_minutes:g} minutes"
    name = printable(subject.name, LONGEST_NAME)
    if rule.by == "source_host":
        return f"{what}, on {name}"
    origin = "from" if rule.by == "source_ip" else "by"
    return f"{what}, {origin} {name}, on {name_some(hosts, NAMED_HOSTS)}"
