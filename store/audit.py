"""The audit trail: who did what to what, written in the transaction that does it, and never changed."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, insert, select

from store.database import Database
from store.rows import AuditEntry
from store.tables import audit


def record_act(connection: Connection, who: str, action: str, target: str, detail: str, at: datetime) -> None:
    """Add one entry within the caller's transaction. `action` is noun and verb, such as `key.made`."""
    values = {"at": at, "who": who, "action": action, "target": target, "detail": detail}
    connection.execute(insert(audit).values(values))


def read_audit(database: Database, limit: int, before: int | None) -> list[AuditEntry]:
    """The newest `limit` entries with an id below `before` (`None`: all), newest first."""
    entry = audit.c
    query = select(entry.id, entry.at, entry.who, entry.action, entry.target, entry.detail)
    if before is not None:
        query = query.where(entry.id < before)
    with database.reading() as connection:
        rows = connection.execute(query.order_by(entry.id.desc()).limit(limit)).all()
    return [AuditEntry(*row) for row in rows]
