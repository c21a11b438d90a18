"""The list of hosts, a page at a time: filtered, and in one of several orders."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple, get_args

from sqlalchemy import ColumnElement, Connection, FromClause, Select, and_, func, literal, or_, select, tuple_

from store.database import Database
from store.host_list import CONDITIONS, RANKS, Condition, read_row, select_hosts
from store.rows import Host
from store.tables import activity, heartbeats, hosts, verdicts

Sort = Literal["state", "hostname", "os_type", "last_seen", "total_events", "score", "since"]
SORTS: tuple[Sort, ...] = get_args(Sort)

# of hosts that have a part in their names, so many are looked for before they are sorted: to read an index in its order
# until a rare name has come by is to read all of it, and to count is to read it again
_FEW = 2000
_COUNT_SECONDS = (
    1.0  # for which a count holds: to count takes as long as a page, and who goes on to the next asks again
)

_LONG_AGO = datetime(1, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class HostFilter:
    """Which hosts are asked for; what is empty asks for all. `q` is a part of the name, in either case of letters."""

    q: str = ""
    conditions: frozenset[Condition] = frozenset()
    os_type: str = ""
    tag: str = ""


class Place(NamedTuple):
    """Where a page ends: the value that the list is sorted by, and the name."""

    value: str | int | datetime
    host: str


class HostPage(NamedTuple):
    """A page of hosts, where it ends if there are more, and how many fit in all."""

    hosts: list[Host]
    end: Place | None
    total: int


class _Order(NamedTuple):
    """What a list is sorted by before the name, and the tables that it is in. It is never NULL."""

    value: ColumnElement[Any]
    tables: FromClause
    descending: bool


class HostList:
    """The list of hosts in the database. Its methods raise `Unavailable`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._counts: dict[HostFilter, tuple[float, int]] = {}

    def page(
        self, wanted: HostFilter, sort: Sort, limit: int, after: Place | None = None, *, descending: bool = False
    ) -> HostPage:
        """The hosts that fit `wanted`, those behind `after`; equal ones in the order of their names.

        Of a host that is enrolled and was never heard `os_type` is "".
        """
        order = _order(sort, descending)
        query = select(hosts.c.source_host, order.value.label("value")).select_from(order.tables)
        query = query.where(*_conditions(self._database, wanted))
        with self._database.reading() as connection:
            found, total = None, 0
            if wanted.q:
                found, total = _read_few(connection, query, order, limit, after)
            if found is None:
                found = _read_in_order(connection, query, order, limit, after)
                total = len(found) if after is None and len(found) <= limit else self._count(connection, wanted)
            shown = found[:limit]
            by_name = {host.hostname: host for host in _read_hosts(connection, [name for name, _ in shown])}
        end = Place(shown[-1][1], shown[-1][0]) if len(found) > limit else None
        return HostPage([by_name[name] for name, _ in shown], end, total)

    def _count(self, connection: Connection, wanted: HostFilter) -> int:
        now = time.monotonic()
        held_until, total = self._counts.get(wanted, (0.0, 0))
        if held_until < now:
            query = select(func.count()).select_from(hosts).where(*_conditions(self._database, wanted))
            total = connection.execute(query).scalar_one()
            self._counts = {asked: held for asked, held in self._counts.items() if held[0] >= now}
            self._counts[wanted] = (now + _COUNT_SECONDS, total)
        return total

    def count(self) -> dict[Condition, int]:
        """How many hosts are held to be what."""
        query = select(hosts.c.rank, func.count()).group_by(hosts.c.rank)
        with self._database.reading() as connection:
            counted: dict[int, int] = {rank: count for rank, count in connection.execute(query)}  # noqa: C416
        return {name: counted.get(rank, 0) for rank, name in enumerate(CONDITIONS)}

    def first_since(self, conditions: Collection[Condition]) -> dict[Condition, datetime]:
        """Since when the first host is held to be what it is, for each of `conditions` that has one."""
        query = select(hosts.c.rank, func.min(verdicts.c.since, type_=verdicts.c.since.type)).group_by(hosts.c.rank)
        query = query.select_from(hosts.join(verdicts, verdicts.c.source_host == hosts.c.source_host))
        query = query.where(hosts.c.rank.in_(sorted(RANKS[name] for name in conditions)))
        with self._database.reading() as connection:
            return {CONDITIONS[rank]: since for rank, since in connection.execute(query)}


def _read_in_order(
    connection: Connection, query: Select[Any], order: _Order, limit: int, after: Place | None
) -> list[tuple[str, Any]]:
    if after is not None:
        query = query.where(_behind(order.value, hosts.c.source_host, after, order.descending))
    value = order.value.desc() if order.descending else order.value
    query = query.order_by(value) if order.value is hosts.c.source_host else query.order_by(value, hosts.c.source_host)
    return [(name, value) for name, value in connection.execute(query.limit(limit + 1))]


def _read_few(
    connection: Connection, query: Select[Any], order: _Order, limit: int, after: Place | None
) -> tuple[list[tuple[str, Any]] | None, int]:
    """The page, and how many fit in all; None when they are more than a few, or none is behind `after`."""
    few = query.limit(_FEW + 1).subquery("few")
    counted = select(few, func.count().over().label("total")).subquery("counted")
    name, value = counted.c.source_host, counted.c.value
    page = select(name, value, counted.c.total).order_by(value.desc() if order.descending else value, name)
    if after is not None:
        page = page.where(_behind(value, name, after, order.descending))
    found = connection.execute(page.limit(limit + 1)).all()
    if not found or found[0].total > _FEW:
        return None, 0
    return [(row.source_host, row.value) for row in found], found[0].total


def _order(sort: Sort, descending: bool) -> _Order:
    host = hosts.c.source_host
    if sort == "last_seen":
        moment = heartbeats.c.last_seen.type
        # looked up for the few hosts of an old database that are known from events alone
        stored = select(activity.c.newest_stored_at).where(activity.c.source_host == host).scalar_subquery()
        heard = func.coalesce(heartbeats.c.last_seen, stored, literal(_LONG_AGO, moment), type_=moment)
        return _Order(heard, hosts.outerjoin(heartbeats, heartbeats.c.source_host == host), descending)
    if sort == "total_events":
        joined = hosts.outerjoin(activity, activity.c.source_host == host)
        return _Order(func.coalesce(activity.c.events, 0), joined, descending)
    if sort == "since":
        since = func.coalesce(verdicts.c.since, literal(_LONG_AGO, verdicts.c.since.type), type_=verdicts.c.since.type)
        return _Order(since, hosts.outerjoin(verdicts, verdicts.c.source_host == host), descending)
    columns: dict[str, ColumnElement[Any]] = {
        "state": hosts.c.rank, "hostname": host,
        "os_type": func.coalesce(hosts.c.os_type, ""), "score": func.coalesce(hosts.c.score, -1),
    }  # fmt: skip
    return _Order(columns[sort], hosts, descending)


def _behind(value: ColumnElement[Any], name: ColumnElement[Any], after: Place, descending: bool) -> ColumnElement[bool]:
    if value is hosts.c.source_host:
        return value < after.host if descending else value > after.host
    given = literal(after.value, value.type)
    if descending:
        return or_(value < given, and_(value == given, name > after.host))
    # a comparison of rows is one range of an index
    return tuple_(value, name) > tuple_(given, literal(after.host, name.type))


def _conditions(database: Database, wanted: HostFilter) -> Iterator[ColumnElement[bool]]:
    if wanted.q:
        yield database.holds(hosts.c.source_host, wanted.q)
    if wanted.conditions:
        yield hosts.c.rank.in_(sorted(RANKS[name] for name in wanted.conditions))
    if wanted.os_type:
        yield hosts.c.os_type == wanted.os_type
    if wanted.tag:
        yield hosts.c.tags.contains(f"\n{wanted.tag}\n", autoescape=True)


def _read_hosts(connection: Connection, names: Sequence[str]) -> Iterator[Host]:
    return map(read_row, connection.execute(select_hosts().where(hosts.c.source_host.in_(names))))
