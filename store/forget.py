"""Forgetting a host: all rows that are about it, and on wish its events.

1. Who is enrolled is barred first, and an order tells the keeper to take its identity from the broker.
2. Its events go in transactions of some thousands, while the host is still known: killed there, the same again goes on.
3. One transaction takes all its other rows, ends its open alerts, and writes an order of the kind `forgotten`, which is
   done already: by it the watches hear that what they remember of the host is over.

Of a host that was enrolled the name stays barred, without hash or token, until it is enrolled anew: what it had sent
before it was cut off may still wait on the broker, and would bring it back.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    Table,
    delete,
    exists,
    func,
    insert,
    literal,
    or_,
    select,
    update,
)

from core.messages import FORGOTTEN
from store.audit import record_act
from store.database import Database, Locked, in_chunks
from store.enrolment import NOBODYS, order_forgetting
from store.log_counts import uncount_deleted, widen_block
from store.tables import (
    SEGMENT_ROWS,
    activity,
    alerts,
    beat_days,
    beat_hours,
    beats,
    cursors,
    enrolled,
    heartbeats,
    host_info,
    hosts,
    keeper_orders,
    logs,
    outages,
    pattern_hosts,
    scores,
    segment,
    verdicts,
)
from store.walk import find_span, walk

# what there is of a host beside its events, in the order in which the ingestors lock rows
OF_HOST = (activity, heartbeats, beats, host_info, hosts, verdicts, outages, scores, pattern_hosts)
# of these the key begins with the time
OF_TIME = ((beat_hours, beat_hours.c.hour), (beat_days, beat_days.c.day))

_LOCKS: tuple[Locked, ...] = ("verdicts", "beats", "enrolment")  # in this order, whoever takes several
_NEWEST_ORDER = select(func.max(keeper_orders.c.id))
_COUNTED = (logs.c.created_at, logs.c.os_type, logs.c.event_type, logs.c.severity)
EVENTS_PER_TRANSACTION = 5_000  # some ten milliseconds, in which nothing is ingested


class Forgotten(NamedTuple):
    """Who was forgotten, and the ids of the alerts that ended by it."""

    hosts: list[str]
    alert_ids: list[str]


class Forgetting:
    """Its methods raise `Unavailable`; `now` is the server's clock, in UTC."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def is_known(self, host: str) -> bool:
        """Whether something was ever heard of `host`, or it is enrolled or judged."""
        known = [*_rows_of(host, OF_HOST), _enrolled(host)]
        with self._database.reading() as connection:
            return bool(connection.execute(select(or_(*known))).scalar())

    def bar(self, host: str, who: str, now: datetime) -> int | None:
        """Bar `host`, which is to be forgotten: the keeper's order, the same again; `None` when it is not enrolled."""
        with self._database.writing() as connection:
            self._database.lock(connection, "enrolment")
            return order_forgetting(connection, host, who, now)

    def newest_event(self) -> int:
        """An id that no event exceeds that is stored now."""
        with self._database.reading() as connection:
            return self._database.newest_id(connection)

    def delete_events(self, host: str, newest: int) -> tuple[int, int]:
        """Delete some thousand events of `host` with ids up to `newest`, the newest first, in one transaction.

        Returns how many, and up to which id there may be more; that is -1 when there are none.
        """
        query = select(logs.c.id).where(logs.c.source_host == host, logs.c.id <= newest).order_by(logs.c.id.desc())
        ids: Sequence[int] = ()
        rest: int | None = None
        with self._database.reading() as connection:
            for piece in walk(find_span(connection, newest, None, None), indexed=True):
                page = query.where(piece.condition).limit(EVENTS_PER_TRANSACTION)
                ids, rest = connection.execute(page).scalars().all(), piece.rest
                if ids:
                    break
        if ids:
            return self._delete_between(host, ids[-1], ids[0])
        return 0, -1 if rest is None else rest - 1

    def _delete_between(self, host: str, lowest: int, highest: int) -> tuple[int, int]:
        rest = lowest - 1
        held = [*range(lowest // SEGMENT_ROWS, highest // SEGMENT_ROWS + 1)]
        these = (logs.c.source_host == host, logs.c.id.between(lowest, highest))
        with self._database.writing() as connection:
            top = self._database.newest_id(connection)
            gone: list[Row[Any]] = []
            for chunk in in_chunks(held):
                gone += connection.execute(delete(logs).where(segment.in_(chunk), *these).returning(*_COUNTED))
            uncount_deleted(connection, gone)
            if self._database.reuses_ids and highest >= top:
                left = self._database.newest_id(connection)
                _hold_newest_id(connection, logs, top)
                rest = top  # the row that has this id now may be one of the host's
                widen_block(connection, left, top)
                # nothing is left: ids begin anew, and so does who reads them
                connection.execute(update(cursors).where(~exists(select(logs.c.id))).values(log_id=0))
        return len(gone), rest

    def forget(self, host: str, who: str, now: datetime, detail: str = "") -> list[str]:
        """Delete what there is of `host` beside its events, in one transaction; the ids of the alerts that it ends."""
        with self._database.writing() as connection:
            for what in _LOCKS:
                self._database.lock(connection, what)
            ended = self._delete(connection, host, now)
            gone = {"token_hash": NOBODYS, "secret_hash": NOBODYS, "renew": 0, "visited_at": None}
            connection.execute(update(enrolled).where(enrolled.c.source_host == host).values(gone))
            values = {"kind": "forgotten", "host": host, "ordered_at": now, "done_at": now}
            connection.execute(insert(keeper_orders).values(values))
            record_act(connection, who, "host.forget", host, detail, now)
            return ended

    def _delete(self, connection: Connection, host: str, now: datetime) -> list[str]:
        newest = connection.execute(select(func.max(heartbeats.c.id))).scalar() or 0
        for table in OF_HOST:
            connection.execute(delete(table).where(table.c.source_host == host))
        for table, time in OF_TIME:
            # hour by hour: no index begins with the host
            first = select(func.min(time).label("moment")).cte("moments", recursive=True)
            later = select(func.min(time)).where(time > first.c.moment).scalar_subquery()
            moments = first.union_all(select(later).where(first.c.moment.is_not(None)))
            these = (time.in_(select(moments.c.moment)), table.c.source_host == host)
            connection.execute(delete(table).where(*these))
        if self._database.reuses_ids:
            _hold_newest_id(connection, heartbeats, newest)
        mine = (alerts.c.source_host == host) & alerts.c.resolved_at.is_(None)
        ended = update(alerts).where(mine).values(resolved_at=now, text=alerts.c.text + FORGOTTEN)
        return [*connection.execute(ended.returning(alerts.c.id)).scalars()]

    def newest_order(self) -> int:
        """The newest of all orders: who is forgotten from now on has a later one."""
        with self._database.reading() as connection:
            return connection.execute(_NEWEST_ORDER).scalar() or 0

    def read(self, after: int) -> tuple[Forgotten, int]:
        """Who was forgotten by an order later than `after`, and the newest order."""
        ids: list[str] = []
        with self._database.reading() as connection:
            newest = connection.execute(_NEWEST_ORDER).scalar() or 0
            if newest <= after:
                return Forgotten([], []), newest
            names = [*connection.execute(_forgotten(after).where(keeper_orders.c.id <= newest).distinct()).scalars()]
            for chunk in in_chunks(names):
                over = alerts.c.resolved_at.is_not(None) & alerts.c.text.endswith(FORGOTTEN, autoescape=True)
                ids += connection.execute(select(alerts.c.id).where(alerts.c.source_host.in_(chunk), over)).scalars()
        return Forgotten(names, ids), newest

    def sweep(self, names: Iterable[str], now: datetime) -> list[str]:
        """Delete what was written of forgotten hosts by who had not heard of it; the ids of the alerts that it ends.

        Hosts that have been heard since, or are enrolled anew, are left alone.
        """
        ended: list[str] = []
        for host in names:
            back = [*_rows_of(host, (heartbeats, activity)), _enrolled(host)]
            with self._database.writing() as connection:
                for what in _LOCKS:
                    self._database.lock(connection, what)
                if not connection.execute(select(or_(*back))).scalar():
                    ended += self._delete(connection, host, now)
        return ended


def find_forgotten(connection: Connection, after: int, names: Collection[str]) -> frozenset[str]:
    """Those of `names` that were forgotten by an order later than `after`."""
    return frozenset(names).intersection(connection.execute(_forgotten(after)).scalars())


def _forgotten(after: int) -> Select[tuple[str]]:
    return select(keeper_orders.c.host).where(keeper_orders.c.id > after, keeper_orders.c.kind == "forgotten")


def _rows_of(host: str, tables: Iterable[Table]) -> Iterator[ColumnElement[bool]]:
    return (exists(select(literal(1)).where(table.c.source_host == host)) for table in tables)


def _enrolled(host: str) -> ColumnElement[bool]:
    return exists(select(literal(1)).where(enrolled.c.source_host == host, enrolled.c.secret_hash != NOBODYS))


def _hold_newest_id(connection: Connection, table: Table, top: int) -> None:
    """Give the newest row that is left the id `top`: who reads what is new by its id must not miss the next one."""
    newest = select(func.max(table.c.id)).scalar_subquery()
    connection.execute(update(table).where(table.c.id == newest, table.c.id < top).values(id=top))
