"""What many lines together tell: a flood of events that are alike, kept as few; and a port scan.

Both hold a bounded state. Seconds are of a clock that only goes forwards: of the moment when a line is read where lines
come once, of the lines' own times where they can be read again and must then tell the same.
"""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from typing import Dict, List, NamedTuple, Optional, Tuple, TypeVar

from agents.firewall_lines import Finding
from agents.syslog import cut
from core.ids import uuid7
from core.messages import NO_ADDRESS, Event

WINDOW_SECONDS = 10.0
KINDS_PER_WINDOW = 1_000
SCAN_PORTS = 15
SCAN_SECONDS = 60.0
QUIET_SECONDS = 300.0
PAIRS_WATCHED = 4_096
PRIVILEGED_PORTS = 1_024

Kind = Tuple[str, ...]
K = TypeVar("K")
V = TypeVar("V")


class _Repeated(NamedTuple):
    """How many more there were, and the event of the last."""

    times: int
    last: Event


class Flood:
    """Folds events of the same `kind`: the first is told at once, the others are counted and are one event more when
    their window of `window_seconds` ends.

    A window begins with the first event behind the last window's end. What waits for its end are counts, never a first
    event. Of `KINDS_PER_WINDOW` kinds (by forged addresses, say) each has its own events; what comes besides is
    counted in one, which is said to be of `besides`.
    """

    def __init__(self, window_seconds: float = WINDOW_SECONDS, besides: str = "of other connections") -> None:
        self._window_seconds, self._besides_are = window_seconds, besides
        self._begun = 0.0
        self._kinds: Dict[Kind, Optional[_Repeated]] = {}
        self._besides: Optional[_Repeated] = None

    def fold(self, event: Event, kind: Kind, now: float) -> List[Event]:
        """What of `event` is to be kept at once."""
        if not self._kinds:
            self._begun = now
        if kind in self._kinds:
            self._kinds[kind] = _count(self._kinds[kind], event)
        elif len(self._kinds) < KINDS_PER_WINDOW:
            self._kinds[kind] = None
            return [event]
        else:
            self._besides = _count(self._besides, event)
        return []

    @property
    def waits(self) -> bool:
        """Whether a window is open, so that what comes next may be told otherwise than if it were not."""
        return bool(self._kinds)

    def is_due(self, now: float) -> bool:
        """Whether the window has ended."""
        return self.waits and now - self._begun >= self._window_seconds

    def due(self, now: float) -> List[Event]:
        """The events of what was counted, when the window has ended."""
        if not self.is_due(now):
            return []
        told = [self._tell(repeated, "like this") for repeated in self._kinds.values() if repeated]
        if self._besides:
            last = dataclasses.replace(self._besides.last, source_ip=NO_ADDRESS)
            told.append(self._tell(_Repeated(self._besides.times, last), f"{self._besides_are}, the last of them"))
        self._kinds, self._besides = {}, None
        return told

    def _tell(self, repeated: _Repeated, what: str) -> Event:
        text = f"[{repeated.times} more within {self._window_seconds:.0f} s {what}] {repeated.last.raw_message}"
        return dataclasses.replace(repeated.last, raw_message=cut(text))


def _count(before: Optional[_Repeated], event: Event) -> _Repeated:
    return _Repeated(before.times + 1 if before else 1, event)


class Scans:
    """Sees port scans: `SCAN_PORTS` ports of one destination, blocked for one source within `SCAN_SECONDS`.

    One event, then the source is quiet for `QUIET_SECONDS`. `PAIRS_WATCHED` pairs of source and destination are
    watched, the ones seen last: under a flood from more forged addresses than that a scan may go unseen.
    """

    def __init__(self) -> None:
        self._ports: OrderedDict[Tuple[str, str], Dict[str, float]] = OrderedDict()
        self._quiet_until: OrderedDict[str, float] = OrderedDict()

    def see(self, event: Event, finding: Finding, now: float) -> Optional[Event]:
        """The event of the scan that the blocked connection `event` completes."""
        source = finding.source_ip
        if source == NO_ADDRESS or not finding.port or _is_late_answer(finding):
            return None
        if self._quiet_until.get(source, now) > now:
            return None
        ports = self._ports.pop((source, finding.destination), {})
        ports = {port: at for port, at in ports.items() if now - at < SCAN_SECONDS}
        ports[finding.port] = now
        if len(ports) < SCAN_PORTS:
            _keep(self._ports, (source, finding.destination), ports)
            return None
        self._quiet_until.pop(source, None)
        _keep(self._quiet_until, source, now + QUIET_SECONDS)
        seconds = now - min(ports.values())
        text = (
            f"[{len(ports)} ports of {finding.destination or 'one host'} within {seconds:.0f} s: "
            f"{', '.join(ports)}] {event.raw_message}"
        )
        return dataclasses.replace(event, event_id=uuid7(), event_type="PORT_SCAN", severity=3, raw_message=cut(text))


def _is_late_answer(finding: Finding) -> bool:
    """Whether a server answers a connection that the firewall has forgotten: one to many ports of its client's."""
    return _number(finding.source_port) < PRIVILEGED_PORTS <= _number(finding.port)


def _number(port: str) -> int:
    # a service may be written by its name
    return int(port) if port.isascii() and port.isdigit() else PRIVILEGED_PORTS


def _keep(state: OrderedDict[K, V], key: K, value: V) -> None:
    state[key] = value
    if len(state) > PAIRS_WATCHED:
        state.popitem(last=False)
