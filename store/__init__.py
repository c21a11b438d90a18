"""The store: tables, queries and migrations, the same for SQLite and PostgreSQL."""

from store.database import Unstorable
from store.enrolment import EnrolledHosts
from store.findings import FoundPattern, FoundScore
from store.renewal import NewSecret, Visit
from store.rows import (
    AuditEntry,
    Beat,
    BeatFigures,
    BeatHour,
    Claims,
    DeadLetter,
    EventFilter,
    HeldVerdict,
    Host,
    HostStatus,
    Key,
    KeyRow,
    KnownHost,
    Order,
    Outage,
    Signal,
    StoredEvent,
    WriteBatch,
    Written,
)
from store.store import Store, open_store

__all__ = [
    "AuditEntry",
    "Beat",
    "BeatFigures",
    "BeatHour",
    "Claims",
    "DeadLetter",
    "EnrolledHosts",
    "EventFilter",
    "FoundPattern",
    "FoundScore",
    "HeldVerdict",
    "Host",
    "HostStatus",
    "Key",
    "KeyRow",
    "KnownHost",
    "NewSecret",
    "Order",
    "Outage",
    "Signal",
    "Store",
    "StoredEvent",
    "Unstorable",
    "Visit",
    "WriteBatch",
    "Written",
    "open_store",
]
