"""Verdicts: each transition is claimed once, and what follows from it is written in the same transaction."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select

from store.alerts import keep_alerts
from store.database import Database, in_chunks
from store.forget import find_forgotten
from store.host_list import list_verdicts
from store.outages import keep_outages
from store.rows import Claims, HeldVerdict
from store.tables import enrolled, verdicts
from store.upserts import upsert_rows


def claim(
    database: Database, transitions: Sequence[HeldVerdict], now: datetime, order: int | None = None
) -> Iterator[Claims]:
    """Make `transitions` true, each by the first who claims it: `version` is that of the verdict which it follows.

    1. Who was first is told by the version; a lock keeps two from looking at once. Nothing becomes true of a host that
       was forgotten later than by `order`, the last that whoever claims has heard of.
    2. The outage begins, goes on under another cause, or ends.
    3. An alert is opened when a host is missed that did not say goodbye, and resolved when it is back.

    A revoked host does not crash: it is offline because it is revoked. Each thousand is a transaction, for the ingestor
    waits meanwhile, and what came of it is told as soon as it is committed. Raises `Unavailable`: the rest is not
    claimed then.
    """
    for chunk in in_chunks(transitions):
        part = {one.source_host: one for one in chunk}
        with database.writing() as connection:
            database.lock(connection, "verdicts")
            forgotten = frozenset() if order is None else find_forgotten(connection, order, part)
            known = {host: one for host, one in part.items() if host not in forgotten}
            claims = replace(_claim(connection, known, now), forgotten=forgotten)
        yield claims


def _claim(connection: Connection, wanted: Mapping[str, HeldVerdict], now: datetime) -> Claims:
    held = {one.source_host: one for one in _read(connection, wanted)}
    revoked = _read_revoked(connection, [host for host, one in wanted.items() if one.state == "offline"])
    lost = [held[host] for host, one in wanted.items() if host in held and held[host].version != one.version]
    taken = {one.source_host for one in lost}
    won = [
        replace(one, version=one.version + 1, reason="revoked" if host in revoked else one.reason)
        for host, one in sorted(wanted.items())
        if host not in taken
    ]
    if not won:
        return Claims([], lost, [], [])
    upsert_rows(connection, verdicts, [_row(one) for one in won])
    list_verdicts(connection, won)
    keep_outages(connection, [(held.get(one.source_host), one) for one in won])
    return Claims(won, lost, *keep_alerts(connection, won, now))


def _row(one: HeldVerdict) -> dict[str, Any]:
    return {column.name: getattr(one, column.name) for column in verdicts.c}


def _read(connection: Connection, hosts: Iterable[str]) -> Iterator[HeldVerdict]:
    for row in connection.execute(select(verdicts).where(verdicts.c.source_host.in_(list(hosts)))):
        yield HeldVerdict(*row)


def _read_revoked(connection: Connection, hosts: list[str]) -> set[str]:
    query = select(enrolled.c.source_host).where(enrolled.c.source_host.in_(hosts), enrolled.c.revoked_at.is_not(None))
    return set(connection.execute(query).scalars()) if hosts else set()


def read_verdicts(database: Database) -> list[HeldVerdict]:
    """What every host is held to be."""
    with database.reading() as connection:
        return [HeldVerdict(*row) for row in connection.execute(select(verdicts))]
