"""Enrolment: tokens that let hosts in, who is enrolled, and the orders that the keeper carries out at the broker.

Whoever enrols or revokes writes an order; the keeper, which alone may change the broker's identities,
does it and writes down what came of it. A host's secret lies here sealed for the keeper, until it is done.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, update

from core.errors import Conflict, Invalid
from core.topics import check_host, fits_pattern
from store.audit import record_act
from store.database import Database
from store.rows import Order
from store.tables import enrolled, heartbeats, keeper_keys, keeper_orders, tokens
from store.upserts import upsert_row

ALIVE = timedelta(minutes=15)  # heard so recently, a name belongs to somebody
KEEP_TOKENS = timedelta(days=1)
ORDERS_AT_ONCE = 100
NOBODYS = ""  # the hash of a secret that there is none of: of a host that was forgotten its name alone is kept

_ORDER = keeper_orders.c
_ORDERS = select(_ORDER.id, _ORDER.kind, _ORDER.host, _ORDER.sealed, _ORDER.done_at, _ORDER.error)
# asked twice a second for ever: made once
_OPEN_ORDERS = _ORDERS.where(_ORDER.done_at.is_(None)).order_by(_ORDER.id).limit(ORDERS_AT_ONCE)
_NEWEST_ORDER = select(func.max(_ORDER.id))


def add_token(
    database: Database, token_hash: str, pattern: str, uses: int, expires_at: datetime, who: str, now: datetime,
    *, replaces: bool,
) -> None:  # fmt: skip
    """Add a token for hosts whose names fit `pattern`: a name, or one with `*` and `?`.

    Raises `Conflict` when the one host that it is for is enrolled or alive already, unless it `replaces`.
    """
    values = {
        "hash": token_hash, "pattern": pattern, "uses_left": uses, "replaces": int(replaces), "made_by": who,
        "expires_at": expires_at,
    }  # fmt: skip
    with database.writing() as connection:
        connection.execute(delete(tokens).where(tokens.c.expires_at <= now - KEEP_TOKENS))
        if not replaces and not _is_pattern(pattern):
            _expect_unknown(connection, check_host(pattern, "host"), now)
        connection.execute(insert(tokens).values(values))
        uses_said = "once" if uses == 1 else f"{uses} times"
        record_act(connection, who, "token.made", pattern, f"{uses_said}{', replaces' if replaces else ''}", now)


def _is_pattern(text: str) -> bool:
    return "*" in text or "?" in text


def _expect_unknown(connection: Connection, host: str, now: datetime) -> None:
    kept = _find_enrolled(connection, host)
    if kept is not None and kept.revoked_at is None:
        raise Conflict(f"{host} is enrolled already: replace it (--replace) to give the name to another machine")
    last_seen = connection.execute(select(heartbeats.c.last_seen).where(heartbeats.c.source_host == host)).scalar()
    if last_seen is not None and last_seen > now - ALIVE:
        raise Conflict(f"{host} is alive, not enrolled: replace it (--replace) when it is the machine that you mean")


def _find_enrolled(connection: Connection, host: str) -> Any:
    found = connection.execute(select(enrolled).where(enrolled.c.folded == host.lower())).first()
    if found is not None and found.secret_hash == NOBODYS:
        return None  # forgotten
    if found is not None and found.source_host != host:
        raise Conflict(f"{host} differs from the enrolled {found.source_host} only in case: choose another name")
    return found


def use_token(
    database: Database, token_hash: str, host: str, secret_hash: str, sealed: bytes, now: datetime
) -> int | None:
    """Enrol `host` by a token: the order that says so to the keeper, `None` when the token is unknown or expired.

    1. The same token, host and secret again is the same enrolment: an answer was lost.
    2. A token that is used up, or is for other names, or a name that is another machine's: `Conflict`.
    3. The use is counted and the order written in one transaction.
    """
    with database.writing() as connection:
        database.lock(connection, "enrolment")
        token = connection.execute(select(tokens).where(tokens.c.hash == token_hash)).first()
        if token is None or token.expires_at <= now:
            return None
        kept = _find_enrolled(connection, host)
        again = (token_hash, secret_hash)
        if kept is not None and (kept.token_hash, kept.secret_hash, kept.revoked_at) == (*again, None):
            return order_enrolment(connection, host, sealed, now, again=True)
        if token.uses_left < 1:
            raise Conflict("the token has been used: make a new one with `heimdall enroll`")
        if not fits_pattern(host, token.pattern):
            raise Conflict(f"the token is for {token.pattern}, not for {host}")
        if kept is not None and kept.revoked_at is None and not token.replaces:
            raise Conflict(f"{host} is enrolled already: make a token with `heimdall enroll --replace {host}`")
        connection.execute(update(tokens).where(tokens.c.hash == token_hash).values(uses_left=tokens.c.uses_left - 1))
        values = {
            "source_host": host, "folded": host.lower(), "token_hash": token_hash, "secret_hash": secret_hash,
            "enrolled_at": now, "revoked_at": None, "renew": 0, "visited_at": None,
        }  # fmt: skip
        forgotten = (enrolled.c.folded == host.lower()) & (enrolled.c.secret_hash == NOBODYS)
        connection.execute(delete(enrolled).where(forgotten))
        connection.execute(upsert_row(connection, enrolled, values))
        record_act(connection, f"token of {token.made_by}", "host.enrolled", host, "", now)
        return order_enrolment(connection, host, sealed, now, again=False)


def order_enrolment(connection: Connection, host: str, sealed: bytes, now: datetime, *, again: bool) -> int:
    """Tell the keeper to let `host` in with the `sealed` secret; `again` is the order of before, unless it failed."""
    if again:
        found = select(_ORDER.id, _ORDER.error).where(_ORDER.host == host, _ORDER.kind == "enroll")
        newest = connection.execute(found.order_by(_ORDER.id.desc()).limit(1)).first()
        if newest is not None and newest.error is None:
            return int(newest.id)
    return _order(connection, "enroll", host, sealed, now)


def revoke_host(database: Database, host: str, who: str, now: datetime) -> int:
    """Take the right to speak from `host`; the order that says so to the keeper. Enrolled or not: it may be either."""
    check_host(host, "host")
    with database.writing() as connection:
        database.lock(connection, "enrolment")
        connection.execute(update(enrolled).where(enrolled.c.source_host == host).values(revoked_at=now))
        record_act(connection, who, "host.revoked", host, "", now)
        return _order(connection, "revoke", host, None, now)


def disable_host(database: Database, host: str, why: str, now: datetime) -> int | None:
    """Take the right to speak from `host` because of what it does; the order that says so to the keeper.

    `None` when the last that was ordered about it was that, or its revocation: of many ingestors one gives the order.
    """
    with database.writing() as connection:
        database.lock(connection, "enrolment")
        query = select(_ORDER.kind).where(_ORDER.host == host).order_by(_ORDER.id.desc()).limit(1)
        if connection.execute(query).scalar() in ("revoke", "disable", "forget", "forgotten"):
            return None
        connection.execute(update(enrolled).where(enrolled.c.source_host == host).values(revoked_at=now))
        record_act(connection, "ingestor", "host.disabled", host, why, now)
        return _order(connection, "disable", host, None, now)


def order_forgetting(connection: Connection, host: str, who: str, now: datetime) -> int | None:
    """Bar `host` and tell the keeper to delete its identity; the order, that of before where there is one.

    `None` when it is not enrolled. The transaction holds the lock.
    """
    known = (enrolled.c.source_host == host) & (enrolled.c.secret_hash != NOBODYS)
    kept = connection.execute(select(enrolled.c.revoked_at).where(known)).first()
    if kept is None:
        return None
    query = select(_ORDER.id, _ORDER.kind, _ORDER.error).where(_ORDER.host == host).order_by(_ORDER.id.desc()).limit(1)
    newest = connection.execute(query).first()
    if newest is not None and newest.kind == "forget" and newest.error is None:
        return int(newest.id)
    if kept.revoked_at is None:
        connection.execute(update(enrolled).where(enrolled.c.source_host == host).values(revoked_at=now))
        record_act(connection, who, "host.revoked", host, "to be forgotten", now)
    return _order(connection, "forget", host, None, now)


def _order(connection: Connection, kind: str, host: str, sealed: bytes | None, now: datetime) -> int:
    values = {"kind": kind, "host": host, "sealed": sealed, "ordered_at": now}
    return int(connection.execute(insert(keeper_orders).values(values).returning(keeper_orders.c.id)).scalar_one())


def read_orders(database: Database) -> list[Order]:
    """What the keeper has still to do, oldest first."""
    with database.reading() as connection:
        rows = connection.execute(_OPEN_ORDERS).all()
    return [_make_order(row) for row in rows]


def read_order(database: Database, number: int) -> Order:
    """What has come of an order. Raises `Invalid` when there is none of this number."""
    with database.reading() as connection:
        row = connection.execute(_ORDERS.where(_ORDER.id == number)).first()
    if row is None:
        raise Invalid(f"there is no order {number}")
    return _make_order(row)


def _make_order(row: Any) -> Order:
    return Order(row.id, row.kind, row.host, row.sealed, row.done_at is not None, row.error)


def finish_order(database: Database, number: int, error: str | None, now: datetime) -> None:
    """Write down that an order is done, or why it cannot be. The secret goes with that."""
    values = {"done_at": now, "error": error, "sealed": None}
    with database.writing() as connection:
        connection.execute(update(keeper_orders).where(keeper_orders.c.id == number).values(values))


def publish_keeper_key(database: Database, public_key: bytes) -> None:
    """Say with which key secrets are sealed for the keeper."""
    with database.writing() as connection:
        connection.execute(upsert_row(connection, keeper_keys, {"name": "keeper", "public_key": public_key}))


def read_keeper_key(database: Database) -> bytes | None:
    """The key that secrets are sealed with; `None` when no keeper has ever run."""
    with database.reading() as connection:
        found = connection.execute(select(keeper_keys.c.public_key)).scalar()
    return None if found is None else bytes(found)


def read_enrolled(database: Database, after: int = 0) -> tuple[list[str], int]:
    """The hosts enrolled since the order `after`, all from 0, but for those that are revoked; and the newest order."""
    query = select(enrolled.c.source_host).where(enrolled.c.revoked_at.is_(None)).distinct()
    with database.reading() as connection:
        newest = connection.execute(_NEWEST_ORDER).scalar() or 0
        if newest == after:
            return [], after
        if after:
            query = query.join(keeper_orders, enrolled.c.source_host == _ORDER.host).where(_ORDER.id > after)
        return list(connection.execute(query).scalars()), newest


class EnrolledHosts:
    """The names of enrolled and of revoked hosts at the last `refresh`, in lower case: no two differ only in that."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._newest = 0
        self.names: set[str] = set()
        self.revoked: set[str] = set()

    def refresh(self) -> None:
        """Learn what has changed. Whoever enrols or revokes writes an order, under one lock: newer ones tell who."""
        with self._database.reading() as connection:
            newest = connection.execute(_NEWEST_ORDER).scalar() or 0
            if newest == self._newest:
                return
            if self._newest == 0 or newest < self._newest:  # the first time, or an older copy was put in its place
                self.names.clear()
                self.revoked.clear()
                self._learn(connection.execute(select(enrolled.c.folded, enrolled.c.revoked_at)))
            else:
                of_host = enrolled.c.source_host == _ORDER.host
                query = select(enrolled.c.folded, enrolled.c.revoked_at).join(keeper_orders, of_host)
                self._learn(connection.execute(query.where(_ORDER.id > self._newest)))
        self._newest = newest

    def _learn(self, rows: Iterable[Any]) -> None:
        for name, revoked_at in rows:
            now, before = (self.names, self.revoked) if revoked_at is None else (self.revoked, self.names)
            now.add(name)
            before.discard(name)
