"""API keys, sessions and login links: hashes alone, never what they are hashes of."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from core.clock import rfc3339, utc_now
from core.errors import Conflict, Unavailable
from store.audit import record_act
from store.database import Database
from store.rows import Key, KeyRow
from store.tables import api_keys, login_links, sessions
from store.upserts import upsert_row

_NOTE_EVERY = timedelta(minutes=1)
_NOTE_WAIT_SECONDS = 0.05
ID_CHARACTERS = 12  # of the hash: 48 bits, to name a key by


def add_key(
    database: Database, key_hash: str, name: str, scopes: Iterable[str], host: str | None, expires_at: datetime | None
) -> None:
    """Add an API key; one that is there is changed to what is given."""
    values: dict[str, Any] = {
        "hash": key_hash, "name": name, "scopes": _join(scopes), "host": host, "expires_at": expires_at,
        "created_at": utc_now(),
    }  # fmt: skip
    with database.writing() as connection:
        connection.execute(upsert_row(connection, api_keys, values, keep=("created_at",)))


def make_key(
    database: Database, key_hash: str, name: str, scopes: Iterable[str], host: str | None,
    expires_at: datetime | None, who: str,
) -> None:  # fmt: skip
    """Add a new API key, and say in the audit trail that `who` made it. Raises `Conflict` when `name` is taken."""
    now = utc_now()
    values: dict[str, Any] = {
        "hash": key_hash, "name": name, "scopes": _join(scopes), "host": host, "expires_at": expires_at,
        "created_at": now,
    }  # fmt: skip
    until = "for ever" if expires_at is None else f"until {rfc3339(expires_at)}"
    with database.writing() as connection:
        database.lock(connection, "keys")
        if connection.execute(select(api_keys.c.hash).where(api_keys.c.name == name)).first():
            raise Conflict(f"there is a key named {name!r} already: choose another name, or revoke it first")
        connection.execute(insert(api_keys).values(values))
        detail = f"{_join(scopes)}{f' for {host}' if host else ''}, {until}"
        record_act(connection, who, "key.made", name, detail, now)


def revoke_key(database: Database, id_or_name: str, who: str) -> KeyRow | None:
    """Delete a key by its id or its name, and end the sessions of that name; what it was, `None` when there is none.

    Raises `Conflict` when several keys have that name.
    """
    with database.writing() as connection:
        database.lock(connection, "keys")
        found = [row for row in _list(connection) if id_or_name in (row.id, row.name)]
        if len(found) > 1:
            ids = ", ".join(row.id for row in found)
            raise Conflict(f"{len(found)} keys are named {id_or_name!r}: name the one by its id ({ids})")
        for row in found:
            connection.execute(delete(api_keys).where(api_keys.c.hash.startswith(row.id, autoescape=True)))
            connection.execute(delete(sessions).where(sessions.c.name == row.name))
            record_act(connection, who, "key.revoked", row.name, _join(row.scopes), utc_now())
    return found[0] if found else None


def list_keys(database: Database) -> list[KeyRow]:
    """Every key, expired ones too, by name."""
    with database.reading() as connection:
        return _list(connection)


def _list(connection: Connection) -> list[KeyRow]:
    key = api_keys.c
    query = select(key.hash, key.name, key.scopes, key.host, key.created_at, key.expires_at, key.last_used)
    rows = connection.execute(query.order_by(key.name, key.hash)).all()
    return [KeyRow(row[0][:ID_CHARACTERS], row[1], frozenset(row[2].split()), *row[3:]) for row in rows]


class KeyFinder:
    """Finds keys, and notes when each was last used: at most once a minute, and never at a request's cost."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._noted: dict[str, datetime] = {}

    def find(self, key_hash: str, now: datetime) -> Key | None:
        """The key with this hash, unless it has expired by `now`."""
        key = api_keys.c
        query = select(key.name, key.scopes, key.host, key.expires_at).where(key.hash == key_hash)
        with self._database.reading() as connection:
            row = connection.execute(query).first()
        if row is None or (row.expires_at is not None and row.expires_at <= now):
            return None
        self._note(key_hash, now)
        return Key(row.name, frozenset(row.scopes.split()), row.host, row.expires_at)

    def _note(self, key_hash: str, now: datetime) -> None:
        noted = self._noted.get(key_hash)
        if noted is not None and noted <= now < noted + _NOTE_EVERY:
            return
        self._noted[key_hash] = now
        used = update(api_keys).where(api_keys.c.hash == key_hash).values(last_used=now)
        try:
            with self._database.writing(wait_seconds=_NOTE_WAIT_SECONDS) as connection:
                connection.execute(used)
        except Unavailable:
            # a full or busy database must still answer questions; the next minute notes it
            return


def add_login_link(database: Database, link_hash: str, name: str, expires_at: datetime) -> None:
    """Add a link that lets `name` in once, until `expires_at`."""
    values = {"hash": link_hash, "name": name, "expires_at": expires_at, "used_at": None}
    with database.writing() as connection:
        connection.execute(upsert_row(connection, login_links, values))


def use_login_link(database: Database, link_hash: str, now: datetime) -> str | None:
    """Use up a link: the name that it lets in, or `None` when it is unknown, used or expired by `now`."""
    link = login_links.c
    unused = (link.hash == link_hash) & link.used_at.is_(None) & (link.expires_at > now)
    with database.writing() as connection:
        # old links are of no use to anybody
        connection.execute(delete(login_links).where(link.expires_at <= now - timedelta(days=1)))
        if connection.execute(update(login_links).where(unused).values(used_at=now)).rowcount != 1:
            return None
        name: str = connection.execute(select(link.name).where(link.hash == link_hash)).scalar_one()
    return name


def add_session(database: Database, session_hash: str, name: str, scopes: Iterable[str], expires_at: datetime) -> None:
    """Add a session of `name`; expired ones go."""
    values = {"hash": session_hash, "name": name, "scopes": _join(scopes), "expires_at": expires_at}
    with database.writing() as connection:
        connection.execute(delete(sessions).where(sessions.c.expires_at <= utc_now()))
        connection.execute(upsert_row(connection, sessions, values))


def find_session(database: Database, session_hash: str, now: datetime) -> Key | None:
    """Whose session this is, unless it has ended or expired by `now`."""
    session = sessions.c
    query = select(session.name, session.scopes, session.expires_at)
    query = query.where(session.hash == session_hash, session.expires_at > now)
    with database.reading() as connection:
        row = connection.execute(query).first()
    return None if row is None else Key(row.name, frozenset(row.scopes.split()), expires_at=row.expires_at)


def end_session(database: Database, session_hash: str) -> None:
    """End a session; one that is unknown is ended already."""
    with database.writing() as connection:
        connection.execute(delete(sessions).where(sessions.c.hash == session_hash))


def _join(scopes: Iterable[str]) -> str:
    return " ".join(sorted(set(scopes)))
