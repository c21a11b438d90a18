"""Detections: what rules have found in the events, kept with how far these were read and what the rules remember."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from core.messages import Alert
from store.database import Database
from store.found_alerts import Finding, Subject, keep_findings
from store.queries import make_event
from store.rows import StoredEvent
from store.tables import cursors, logs, rule_windows
from store.upserts import upsert_rows

_NAME = "detector"


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

    def is_at(self, after: int) -> bool:
        """Whether the row `after` is still the last that was read: where all is deleted, ids begin anew."""
        with self._database.reading() as connection:
            return connection.execute(select(cursors.c.log_id).where(cursors.c.name == _NAME)).scalar() == after

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
            return keep_findings(connection, step.found, step.over, now)


def _keep_windows(connection: Connection, windows: Mapping[Subject, str | None]) -> None:
    gone = [{"of_rule": rule, "of_subject": name} for (rule, name), told in windows.items() if told is None]
    if gone:
        mine = (rule_windows.c.rule == bindparam("of_rule")) & (rule_windows.c.subject == bindparam("of_subject"))
        connection.execute(delete(rule_windows).where(mine), gone)
    rows = [{"rule": rule, "subject": name, "told": told} for (rule, name), told in windows.items() if told is not None]
    if rows:
        upsert_rows(connection, rule_windows, rows)
