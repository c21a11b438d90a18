"""Silences and maintenance: of which hosts people are not told for a while, and who said so."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, func, insert, select, update

from core.clock import rfc3339
from core.errors import Invalid
from core.ids import uuid7
from core.topics import check_pattern
from store.audit import record_act
from store.database import Database
from store.tables import silences

MOST_PATTERNS = 100
LONGEST_REASON = 500
LONGEST = timedelta(days=365)  # that one lasts, and that maintenance is announced before
_KIND_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-")


@dataclass(frozen=True)
class Silence:
    """From `begins_at` until `until`, or before that `ended_at`, nothing new is told of hosts that fit `hosts`.

    `hosts` are patterns such as `web-*`; `kinds` are those of the alerts, `None` for all. `maintenance` is one that was
    announced. Times are UTC.
    """

    hosts: Sequence[str]
    begins_at: datetime
    until: datetime
    maintenance: bool = False
    kinds: Sequence[str] | None = None
    reason: str = ""
    id: str = ""
    made_by: str = ""
    made_at: datetime | None = None
    ended_at: datetime | None = None

    @property
    def over_at(self) -> datetime:
        """When it is over, or was."""
        return self.until if self.ended_at is None else min(self.until, self.ended_at)


class Silences:
    """All of them. The methods raise `Unavailable`; `now` is the server's clock, in UTC."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, silence: Silence, who: str, now: datetime) -> Silence:
        """Keep a new one, said by `who`. Raises `Invalid` for what does not fit, or is over already."""
        _check(silence, now)
        made = replace(silence, id=str(uuid7()), made_by=who, made_at=now, ended_at=None)
        detail = f"until {rfc3339(made.until)}"
        if made.maintenance:
            detail = f"from {rfc3339(made.begins_at)} {detail}"
        if made.kinds is not None:
            detail += f", {' '.join(made.kinds)}"
        with self._database.writing() as connection:
            connection.execute(insert(silences).values(_values(made)))
            told = f"{detail}: {made.reason}" if made.reason else detail
            record_act(connection, who, f"{_noun(made.maintenance)}.made", " ".join(made.hosts), told, now)
        return made

    def end(self, silence_id: str, maintenance: bool, who: str, now: datetime) -> Silence | None:
        """End one before its time; one that is over stays as it is. `None` when there is none with this id."""
        mine = (silences.c.id == silence_id) & (silences.c.maintenance == int(maintenance))
        with self._database.writing() as connection:
            # of two that end it one is first: the row is locked by what is written
            ending = mine & silences.c.ended_at.is_(None) & (silences.c.until > now)
            ended = connection.execute(update(silences).where(ending).values(ended_at=now)).rowcount
            found = connection.execute(select(silences).where(mine)).first()
            if found is None:
                return None
            one = _make(found)
            if ended:
                record_act(connection, who, f"{_noun(maintenance)}.ended", " ".join(one.hosts), one.id, now)
        return one

    def read(self, maintenance: bool, now: datetime) -> list[Silence]:
        """Those that are not over, in the order in which they were said."""
        return self._read(now, silences.c.maintenance == int(maintenance))

    def read_since(self, moment: datetime) -> list[Silence]:
        """Silences and maintenance that were not over by `moment`, those that have not begun among them."""
        return self._read(moment)

    def _read(self, moment: datetime, *more: Any) -> list[Silence]:
        over_at = func.coalesce(silences.c.ended_at, silences.c.until)
        query = select(silences).where(silences.c.until > moment, over_at > moment, *more).order_by(silences.c.id)
        with self._database.reading() as connection:
            return [*map(_make, connection.execute(query))]


def _noun(maintenance: bool) -> str:
    return "maintenance" if maintenance else "silence"


def _check(silence: Silence, now: datetime) -> None:
    if not 1 <= len(silence.hosts) <= MOST_PATTERNS:
        raise Invalid(f"hosts: use 1 to {MOST_PATTERNS} patterns, such as web-*")
    for pattern in silence.hosts:
        check_pattern(pattern, "hosts")
    if silence.kinds is not None and not 1 <= len(silence.kinds) <= MOST_PATTERNS:
        raise Invalid(f"kinds: use 1 to {MOST_PATTERNS} kinds of alerts, such as crashed, or none for all")
    for kind in silence.kinds or ():
        if not 1 <= len(kind) <= 64 or not _KIND_CHARACTERS.issuperset(kind):
            raise Invalid(f"kinds {kind!r:.80} is no kind of alerts: use such as crashed, silent, zombie or overdue")
    if len(silence.reason) > LONGEST_REASON or "\0" in silence.reason:
        raise Invalid(f"reason: use at most {LONGEST_REASON} characters, and no NUL")
    if silence.begins_at > now + LONGEST:
        raise Invalid(f"from {rfc3339(silence.begins_at)} is too far ahead: announce it within a year of its beginning")
    if silence.until <= max(silence.begins_at, now):
        raise Invalid(f"until {rfc3339(silence.until)} is over already, or not after its beginning")
    if silence.until > silence.begins_at + LONGEST:
        raise Invalid(f"until {rfc3339(silence.until)} is more than 365 days after its beginning: use at most 365d")


def _values(one: Silence) -> dict[str, Any]:
    values = {column.name: getattr(one, column.name) for column in silences.c}
    kinds = None if one.kinds is None else json.dumps([*one.kinds])
    return {**values, "maintenance": int(one.maintenance), "hosts": json.dumps([*one.hosts]), "kinds": kinds}


def _make(row: Row[Any]) -> Silence:
    return Silence(
        tuple(json.loads(row.hosts)), row.begins_at, row.until, bool(row.maintenance),
        None if row.kinds is None else tuple(json.loads(row.kinds)), row.reason, row.id, row.made_by, row.made_at,
        row.ended_at,
    )  # fmt: skip
