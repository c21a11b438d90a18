"""Findings: what was found of a subject is one alert, until it is over. Whoever finds: rules, scores, clones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, select, update

from core.ids import uuid7
from core.messages import Alert
from store.alerts import add_alerts, make_alert
from store.database import Database, in_chunks
from store.incidents import join_found
from store.tables import alerts


class Subject(NamedTuple):
    """What a rule, or another kind of alert, has found something of, such as an address or a host."""

    rule: str
    name: str


@dataclass(frozen=True)
class Finding:
    """What a rule has found: `since` when it began, `text` what it is. It `lasts` until it is over, or is told once."""

    subject: Subject
    source_host: str | None
    severity: int
    text: str
    since: datetime
    lasts: bool


def record_findings(
    database: Database, found: Sequence[Finding], over: Sequence[Subject], now: datetime
) -> tuple[list[Alert], list[Alert]]:
    """The alerts that are opened and those that are resolved by it, in one transaction."""
    with database.writing() as connection:
        database.lock(connection, "verdicts")
        return keep_findings(connection, found, over, now)


def keep_findings(
    connection: Connection, found: Sequence[Finding], over: Sequence[Subject], now: datetime
) -> tuple[list[Alert], list[Alert]]:
    """The same in a transaction that holds the lock; what is over may have been found again since."""
    resolved = _resolve(connection, over, now)
    return _open(connection, found, now), resolved


def _open(connection: Connection, found: Sequence[Finding], now: datetime) -> list[Alert]:
    """Open an alert for each, unless one is open for its subject; what does not last is resolved at once."""
    open_ones = _read_open(connection, [one.subject for one in found])
    taken = {_subject(alert) for alert in open_ones}
    new: list[Alert] = []
    for one in found:
        if one.subject in taken:
            continue
        if one.lasts:
            taken.add(one.subject)
        new.append(
            Alert(
                str(uuid7()), one.subject.rule, "open" if one.lasts else "resolved", one.since, now, one.text,
                one.source_host, None if one.lasts else now, subject=one.subject.name, severity=one.severity,
            )
        )  # fmt: skip
    if not new:
        return []
    opened = join_found(connection, new, now)
    add_alerts(connection, opened)
    return opened


def _resolve(connection: Connection, over: Sequence[Subject], now: datetime) -> list[Alert]:
    found = _read_open(connection, over)
    for chunk in in_chunks([alert.id for alert in found]):
        connection.execute(update(alerts).where(alerts.c.id.in_(chunk)).values(resolved_at=now))
    return [replace(alert, state="resolved", resolved_at=now) for alert in found]


def _read_open(connection: Connection, subjects: Sequence[Subject]) -> list[Alert]:
    """The alerts that are open for these."""
    wanted = set(subjects)
    found: list[Alert] = []
    for chunk in in_chunks(sorted({one.rule for one in wanted})):
        query = select(alerts).where(alerts.c.resolved_at.is_(None), alerts.c.kind.in_(chunk))
        found += map(make_alert, connection.execute(query))
    return [alert for alert in found if _subject(alert) in wanted]


def _subject(alert: Alert) -> Subject:
    # that of a clone was its host before alerts had subjects
    return Subject(alert.kind, alert.subject or alert.source_host or "")
