"""Leases: numbered slots of a name, each held by one holder until a time, so that two never hold one."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy import delete, func, select, update

from store.database import Database
from store.tables import leases
from store.upserts import upsert_row


def take_lease(
    database: Database, name: str, holder: str, now: datetime, seconds: float, dead: Callable[[str], bool]
) -> int:
    """Take the smallest slot, from 1, that is free, expired by `now`, already `holder`'s, or whose holder is gone.

    `dead(other)` says whether another holder is known to be gone, such as a process of this machine.
    """
    with database.writing() as connection:
        database.lock(connection, "leases")
        query = select(leases.c.slot, leases.c.holder, leases.c.expires_at).where(leases.c.name == name)
        held = {row.slot: row for row in connection.execute(query)}
        slot = 1
        while (row := held.get(slot)) is not None:
            if row.expires_at <= now or row.holder == holder or dead(row.holder):
                break
            slot += 1
        values = {"name": name, "slot": slot, "holder": holder, "expires_at": now + timedelta(seconds=seconds)}
        connection.execute(upsert_row(connection, leases, values))
    return slot


def renew_lease(database: Database, name: str, slot: int, holder: str, now: datetime, seconds: float) -> bool:
    """Hold the slot for `seconds` from `now`. False when it is another's or was let go: stop using it then."""
    mine = (leases.c.name == name) & (leases.c.slot == slot) & (leases.c.holder == holder)
    until = now + timedelta(seconds=seconds)
    with database.writing() as connection:
        return connection.execute(update(leases).where(mine).values(expires_at=until)).rowcount == 1


def release_lease(database: Database, name: str, slot: int, holder: str) -> None:
    """Let the slot go, if it is `holder`'s."""
    mine = (leases.c.name == name) & (leases.c.slot == slot) & (leases.c.holder == holder)
    with database.writing() as connection:
        connection.execute(delete(leases).where(mine))


def first_slot(database: Database, name: str, now: datetime) -> int | None:
    """The smallest slot of `name` that somebody holds at `now`."""
    query = select(func.min(leases.c.slot)).where(leases.c.name == name, leases.c.expires_at > now)
    with database.reading() as connection:
        found: int | None = connection.execute(query).scalar()
    return found
