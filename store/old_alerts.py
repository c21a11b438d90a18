"""Old alerts go, with what was told of them: those that were resolved longer ago than is kept. Silences go too."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import delete, select

from store.database import Database
from store.tables import alerts, notices, silences, told

_ALERTS_PER_TRANSACTION = 1_000  # as many parameters as every SQLite takes in one statement


def forget_alerts(database: Database, now: datetime, keep_days: int) -> int:
    """Delete what was over before the last `keep_days` began; how many alerts went. Killed midway, some have gone."""
    before = now - timedelta(days=keep_days)
    gone = 0
    while some := _forget_some(database, before):
        gone += some
    with database.writing() as connection:
        connection.execute(delete(notices).where(notices.c.ended_at < before))
        connection.execute(delete(silences).where(silences.c.until < before))
    return gone


def _forget_some(database: Database, before: datetime) -> int:
    # none is resolved before it is opened, and of that there is an index
    old = (alerts.c.opened_at < before) & (alerts.c.resolved_at < before)
    query = select(alerts.c.id).where(old).order_by(alerts.c.opened_at).limit(_ALERTS_PER_TRANSACTION)
    with database.reading() as connection:
        ids = [*connection.execute(query).scalars()]
    if ids:
        with database.writing() as connection:
            database.lock(connection, "verdicts")
            connection.execute(delete(told).where(told.c.alert_id.in_(ids)))
            connection.execute(delete(alerts).where(alerts.c.id.in_(ids)))
    return len(ids)
