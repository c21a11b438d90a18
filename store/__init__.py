"""The store: tables, queries and migrations, the same for SQLite and PostgreSQL."""

from store.database import Unstorable
from store.enrolment import EnrolledHosts
from store.findings import FoundPattern, FoundScore
from store.host_list import CONDITIONS, Condition
from store.host_pages import SORTS, HostFilter, HostPage, Place, Sort
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
    "CONDITIONS",
    "SORTS",
    "AuditEntry",
    "Beat",
    "BeatFigures",
    "BeatHour",
    "Claims",
    "Condition",
    "DeadLetter",
    "EnrolledHosts",
    "EventFilter",
    "FoundPattern",
    "FoundScore",
    "HeldVerdict",
    "Host",
    "HostFilter",
    "HostPage",
    "Key",
    "KeyRow",
    "KnownHost",
    "NewSecret",
    "Order",
    "Outage",
    "Place",
    "Signal",
    "Sort",
    "Store",
    "StoredEvent",
    "Unstorable",
    "Visit",
    "WriteBatch",
    "Written",
    "open_store",
]
