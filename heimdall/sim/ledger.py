"""The ledger: what the judge of silence should say of what happened, and until when. Pure.

Facts are what happened to hosts and when; out of them, and of the times at which nobody could hear or be heard, comes
what is expected: verdicts and alerts, each with the first and the last moment at which it is right. All times are
seconds of one monotonic clock.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

GRACE_SECONDS = 3.0  # within which a session that ended may return
SPEAK_SECONDS = 1.0  # from knowing to saying
PROOF_SECONDS = 3.0  # until it is sure that a sign that is missed was not on its way
ROUNDING_SECONDS = 1.0  # brokers count keep alives and expiries in whole seconds
KEEP_ALIVES, KEEP_ALIVE_CHECK_SECONDS = 1.5, 5.0
LATE_INTERVALS, SILENT_INTERVALS = 2.0, 3.0
CLONE_INTERVALS = 4.0  # of 5 s at least: two agents of one name need some turns before it shows
FORGIVEN = 0.1  # of a second, for clocks are read before and after what they date


class Fact(NamedTuple):
    """Something that happened to `host` at `at`. `kind` is a fault, `overdue`, `lost`, `connect` or `return`.

    `fault` is what a return ends. `beat_at` and `sent_at`: its last heartbeat, its last packet. `due_at` belongs to
    `away`. What is not `required` may be said and need not.
    """

    host: str
    kind: str
    at: float
    fault: str = ""
    beat_at: float = 0.0
    sent_at: float = 0.0
    due_at: float | None = None
    required: bool = True


class Outcome(NamedTuple):
    """What is said of a fault. Without a `state` no verdict changes; without `reasons` any will do.

    `alerts` are the kinds of which there is one; `on_the_way` are states that may come before. `resolves`: whether
    the alert ends with the fault.
    """

    state: str = ""
    reasons: frozenset[str] = frozenset()
    alerts: frozenset[str] = frozenset()
    on_the_way: frozenset[str] = frozenset()
    resolves: bool = True


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


OUTCOMES = {
    "kill": Outcome("offline", _words("crashed"), _words("crashed")),
    "flap": Outcome("offline", _words("crashed"), _words("crashed")),
    "hang": Outcome("offline", _words("crashed"), _words("crashed zombie"), _words("late zombie")),
    "mute": Outcome("zombie", alerts=_words("zombie"), on_the_way=_words("late")),
    "stop": Outcome("offline", _words("stopped")),
    "shutdown": Outcome("offline", _words("shutdown")),
    "away": Outcome("away"),
    "overdue": Outcome("overdue", alerts=_words("overdue")),
    "clone": Outcome(alerts=_words("clone"), resolves=False),
    # back before anybody may speak; slower than that it may be said
    "roam": Outcome("offline"),
    "restart": Outcome("offline"),
    "lost": Outcome("offline", alerts=_words("crashed silent zombie"), on_the_way=_words("late zombie")),
    "connect": Outcome("online", on_the_way=_words("new")),
    "return": Outcome("online"),
}
# what a blackout may add, for a will can be lost with the broker, and a session be doubted
_HIDDEN = _words("late zombie")
_HIDDEN_ALERTS = _words("crashed silent zombie")
NEVER_REQUIRED = _words("roam restart lost")


class Blackout(NamedTuple):
    """Nobody could hear from `at` to `until`."""

    at: float
    until: float


@dataclass
class Expected:
    """A verdict or an alert on `host`: right from `earliest` on, late after `latest`, wrong after `closes`.

    `fault` is for the report; `began` is when what it tells of began. An alert is resolved within the time `resolved`,
    if that is not `None`.
    """

    host: str
    fault: str
    words: frozenset[str]  # states of a verdict, kinds of an alert
    reasons: frozenset[str]
    began: float
    earliest: float
    latest: float
    closes: float
    required: bool
    resolved: tuple[float, float] | None = None


@dataclass
class Expectations:
    """By host, in the order in which they should come."""

    verdicts: dict[str, list[Expected]] = field(default_factory=lambda: defaultdict(list))
    alerts: dict[str, list[Expected]] = field(default_factory=lambda: defaultdict(list))


class Rules(NamedTuple):
    """The fleet's times, by which the judge must go, and how much later than they say it may speak."""

    interval_seconds: float
    keep_alive_seconds: float
    slack_seconds: float = 0.0

    def window(self, fact: Fact) -> tuple[float, float]:
        """When the outcome of `fact` may be said at the earliest, and must be at the latest, in the clear."""
        earliest, latest = self._window(fact)
        return earliest, latest + self.slack_seconds

    def _window(self, fact: Fact) -> tuple[float, float]:
        interval = self.interval_seconds
        at = fact.at
        if fact.kind == "hang":
            unheard = KEEP_ALIVES * self.keep_alive_seconds
            return (
                fact.sent_at + unheard - ROUNDING_SECONDS + GRACE_SECONDS,
                at + unheard + KEEP_ALIVE_CHECK_SECONDS + GRACE_SECONDS + SPEAK_SECONDS,
            )
        if fact.kind == "mute":
            silent_at = fact.beat_at + SILENT_INTERVALS * interval
            return silent_at - ROUNDING_SECONDS, silent_at + PROOF_SECONDS
        if fact.kind == "overdue":
            return at - ROUNDING_SECONDS, at + PROOF_SECONDS
        if fact.kind == "clone":
            return at, at + CLONE_INTERVALS * max(interval, 5.0) + PROOF_SECONDS
        if fact.kind in ("connect", "return"):
            return at, at + max(interval, SPEAK_SECONDS)
        return at if fact.kind == "away" else at + GRACE_SECONDS, at + GRACE_SECONDS + SPEAK_SECONDS

    def on_the_way(self, fact: Fact, state: str) -> float:
        """When `state` may be said at the earliest on the way to the outcome."""
        if state == "new":
            return -math.inf
        intervals = LATE_INTERVALS if state == "late" else SILENT_INTERVALS
        return fact.beat_at + intervals * self.interval_seconds - ROUNDING_SECONDS

    def settled(self, blackout: Blackout) -> float:
        """When what a blackout hid must be said: everybody had an interval and the grace to speak, or was silent."""
        interval = self.interval_seconds
        return (
            blackout.until
            + max(SILENT_INTERVALS * interval, interval + GRACE_SECONDS)
            + PROOF_SECONDS
            + self.slack_seconds
        )

    def longest_seconds(self, kind: str) -> float:
        """Until the outcome of a fault of `kind` must be said, counted from its beginning."""
        # as if the last beat went just then
        return self.window(Fact("", kind, 0.0))[1] if kind in OUTCOMES else 0.0


def expect(facts: Iterable[Fact], blackouts: Sequence[Blackout], rules: Rules, end: float) -> Expectations:
    """What is to be said of `facts` until `end`.

    1. What was over before it could be known is not expected at all.
    2. What was over, or hidden by a blackout, before it had to be said may be said and need not.
    3. So may what had not to be said before the end.
    """
    by_host: dict[str, list[Fact]] = defaultdict(list)
    for fact in facts:
        by_host[fact.host].append(fact)
    expected = Expectations()
    for host, known in by_host.items():
        was_down = False  # whether the judge may hold the host to be down
        must_be = False
        steps = [*_with_deadlines(known)]
        for number, fact in enumerate(steps):
            over_at = steps[number + 1].at if number + 1 < len(steps) else math.inf
            if fact.kind == "return" and not was_down:
                continue
            required = fact.required and fact.kind not in NEVER_REQUIRED and (fact.kind != "return" or must_be)
            one = _Step(fact, over_at, required, rules, blackouts, end)
            verdicts = [*one.verdicts()]
            expected.verdicts[host] += verdicts
            expected.alerts[host] += one.alerts(_return_of(steps[number + 1 :]))
            if fact.kind in ("return", "connect"):
                # of one that flaps the last return alone must be noticed
                was_down = must_be = must_be and not fact.required
            else:
                was_down = was_down or bool(verdicts)
                must_be = must_be or any(verdict.required for verdict in verdicts)
    return expected


def _with_deadlines(facts: Sequence[Fact]) -> Iterator[Fact]:
    """`facts`, and after each absence that was not over in time that it is overdue."""
    for number, fact in enumerate(facts):
        yield fact
        over_at = facts[number + 1].at if number + 1 < len(facts) else math.inf
        if fact.kind == "away" and fact.due_at is not None and fact.due_at < over_at:
            yield fact._replace(kind="overdue", fault="overdue", at=fact.due_at)


def _return_of(later: Sequence[Fact]) -> float:
    return next((fact.at for fact in later if fact.kind == "return"), math.inf)


class _Step(NamedTuple):
    """One fact, which `over_at` was followed by another."""

    fact: Fact
    over_at: float
    required: bool
    rules: Rules
    blackouts: Sequence[Blackout]
    end: float

    def _window(self) -> tuple[float, float, bool]:
        """As in the clear, or as a blackout has it; and whether there was one."""
        earliest, latest = self.rules.window(self.fact)
        hidden = False
        for blackout in self.blackouts:
            if self.fact.at < self.rules.settled(blackout) and latest > blackout.at:
                latest, hidden = max(latest, self.rules.settled(blackout)), True
        return earliest - FORGIVEN, latest, hidden

    def verdicts(self) -> Iterator[Expected]:
        """What is to be said of the host, the stages on the way first."""
        outcome = OUTCOMES[self.fact.kind]
        if not outcome.state:
            return
        earliest, latest, hidden = self._window()
        for state in sorted(outcome.on_the_way | (_HIDDEN if hidden else frozenset())):
            at = self.rules.on_the_way(self.fact, state) - FORGIVEN
            # a stage that lasts for long enough must be said, too
            due = self.rules.on_the_way(self.fact, state) + ROUNDING_SECONDS + PROOF_SECONDS + self.rules.slack_seconds
            must = self.fact.kind == "mute" and state == "late" and due <= earliest and not hidden
            if at < self.over_at:
                stage = self._expect(frozenset([state]), at, due if must else latest, hidden)
                stage.required = stage.required and must
                stage.fault += f", {state}"
                yield stage
        if earliest < self.over_at:
            ends = [outcome.state, "offline"] if hidden and outcome.state == "zombie" else [outcome.state]
            last = self._expect(frozenset(ends), earliest, latest, hidden)
            last.reasons = frozenset() if hidden else outcome.reasons
            yield last

    def alerts(self, back_at: float) -> Iterator[Expected]:
        """The alert of it, open until the host is back."""
        outcome = OUTCOMES[self.fact.kind]
        if not outcome.alerts:
            return
        earliest, latest, hidden = self._window()
        for state in outcome.on_the_way & outcome.alerts:
            earliest = min(earliest, self.rules.on_the_way(self.fact, state) - FORGIVEN)
        if earliest >= self.over_at:
            return
        resolved = None
        if outcome.resolves:
            resolve_by = back_at + self.rules.interval_seconds + SPEAK_SECONDS + self.rules.slack_seconds
            for blackout in self.blackouts:
                if back_at < self.rules.settled(blackout) and resolve_by > blackout.at:
                    resolve_by = max(resolve_by, self.rules.settled(blackout))
            resolved = (back_at, resolve_by)
        kinds = outcome.alerts | (_HIDDEN_ALERTS if hidden else frozenset())
        one = self._expect(kinds, earliest, latest, hidden)
        one.resolved = resolved
        yield one

    def _expect(self, words: frozenset[str], earliest: float, latest: float, hidden: bool) -> Expected:
        kind = self.fact.kind
        fault = f"{self.fact.fault or kind}, back" if kind == "return" else kind
        return Expected(
            self.fact.host, f"{fault} (blackout)" if hidden else fault, words, frozenset(), self.fact.at, earliest,
            latest, self.over_at + SPEAK_SECONDS + self.rules.slack_seconds,
            self.required and latest <= min(self.over_at, self.end),
        )  # fmt: skip
