"""The messages: JSON objects in UTF-8, as standard-library dataclasses.

Services decode them with msgspec straight into these classes; agents write them with `encode`.
Unknown fields are ignored, so that old and new versions can talk.
"""

from __future__ import annotations

import dataclasses
import json
import socket
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any, Dict, List, Literal, Optional, Tuple, Union, get_args
from uuid import UUID

from core.clock import rfc3339
from core.errors import Invalid

OsType = Literal["WINDOWS", "LINUX", "MACOS", "PIHOLE", "FIREWALL"]
EventType = Literal[
    "LOGIN_FAIL", "LOGIN_SUCCESS", "SUDO_ESCALATION", "DNS_BLOCK", "CRITICAL_ERROR", "ACCOUNT_CREATE",
    "ACCOUNT_DELETE", "GROUP_ADD", "SERVICE_INSTALL", "LOG_TAMPERING", "CONNECTION_BLOCKED", "PORT_SCAN",
    "PROCESS_EXEC", "WEB_ATTACK", "SYSTEM_ALERT",
]  # fmt: skip
State = Literal["online", "offline", "away"]
Reason = Literal["start", "stop", "reboot", "shutdown", "upgrade", "lost"]
AlertState = Literal["open", "resolved"]
VerdictState = Literal["new", "online", "late", "zombie", "offline", "missing", "away", "overdue"]

# kinds of alerts beside the names of rules: that a host is gone, and what else is found of one
MISSED = frozenset({"crashed", "silent", "zombie", "overdue"})
CLONE, SCORE, SIGMA = "clone", "score", "sigma"
FORGOTTEN = "; the host was forgotten"  # how the text of an alert ends that ended so

OS_TYPES: Tuple[str, ...] = get_args(OsType)
EVENT_TYPES: Tuple[str, ...] = get_args(EventType)

NO_ADDRESS = "N/A"
MAX_ADDRESS_LENGTH = 45  # in characters, such as ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255
MAX_EVENTS_PER_MESSAGE = 1_000
MAX_MESSAGE_BYTES = 1_048_576
DEFAULT_INTERVAL_SECONDS = 60
SIGN_OF_LIFE_SECONDS = 2.0  # between two that a service gives
# ten years. A broker counts an expiry down (MQTT 5, section 3.3.2.3.3), so what is left of it tells when a retained
# status was published, or a will was sent, without anybody's clock
STATUS_EXPIRY_SECONDS = 315_360_000
CONTENT_TYPE = "application/json"


@dataclass
class Event:
    """One security event. `timestamp` says when it happened, by the agent's clock, in UTC."""

    event_id: UUID
    timestamp: datetime
    source_host: str
    os_type: OsType
    event_type: EventType
    severity: int
    raw_message: str
    source_ip: str = NO_ADDRESS
    user: str = NO_ADDRESS


@dataclass
class Heartbeat:
    """A sign of life. `interval_s` is the agent's own, in seconds; `spool` counts events waiting on it."""

    os_type: OsType
    sent_at: Optional[datetime] = None
    seq: Optional[int] = None
    boot: Optional[str] = None
    interval_s: float = DEFAULT_INTERVAL_SECONDS
    spool: Optional[int] = None


@dataclass
class Status:
    """State of a session. `session` is the same in a birth and its will; `back_by` belongs to `away`."""

    state: State
    session: str
    at: datetime
    reason: Reason
    back_by: Optional[datetime] = None


@dataclass
class Distribution:
    """Values by size: how many lay in each bucket, the last of which has no upper end, and their sum."""

    counts: List[int]
    sum: float


@dataclass
class ServiceStatus(Status):
    """A service's sign of life: `parts` names what it stands on, each with `ok` or what is wrong.

    `metrics` are those that `core.metrics` names.
    """

    parts: Dict[str, str] = field(default_factory=dict)
    metrics: Dict[str, Union[float, Distribution]] = field(default_factory=dict)


@dataclass
class Info:
    """What a host says of itself at connect."""

    os_type: OsType
    version: str
    os_release: str = ""
    architecture: str = ""
    interval_s: float = DEFAULT_INTERVAL_SECONDS
    tags: List[str] = field(default_factory=list)
    boot: str = ""
    machine_id: str = ""


@dataclass
class Verdict:
    """What a host is held to be, since when by the server's clock, and why.

    `back_by` belongs to `away` and `overdue`: when the host is to be back, by the server's clock.
    """

    state: VerdictState
    since: datetime
    reason: str
    back_by: Optional[datetime] = None


@dataclass
class Alert:
    """Something that somebody should know. `since` is when it began, `opened_at` when it was known; UTC.

    `kind` is crashed, silent, zombie, overdue or clone, with `source_host`, the host that is missed; or the name of the
    rule that found it in the events, with its `subject`, such as an address, and its `severity`. `incident` is that
    of all alerts that were opened together. `acked_by` is who has seen to it, since `acked_at`.
    """

    id: str
    kind: str
    state: AlertState
    since: datetime
    opened_at: datetime
    text: str
    source_host: Optional[str] = None
    resolved_at: Optional[datetime] = None
    incident: str = ""
    subject: Optional[str] = None
    severity: Optional[int] = None
    acked_at: Optional[datetime] = None
    acked_by: Optional[str] = None


@dataclass
class DeadNotice:
    """What `heimdall/v1/dead` tells of a refused message: never its payload. `size` is in bytes."""

    topic: str
    reason: str
    size: int


def _jsonable(value: Any) -> Any:
    if isinstance(value, datetime):
        return rfc3339(value)
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, Distribution):
        return dataclasses.asdict(value)
    raise TypeError(f"{type(value).__name__} is not part of any message")


# made once: json.dumps would make one for each message
_ENCODER = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, default=_jsonable)


@lru_cache(maxsize=None)
def _names(kind: Any) -> Tuple[str, ...]:
    return tuple(one.name for one in dataclasses.fields(kind))


def encode(message: Any) -> bytes:
    """A message (a dataclass of this module) as compact UTF-8 JSON; fields that are `None` are left out."""
    values = {name: getattr(message, name) for name in _names(message.__class__)}
    return _ENCODER.encode({name: value for name, value in values.items() if value is not None}).encode()


def is_address(text: str) -> bool:
    """Whether `text` is an IPv4 or IPv6 address, without zone, port or mask."""
    # what is longer is none, and must not fill the memory of those that were seen
    return len(text) <= MAX_ADDRESS_LENGTH and _is_address(text)


@lru_cache(maxsize=65_536)
def _is_address(text: str) -> bool:
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, text)
        except (OSError, ValueError, UnicodeEncodeError):
            continue
        return True
    return False


def check_os_type(value: object, key: str = "os_type") -> OsType:
    """`value` when it is one of `OS_TYPES`. Raises `Invalid`, naming `key` and what would fit."""
    if isinstance(value, str) and value in OS_TYPES:
        return value  # type: ignore[return-value]
    raise Invalid(f"{key} {value!r:.60} is unknown: use one of {', '.join(OS_TYPES)}")


def check_event(event: Event, host: str | None = None) -> None:
    """What types alone do not say of an event: ranges, addresses, text that every database takes.

    `host` is the host whose topic the event came on; `None` skips that comparison.

    Raises `Invalid`, naming key and value.
    """
    if host is not None and event.source_host != host:
        raise Invalid(f"source_host {event.source_host!r:.80} is not the host of the topic, {host!r}")
    if not 1 <= event.severity <= 5:
        raise Invalid(f"severity {event.severity!r:.40} is outside 1 to 5")
    if event.source_ip != NO_ADDRESS and not is_address(event.source_ip):
        raise Invalid(f"source_ip {event.source_ip!r:.60} is neither an IP address nor {NO_ADDRESS}")
    for key, text in (("raw_message", event.raw_message), ("user", event.user)):
        if "\0" in text:
            raise Invalid(f"{key} holds a NUL character, which PostgreSQL cannot store")
    if event.timestamp.tzinfo is None:
        raise Invalid("timestamp has no offset: use RFC 3339 in UTC, such as 2025-12-03T20:49:50.123456Z")
    # the calendar's ends cannot be moved to UTC
    if not 1970 <= event.timestamp.year <= 9998:
        raise Invalid(f"timestamp is of the year {event.timestamp.year}: 1970 to 9998 can be kept")
