"""Detections: what rules have found in the events, kept with how far these were read and what the rules remember."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from core.ids import uuid7
from core.messages import Alert
from store.alerts import add_alerts, make_alert
from store.database import Database, in_chunks
from store.incidents import join_found
from store.queries import make_event
from store.rows import StoredEvent
from store.tables import alerts, cursors, logs, rule_windows
from store.upserts import upsert_rows

_NAME = "detector"


class Subject(NamedTuple):
    """What a rule has found something of, such as an address."""

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


@dataclass
class Step:
    """What came of the events up to the row `log_id`: findings, those that are over, and what is to be remembered.

    `windows` are the rules' memories as JSON, `None` for what they have forgotten.
    """

    log_id: int
    found: list[Finding] = field(default_factory=list)
    over: list[Subject] = field(default_factory=list)
    windows: dict[Subject, str | None] = field(default_factory=dict)


class Detections:
    """Its methods raise `Unavailable`; `now` is the server's clock, in UTC."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin(self) -> int:
        """The last row that was read; before the first time the newest: rules do not look back."""
        query = select(cursors.c.log_id).where(cursors.c.name == _NAME)
        with self._database.writing() as connection:
            self._database.lock(connection, "verdicts")
            known: int | None = connection.execute(query).scalar()
            if known is None:
                known = self._database.newest_id(connection)
                connection.execute(insert(cursors).values(name=_NAME, log_id=known))
        return known

    def read_windows(self) -> dict[Subject, str]:
        """What the rules remember."""
        with self._database.reading() as connection:
            return {Subject(row.rule, row.subject): row.told for row in connection.execute(select(rule_windows))}

    def read_new(self, after: int, limit: int) -> list[StoredEvent]:
        """At most `limit` events behind the row `after`, in the order of their ids. None is passed over: what has
        an id before theirs and is not committed yet is waited for."""
        with self._database.reading() as connection:
            settled = self._database.settled_id(connection)
            if settled <= after:
                return []
            query = select(logs).where(logs.c.id > after, logs.c.id <= settled).order_by(logs.c.id).limit(limit)
            return [make_event(row) for row in connection.execute(query)]

    def advance(self, after: int, step: Step, now: datetime) -> tuple[list[Alert], list[Alert]] | None:
        """Keep what came of the events behind `after`, in one transaction: the alerts opened and those resolved.

        `None` when another has read them meanwhile: nothing is kept then.
        """
        moved = update(cursors).where(cursors.c.name == _NAME, cursors.c.log_id == after).values(log_id=step.log_id)
        with self._database.writing() as connection:
            self._database.lock(connection, "verdicts")
            if connection.execute(moved).rowcount != 1:
                return None
            _keep_windows(connection, step.windows)
            resolved = _resolve(connection, step.over, now)  # what is over may have begun again since
            return _open(connection, step.found, now), resolved


def _keep_windows(connection: Connection, windows: Mapping[Subject, str | None]) -> None:
    gone = [{"of_rule": rule, "of_subject": name} for (rule, name), told in windows.items() if told is None]
    if gone:
        mine = (rule_windows.c.rule == bindparam("of_rule")) & (rule_windows.c.subject == bindparam("of_subject"))
        connection.execute(delete(rule_windows).where(mine), gone)
    rows = [{"rule": rule, "subject": name, "told": told} for (rule, name), told in windows.items() if told is not None]
    if rows:
        upsert_rows(connection, rule_windows, rows)


def _open(connection: Connection, found: Sequence[Finding], now: datetime) -> list[Alert]:
    """Open an alert for each, unless one is open for its subject; what does not last is resolved at once."""
    open_ones = _read_open(connection, [one.subject for one in found])
    taken = {Subject(alert.kind, alert.subject or "") for alert in open_ones}
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
    return [alert for alert in found if Subject(alert.kind, alert.subject or "") in wanted]
