"""The store: tables, queries and migrations, the same for SQLite and PostgreSQL."""

from store.database import Unstorable
from store.rows import Beat, DeadLetter, EventFilter, Host, HostStatus, Key, StoredEvent, WriteBatch, Written
from store.store import Store, open_store

__all__ = [
    "Beat",
    "DeadLetter",
    "EventFilter",
    "Host",
    "HostStatus",
    "Key",
    "Store",
    "StoredEvent",
    "Unstorable",
    "WriteBatch",
    "Written",
    "open_store",
]
