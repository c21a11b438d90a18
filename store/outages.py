"""Outages: intervals in which a host was not alive."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import datetime

from sqlalchemy import Connection, bindparam, insert, select, update

from core.messages import VerdictState
from store.database import Database, in_chunks
from store.rows import HeldVerdict, Outage
from store.tables import outages

DOWN: frozenset[VerdictState] = frozenset({"offline", "missing", "zombie", "away", "overdue"})

_COLUMNS = (outages.c.source_host, outages.c.began_at, outages.c.ended_at, outages.c.cause)
_open = (outages.c.source_host == bindparam("host")) & outages.c.ended_at.is_(None)
_END = update(outages).where(_open).values(ended_at=bindparam("moment"))
_RENAME = update(outages).where(_open).values(cause=bindparam("word"))


def cause_of(one: HeldVerdict) -> str:
    """What an outage of this verdict is called."""
    return one.reason if one.state == "offline" else one.state


def keep_outages(connection: Connection, pairs: Iterable[tuple[HeldVerdict | None, HeldVerdict]]) -> None:
    """For each verdict and the one before: an outage begins, goes on under another cause, or ends.

    An announced absence is an interval of its own, for it is counted apart.
    """
    begun, ended, renamed = [], [], []
    for before, one in pairs:
        was_down, is_down = before is not None and before.state in DOWN, one.state in DOWN
        apart = before is not None and "away" in (before.state, one.state)
        if before is not None and was_down and (apart or not is_down):
            ended.append({"host": one.source_host, "moment": max(one.since, before.since)})
        if is_down and (apart or not was_down):
            values = {"source_host": one.source_host, "began_at": one.since, "ended_at": None, "cause": cause_of(one)}
            begun.append(values)
        elif is_down and one.state != "missing":
            renamed.append({"host": one.source_host, "word": cause_of(one)})
    for statement, rows in ((_END, ended), (insert(outages), begun), (_RENAME, renamed)):
        if rows:
            connection.execute(statement, rows)


def add_outage(database: Database, outage: Outage) -> bool:
    """Keep an outage of which is known only after its end; False when one is known that ended after it began."""
    known = select(outages.c.id).where(
        outages.c.source_host == outage.source_host,
        outages.c.ended_at.is_(None) | (outages.c.ended_at > outage.began_at),
    )
    with database.writing() as connection:
        database.lock(connection, "verdicts")
        if connection.execute(known.limit(1)).first() is not None:
            return False
        connection.execute(insert(outages), [asdict(outage)])
        return True


def read_outages(database: Database, host: str, limit: int, before: datetime | None = None) -> list[Outage]:
    """At most `limit` outages of `host`, last begun first: those that began before `before`."""
    query = select(*_COLUMNS).where(outages.c.source_host == host).order_by(outages.c.began_at.desc()).limit(limit)
    if before is not None:
        query = query.where(outages.c.began_at < before)
    with database.reading() as connection:
        return [Outage(*row) for row in connection.execute(query)]


def read_outages_of(database: Database, hosts: Sequence[str], since: datetime) -> dict[str, list[Outage]]:
    """The outages of `hosts` that lasted at `since` or later, each host's first begun first."""
    lasted = outages.c.ended_at.is_(None) | (outages.c.ended_at >= since)
    found: dict[str, list[Outage]] = {host: [] for host in hosts}
    with database.reading() as connection:
        for chunk in in_chunks(hosts):
            query = select(*_COLUMNS).where(outages.c.source_host.in_(chunk), lasted)
            for row in connection.execute(query.order_by(outages.c.source_host, outages.c.began_at)):
                found[row.source_host].append(Outage(*row))
    return found


def read_all_outages(database: Database, since: datetime) -> list[Outage]:
    """The outages of all hosts that lasted at `since` or began later."""
    lasted = outages.c.ended_at.is_(None) | (outages.c.ended_at >= since)
    query = select(*_COLUMNS).where(lasted)
    with database.reading() as connection:
        return [Outage(*row) for row in connection.execute(query)]
