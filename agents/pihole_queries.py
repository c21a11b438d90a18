"""What FTL's numbers say (docs.pi-hole.net, "Query database"), and blocked queries, the repeated ones folded."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Dict, Iterable, Iterator, List, NamedTuple, Optional, Sequence, Tuple
from uuid import UUID

from agents.syslog import cut
from core.clock import rfc3339
from core.messages import NO_ADDRESS, Event, is_address
from core.text import printable

SEVERITY = 2

BLOCKED: Dict[int, str] = {
    1: "the domain is on a list (gravity)",
    4: "the domain matches a regex of the denylist",
    5: "the domain is on the denylist",
    6: "the upstream server answered with the address of a blocking page",
    7: "the upstream server answered 0.0.0.0 or ::",
    8: "the upstream server answered NXDOMAIN without recursion available",
    9: "a CNAME behind the domain is on a list (gravity)",
    10: "a CNAME behind the domain matches a regex of the denylist",
    11: "a CNAME behind the domain is on the denylist",
    15: "the database was busy",
    16: "a special domain (such as Mozilla's canary, or Apple's private relay)",
    18: "the upstream server answered that it blocks (extended DNS error 15)",
}
ALLOWED = frozenset((0, 2, 3, 12, 13, 14, 17))
_TYPES = (
    "A", "AAAA", "ANY", "SRV", "SOA", "PTR", "TXT", "NAPTR", "MX", "DS", "RRSIG", "DNSKEY", "NS", "OTHER", "SVCB",
    "HTTPS",
)  # fmt: skip
_OTHER_TYPES = 100  # is added to the numbers of the types that FTL has no number of its own for

_UNKNOWN = "unknown"
_LONGEST_NAME = 1_024  # in characters: 255 bytes of DNS, each escaped, are fewer
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_YEAR_9999_SECONDS = 253_370_764_800
# what FTL writes for a client that its privacy level hides
_HIDDEN_CLIENTS = ("0.0.0.0", "::")  # noqa: S104 -- nothing listens here


class Query(NamedTuple):
    """One blocked query; `cname` is what blocked it when that was not `domain` itself. Names are printable."""

    id: int
    at: datetime
    type: str
    status: int
    domain: str
    client: str
    cname: str


@dataclass
class Repetition:
    """Blocked queries of one client for one domain, for one reason and within one minute of the clock."""

    first: Query
    last: Query
    since: datetime
    until: datetime
    count: int = 0
    types: List[str] = field(default_factory=list)

    def add(self, query: Query) -> None:
        """Count `query` in."""
        self.last = query
        self.since, self.until = min(self.since, query.at), max(self.until, query.at)
        self.count += 1
        if query.type not in self.types:
            self.types.append(query.type)

    def text(self) -> str:
        """All of it in one line."""
        query = self.first
        when = f"at {rfc3339(self.since)}"
        if self.count > 1:
            when = f"{self.count} times from {rfc3339(self.since)} to {rfc3339(self.until)}"
        why = BLOCKED[query.status] + (f", {query.cname}" if query.cname else "")
        return cut(f"Pi-hole blocked {query.domain} ({', '.join(self.types)}) for {query.client} {when}: {why}")


def parse_status(value: object) -> int:
    """FTL's status; -1 when `value` is no number."""
    return value if isinstance(value, int) else -1


def parse_time(value: object) -> Optional[datetime]:
    """The moment of a Unix time in seconds, in UTC; `None` when `value` is none that an event can have."""
    if not isinstance(value, (int, float)) or not 0 <= value < _YEAR_9999_SECONDS:
        return None
    return _EPOCH + timedelta(seconds=value)


def parse_blocked(row: Sequence[object]) -> Optional[Query]:
    """The blocked query of a row (`COLUMNS` of `agents.pihole_database`); `None` when it is none, or has no time."""
    number, time, kind, status, domain, client, info = row
    at = parse_time(time)
    if parse_status(status) not in BLOCKED or at is None or not isinstance(number, int):
        return None
    # FTL says more in this column for other statuses, and may for any
    cname = _name(info) if status in (9, 10, 11) and info is not None else ""
    return Query(number, at, _type_name(kind), parse_status(status), _name(domain), _name(client), cname)


def fold(queries: Iterable[Query]) -> Iterator[Repetition]:
    """`queries` with the repeated ones together, in the order of their first.

    Minutes are the clock's, so that the same rows fold in the same way wherever reading began.
    """
    minute: Optional[datetime] = None
    found: Dict[Tuple[str, str, int], Repetition] = {}
    for query in queries:
        now = query.at.replace(second=0, microsecond=0)
        if now != minute:
            yield from found.values()
            minute, found = now, {}
        key = (query.client, query.domain, query.status)
        if key not in found:
            found[key] = Repetition(query, query, query.at, query.at)
        found[key].add(query)
    yield from found.values()


def make_event(host: str, event_id: UUID, repetition: Repetition) -> Event:
    """The event that `repetition` is; its time is that of the first query."""
    client = repetition.first.client.partition("%")[0]
    address = client if is_address(client) and client not in _HIDDEN_CLIENTS else NO_ADDRESS
    return Event(event_id, repetition.since, host, "PIHOLE", "DNS_BLOCK", SEVERITY, repetition.text(), address)


def _type_name(value: object) -> str:
    if not isinstance(value, int):
        return _UNKNOWN
    if 1 <= value <= len(_TYPES):
        return _TYPES[value - 1]
    return f"TYPE{value - _OTHER_TYPES}" if value >= _OTHER_TYPES else _UNKNOWN


def _name(value: object) -> str:
    """A name as it may stand in a line, whatever lies in the column."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    return printable(value, _LONGEST_NAME) if value not in (None, "") else _UNKNOWN
