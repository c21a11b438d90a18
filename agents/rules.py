"""Rules: what a line of a log may tell, whichever kind of host wrote it."""

from __future__ import annotations

from typing import Dict, Iterable, List, NamedTuple, Optional, Pattern, Tuple

from core.messages import NO_ADDRESS, EventType, is_address


class Rule(NamedTuple):
    """Lines of `programs` (empty: of any) that `pattern` matches. Its groups `user` and `ip` go into the event."""

    programs: Tuple[str, ...]
    pattern: Pattern[str]
    event_type: EventType
    severity: int
    description: str


class Finding(NamedTuple):
    """What a line tells. `user` and `source_ip` are `N/A` when it names none."""

    rule: Rule
    user: str
    source_ip: str


def by_program(rules: Iterable[Rule]) -> Dict[str, List[Rule]]:
    """The rules of each program, in their order; not those of any."""
    table: Dict[str, List[Rule]] = {}
    for rule in rules:
        for program in rule.programs:
            table.setdefault(program, []).append(rule)
    return table


def clean_address(text: Optional[str]) -> str:
    """The IPv4 or IPv6 address in `text`, without zone or brackets; `N/A` for a host name or nothing."""
    address = (text or "").strip("[]").split("%", 1)[0]
    return address if address and len(address) < 50 and is_address(address) else NO_ADDRESS
