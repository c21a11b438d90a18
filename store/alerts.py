"""Alerts: opened and resolved by verdicts, in the transaction of the transition."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, insert, select, update

from core.errors import Conflict
from core.ids import uuid7
from core.messages import MISSED, Alert, AlertState, VerdictState
from store.audit import record_act
from store.database import Database, in_chunks
from store.incidents import join_incidents
from store.outages import cause_of
from store.rows import HeldVerdict
from store.tables import alerts

# a host that was crashed and is then stopped has not come back
_BACK: frozenset[VerdictState] = frozenset({"online", "late", "away"})
# who says goodbye is not missed
_WORDS = {
    "crashed": "offline: its connection broke and did not come back",
    "silent": "offline: nothing is heard of it",
    "zombie": "connected, but gives no heartbeat",
    "overdue": "not back at the time that it had announced",
}
_OPEN = select(alerts).where(alerts.c.resolved_at.is_(None))


def keep_alerts(connection: Connection, won: Sequence[HeldVerdict], now: datetime) -> tuple[list[Alert], list[Alert]]:
    """Open and resolve what the verdicts in `won` make necessary: at most one is open for a host's being gone."""
    asked = _OPEN.where(alerts.c.source_host.in_([one.source_host for one in won]), alerts.c.kind.in_(MISSED))
    known = {alert.source_host: alert for alert in map(make_alert, connection.execute(asked))}
    missed = [
        Alert(str(uuid7()), cause_of(one), "open", one.since, now, _describe(one), one.source_host)
        for one in won
        if cause_of(one) in MISSED and one.source_host not in known
    ]
    opened = join_incidents(connection, missed, now)
    resolved = [
        replace(known[one.source_host], state="resolved", resolved_at=now)
        for one in won
        if one.state in _BACK and one.source_host in known
    ]
    if opened:
        add_alerts(connection, opened)
    if resolved:
        ids = [one.id for one in resolved]
        connection.execute(update(alerts).where(alerts.c.id.in_(ids)).values(resolved_at=now))
    return opened, resolved


def add_alerts(connection: Connection, opened: Sequence[Alert]) -> None:
    """Keep alerts that are new."""
    connection.execute(insert(alerts), [*map(_row, opened)])


def ack_alert(database: Database, alert_id: str, who: str, now: datetime) -> Alert | None:
    """Note that `who` has seen to an alert, unless somebody has before; `None` when there is none with this id.

    Raises `Conflict` when it is resolved.
    """
    with database.writing() as connection:
        database.lock(connection, "verdicts")
        found = connection.execute(select(alerts).where(alerts.c.id == alert_id)).first()
        if found is None:
            return None
        alert = make_alert(found)
        if alert.state == "resolved":
            raise Conflict(f"alert {alert.id} is resolved: there is nothing left to see to")
        if alert.acked_at is not None:
            return alert
        connection.execute(update(alerts).where(alerts.c.id == alert_id).values(acked_at=now, acked_by=who))
        record_act(connection, who, "alert.acked", alert_id, alert.text, now)
    return replace(alert, acked_at=now, acked_by=who)


def _row(alert: Alert) -> dict[str, Any]:
    return {column.name: getattr(alert, column.name) for column in alerts.c}


def _describe(one: HeldVerdict) -> str:
    return f"{one.source_host} is {_WORDS[cause_of(one)]}"


def make_alert(row: Row[Any]) -> Alert:
    """The alert of a row of `alerts`."""
    state: AlertState = "open" if row.resolved_at is None else "resolved"
    return Alert(
        row.id, row.kind, state, row.since, row.opened_at, row.text, row.source_host, row.resolved_at,
        incident=row.incident or row.id, subject=row.subject, severity=row.severity, acked_at=row.acked_at,
        acked_by=row.acked_by,
    )  # fmt: skip


def read_open_alerts(database: Database) -> list[Alert]:
    """The alerts that are open, in the order in which they were opened."""
    with database.reading() as connection:
        return [*map(make_alert, connection.execute(_OPEN.order_by(alerts.c.id)))]


def find_alerts(database: Database, ids: Sequence[str]) -> list[Alert]:
    """Those of these ids that there are, in the order in which they were opened."""
    found: list[Alert] = []
    with database.reading() as connection:
        for chunk in in_chunks(sorted(ids)):
            query = select(alerts).where(alerts.c.id.in_(chunk)).order_by(alerts.c.id)
            found += map(make_alert, connection.execute(query))
    return found


def read_missed(database: Database, hosts: Sequence[str], since: datetime) -> list[Alert]:
    """The alerts that say of one of `hosts` that it is gone, those that are open and those resolved after `since`."""
    lately = alerts.c.resolved_at.is_(None) | (alerts.c.resolved_at > since)
    found: list[Alert] = []
    with database.reading() as connection:
        for chunk in in_chunks(hosts):
            query = select(alerts).where(alerts.c.source_host.in_(chunk), alerts.c.kind.in_(MISSED), lately)
            found += map(make_alert, connection.execute(query.order_by(alerts.c.id)))
    return found


def read_alerts(
    database: Database, limit: int, state: str | None = None, before: str | None = None, incident: str | None = None
) -> list[Alert]:
    """A page of alerts, last opened first: those with an id before `before`, of one `state`, of one `incident`."""
    query: Select[Any] = select(alerts).order_by(alerts.c.id.desc()).limit(limit)
    if incident is not None:
        # one that was opened before there were incidents is one by itself
        alone = (alerts.c.id == incident) & alerts.c.incident.is_(None)
        query = query.where((alerts.c.incident == incident) | alone)
    if state is not None:
        query = query.where(alerts.c.resolved_at.is_(None) if state == "open" else alerts.c.resolved_at.is_not(None))
    if before is not None:
        query = query.where(alerts.c.id < before)
    with database.reading() as connection:
        return [*map(make_alert, connection.execute(query))]
