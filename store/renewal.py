"""Renewal: enrolled hosts come by with their secrets, hear what is new, and take a new secret when asked to."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, or_, select, update

from core.errors import Invalid
from store.audit import record_act
from store.database import Database
from store.enrolment import order_enrolment
from store.tables import enrolled

_ROW = enrolled.c


class Visit(NamedTuple):
    """What a host hears: whether it is to take a new secret, and the keeper's order when it has just done so."""

    renew: bool
    order: int | None = None


class NewSecret(NamedTuple):
    """A secret of the host's own making: its hash, and itself sealed for the keeper."""

    hash: str
    sealed: bytes


def visit(database: Database, host: str, secret_hash: str, new: NewSecret | None, now: datetime) -> Visit | None:
    """`host` comes by with its secret, and with a `new` one when it was asked to; `None` when it is not enrolled so.

    The same again is the same, also when the new secret is in force already: an answer was lost. A new secret that
    nobody asked for is not taken: who has stolen the present one shall not be able to lock the host out.
    """
    with database.writing() as connection:
        database.lock(connection, "enrolment")
        kept = connection.execute(select(enrolled).where(_ROW.source_host == host, _ROW.revoked_at.is_(None))).first()
        if kept is None:
            return None
        again = new is not None and hmac.compare_digest(kept.secret_hash, new.hash)
        if not again and not hmac.compare_digest(kept.secret_hash, secret_hash):
            return None
        _change(connection, host, visited_at=now)
        if new is not None and (again or kept.renew):
            if not again:
                _change(connection, host, secret_hash=new.hash, renew=0)
                record_act(connection, f"host {host}", "host.secret_renewed", host, "", now)
            return Visit(False, order_enrolment(connection, host, new.sealed, now, again=again))
        return Visit(bool(kept.renew))


def _change(connection: Connection, host: str, **values: object) -> None:
    connection.execute(update(enrolled).where(_ROW.source_host == host).values(values))


def ask_to_renew(database: Database, hosts: Sequence[str] | None, who: str, now: datetime) -> list[str]:
    """Ask `hosts`, or with `None` all that are enrolled, for a new secret at their next visit; returns which.

    Raises `Invalid`, naming them, when some are not enrolled; nobody is asked then.
    """
    with database.writing() as connection:
        database.lock(connection, "enrolment")
        known = connection.execute(select(_ROW.source_host).where(_ROW.revoked_at.is_(None))).scalars().all()
        asked = sorted(known if hosts is None else set(hosts))
        if strangers := sorted(set(asked) - set(known)):
            raise Invalid(f"not enrolled: {', '.join(strangers[:10])}{' …' if len(strangers) > 10 else ''}")
        for begin in range(0, len(asked), 1_000):
            some = asked[begin : begin + 1_000]
            connection.execute(update(enrolled).where(_ROW.source_host.in_(some)).values(renew=1))
        if hosts is None:
            record_act(connection, who, "host.renewal_asked", "*", f"{len(asked)} hosts", now)
        else:
            for host in asked:
                record_act(connection, who, "host.renewal_asked", host, "", now)
        return asked


def read_awaited(database: Database, since: datetime | None = None) -> list[str]:
    """Who has still to take a new secret, or with `since` who has not come by after that."""
    late = _ROW.renew == 1 if since is None else or_(_ROW.visited_at.is_(None), _ROW.visited_at <= since)
    with database.reading() as connection:
        query = select(_ROW.source_host).where(_ROW.revoked_at.is_(None), late).order_by(_ROW.source_host)
        return list(connection.execute(query).scalars())
