"""What the system's log tells, line by line: the journal, or the files that a syslog daemon writes.

Several files may have the same line, and the kernel's audit records are in as many as three places: see `agents.roles`.

What the kernel blocked, and containers that die again and again, are told at once and then counted by the minute, by
the lines' own times.
"""

from __future__ import annotations

from datetime import datetime
from typing import Callable, Generic, List, NamedTuple, Optional, Tuple, TypeVar
from uuid import UUID

from agents import audit_lines, container_lines, firewall_lines, linux_lines
from agents.audit_records import parse_message
from agents.floods import Flood, Kind, Scans
from agents.roles import Roles
from agents.rules import Rule
from agents.syslog import Header, Line, cut
from core.ids import uuid7
from core.messages import NO_ADDRESS, Event

WINDOW_SECONDS = 60.0

L = TypeVar("L")


class Judged(NamedTuple):
    """What a line tells. `kind` is what more of the same are counted by, `None` where each is told."""

    event: Event
    kind: Optional[Kind] = None
    blocked: Optional[firewall_lines.Finding] = None


def judge(host: str, make_id: Callable[[], UUID], line: Line, text: str) -> Optional[Judged]:
    """What `line`, whose whole text is `text`, tells by itself; `None` when no rule knows it."""
    record = parse_message(line.program, line.message)
    if record:
        judged = audit_lines.judge(host, make_id, [record], line.at, text)
        return Judged(*judged) if judged else None

    def tell(rule: Rule, address: str = NO_ADDRESS, user: str = NO_ADDRESS) -> Event:
        return Event(make_id(), line.at, host, "LINUX", rule.event_type, rule.severity, cut(text), address, user)

    known = linux_lines.recognise(line.program, line.message)
    if known:
        return Judged(tell(known.rule, known.source_ip, known.user))
    dead = container_lines.recognise(line.program, line.message)
    if dead:
        return Judged(tell(dead.rule), (dead.rule.description, dead.container))
    if line.program == "kernel" and " SRC=" in line.message:
        blocked = firewall_lines.recognise(Header(line.at, line.program, line.message, line.message))
        if blocked and line.program in blocked.rule.programs:
            connection = (blocked.source_ip, blocked.destination, blocked.port)
            return Judged(tell(blocked.rule, blocked.source_ip), connection, blocked)
    return None


class SystemLog(Generic[L]):
    """What the lines of one source tell, one after another: see `agents.progress.Teller`.

    `parse` takes a line apart, and gives its whole text.
    """

    def __init__(
        self, host: str, parse: Callable[[L, datetime], Optional[Tuple[Line, str]]], roles: Roles,
        of_auth_file: bool = False,
    ) -> None:  # fmt: skip
        self._host, self._parse, self._roles, self._of_auth_file = host, parse, roles, of_auth_file
        self._flood, self._scans = Flood(WINDOW_SECONDS, "of other kinds"), Scans()
        self._latest = 0.0  # seconds since 1970: clocks are set back, and what is counted must not come before its time

    @property
    def waits(self) -> bool:
        return self._flood.waits

    def tell(self, raw: L, now: datetime) -> List[Event]:
        parsed = self._parse(raw, now)
        if parsed is None:
            return []
        line, text = parsed
        self._latest = max(self._latest, min(line.at, now).timestamp())
        told = self._flood.due(self._latest)
        is_audit = parse_message(line.program, line.message) is not None
        if is_audit:
            self._roles.see_audit_record(line)
        is_told = self._roles.tells(line, self._of_auth_file, is_audit)
        judged = judge(self._host, uuid7, line, text) if is_told else None
        if judged is None:
            return told
        if judged.kind is None:
            return [*told, judged.event]
        scan = self._scans.see(judged.event, judged.blocked, self._latest) if judged.blocked else None
        return told + self._flood.fold(judged.event, judged.kind, self._latest) + ([scan] if scan else [])

    def due(self, seconds: float) -> Optional[List[Event]]:
        return self._flood.due(seconds) if self._flood.is_due(seconds) else None
