"""The comparison of what was expected with what was said. Pure; times are seconds of one monotonic clock.

Missed is what was expected and not said, false what was said and not expected, late what was said after its latest
moment, doubled a second alert of one outage.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from heimdall.sim.ledger import Expectations, Expected
from heimdall.sim.observer import BEFORE, Said, SaidAlert

# above so many open ones a judge retains incidents alone
ONE_BY_ONE = 1_000


@dataclass(frozen=True)
class Finding:
    """Something that was not said as it should have been. `at` is when, or when it should have been."""

    host: str
    fault: str
    text: str
    at: float


@dataclass
class Comparison:
    """What came of it. `delays` are seconds from a fault to what was said of it, by fault."""

    missed: list[Finding] = field(default_factory=list)
    false: list[Finding] = field(default_factory=list)
    late: list[Finding] = field(default_factory=list)
    doubled: list[Finding] = field(default_factory=list)
    delays: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    incidents: int = 0

    @property
    def flawless(self) -> bool:
        """Whether nothing was missed, false, late or doubled."""
        return not (self.missed or self.false or self.late or self.doubled)


def compare(expected: Expectations, said: Iterable[Said], alerts: Iterable[SaidAlert], end: float) -> Comparison:
    """What of `expected` was said until `end`, and what else was."""
    found = Comparison()
    verdicts: dict[str, list[Said]] = defaultdict(list)
    for one in said:
        verdicts[one.host].append(one)
    for host in {**expected.verdicts, **verdicts}:
        _compare_verdicts(found, expected.verdicts.get(host, ()), verdicts.get(host, ()))
    incidents: list[SaidAlert] = []
    of_host: dict[str, list[SaidAlert]] = defaultdict(list)
    for alert in alerts:
        (incidents if alert.host is None else of_host[alert.host]).append(alert)
    found.incidents = len(incidents)
    flood = _Flood(expected, incidents)
    for host in {**expected.alerts, **of_host}:
        _compare_alerts(found, expected.alerts.get(host, ()), of_host.get(host, ()), flood, end)
    for findings in (found.missed, found.false, found.late, found.doubled):
        findings.sort(key=lambda finding: finding.at)
    return found


def _fits(one: Expected, word: str, reason: str, at: float) -> bool:
    if word not in one.words or (one.reasons and reason not in one.reasons):
        return False
    return one.earliest <= at <= one.closes


def _compare_verdicts(found: Comparison, expected: Sequence[Expected], said: Sequence[Said]) -> None:
    open_ones = list(expected)
    for verdict in said:
        if verdict.at == BEFORE:
            continue
        one = next((one for one in open_ones if _fits(one, verdict.state, verdict.reason, verdict.at)), None)
        text = f"verdict {verdict.state} {verdict.reason}".strip()
        if one is None:
            found.false.append(Finding(verdict.host, "", text, verdict.at))
            continue
        open_ones.remove(one)
        _note_delay(found, one, verdict.at, one.fault, text)
    for one in open_ones:
        if one.required and not _holds(one, said):
            words = f"verdict {'/'.join(sorted(one.words))} {'/'.join(sorted(one.reasons))}".strip()
            found.missed.append(Finding(one.host, one.fault, words, one.latest))


def _holds(one: Expected, said: Sequence[Said]) -> bool:
    """Whether the judge held it to be so anyway, for it had not noticed what came before."""
    held = next((verdict for verdict in reversed(said) if verdict.at <= one.latest), None)
    return held is not None and held.state in one.words and held.at < one.began


def _note_delay(found: Comparison, one: Expected, at: float, label: str, text: str) -> None:
    if not one.required:
        return
    found.delays[label].append(at - one.began)
    if at > one.latest:
        found.late.append(Finding(one.host, one.fault, f"{text}, {at - one.latest:.2f} s late", at))


def _compare_alerts(
    found: Comparison, expected: Sequence[Expected], said: Sequence[SaidAlert], flood: _Flood, end: float
) -> None:
    open_ones = list(expected)
    met: list[Expected] = []
    for alert in said:
        host, text = str(alert.host), f"alert {alert.kind}"
        one = next((one for one in open_ones if _fits(one, alert.kind, "", alert.opened_at)), None)
        if one is None:
            again = next((one for one in met if one.earliest <= alert.opened_at <= one.closes), None)
            place = found.false if again is None else found.doubled
            place.append(Finding(host, again.fault if again else "", text, alert.opened_at))
            continue
        open_ones.remove(one)
        met.append(one)
        _note_delay(found, one, alert.opened_at, f"{one.fault}, alert", text)
        _compare_resolved(found, one, alert, end)
    for one in open_ones:
        if one.required and not flood.hides(one):
            found.missed.append(Finding(one.host, one.fault, f"alert {'/'.join(sorted(one.words))}", one.latest))


def _compare_resolved(found: Comparison, one: Expected, alert: SaidAlert, end: float) -> None:
    if one.resolved is None:
        return
    earliest, latest = one.resolved
    text = f"alert {alert.kind} resolved"
    if alert.resolved_at is None:
        if latest <= end:
            found.missed.append(Finding(one.host, one.fault, text, latest))
    elif alert.resolved_at < earliest:
        found.false.append(Finding(one.host, one.fault, f"{text}, though it lasts", alert.resolved_at))
    elif alert.resolved_at > latest:
        late = alert.resolved_at - latest
        found.late.append(Finding(one.host, one.fault, f"{text}, {late:.2f} s late", alert.resolved_at))


class _Flood:
    """So many alerts at once that the judge tells of their incident alone."""

    def __init__(self, expected: Expectations, incidents: Sequence[SaidAlert]) -> None:
        every = [one for ones in expected.alerts.values() for one in ones if one.required]
        self._begins = sorted(one.began for one in every)
        self._ends = sorted(one.resolved[0] if one.resolved else one.closes for one in every)
        self._incidents = incidents

    def hides(self, one: Expected) -> bool:
        """Whether `one` need not be told of by itself."""
        open_ones = bisect_right(self._begins, one.latest) - bisect_left(self._ends, one.began)
        told = any(
            incident.opened_at <= one.latest and (incident.resolved_at or one.latest) >= one.began
            for incident in self._incidents
        )
        return told and open_ones > ONE_BY_ONE
