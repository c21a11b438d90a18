"""Hosts that are barred, revoked or disabled: nothing of theirs is stored, however long it waited on the broker.

Who is barred is asked in the transaction that stores. Whoever changes it orders something of the keeper in the same
transaction, under a lock: so the newest order tells at once whether the names must be read again.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from itertools import chain
from operator import attrgetter
from typing import Any, TypeVar

from sqlalchemy import Connection, select

from store.rows import WriteBatch
from store.tables import enrolled, keeper_orders

_STATE = "SELECT (SELECT max(id) FROM keeper_orders), (SELECT count(*) FROM keeper_orders WHERE done_at IS NULL)"
_OPEN = select(keeper_orders.c.host).where(keeper_orders.c.done_at.is_(None))
_BARRED = select(enrolled.c.source_host, enrolled.c.source_host.in_(_OPEN)).where(enrolled.c.revoked_at.is_not(None))

_host_of = attrgetter("source_host")
Sent = TypeVar("Sent")


@dataclass(frozen=True, slots=True)
class Sifted:
    """What is left of a batch, how much was dropped, and of whom no message may have a receipt."""

    batch: WriteBatch
    dropped: int = 0
    unanswered: frozenset[str] = frozenset()


class Barred:
    """Who is barred, kept between transactions. Threads may share it."""

    def __init__(self) -> None:
        self._seen: tuple[tuple[Any, ...], dict[str, bool]] = ((), {})

    def read(self, connection: Connection) -> Mapping[str, bool]:
        """The barred hosts as this transaction sees them, and whether each is still to be cut off at the broker."""
        state = tuple(connection.exec_driver_sql(_STATE).one())
        seen, hosts = self._seen
        if state != seen:
            hosts = {host: bool(is_open) for host, is_open in connection.execute(_BARRED)}
            self._seen = (state, hosts)
        return hosts

    def sift(self, connection: Connection, batch: WriteBatch) -> Sifted:
        """`batch` without what came of barred hosts, or of those that it says are held off.

        A host that is still to be cut off would hear a receipt, and delete what it names: there is none. One that is
        cut off hears nothing; a receipt on its topic is for a gateway, whose window would stay full without it.
        """
        hosts = self.read(connection)
        barred = hosts.keys() | batch.held_off if batch.held_off else hosts.keys()
        if not barred or barred.isdisjoint(map(_host_of, chain(batch.events, batch.beats, batch.dead))):
            return Sifted(batch)
        kept = replace(
            batch, events=_without(batch.events, barred), beats=_without(batch.beats, barred),
            dead=_without(batch.dead, barred),
        )  # fmt: skip
        return Sifted(
            kept, _count(batch) - _count(kept), batch.held_off | {host for host, is_open in hosts.items() if is_open}
        )


def _without(sent: list[Sent], barred: Collection[str]) -> list[Sent]:
    return [one for one in sent if _host_of(one) not in barred]


def _count(batch: WriteBatch) -> int:
    return len(batch.events) + len(batch.beats) + len(batch.dead)
