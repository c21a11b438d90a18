"""API keys, sessions and login links: hashes alone, never what they are hashes of."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, select, update

from core.clock import utc_now
from core.errors import Unavailable
from store.database import Database
from store.rows import Key
from store.tables import api_keys, login_links, sessions
from store.upserts import upsert_row

_NOTE_EVERY = timedelta(minutes=1)
_NOTE_WAIT_SECONDS = 0.05


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
        return Key(row.name, frozenset(row.scopes.split()), row.host)

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
    query = select(session.name, session.scopes).where(session.hash == session_hash, session.expires_at > now)
    with database.reading() as connection:
        row = connection.execute(query).first()
    return None if row is None else Key(row.name, frozenset(row.scopes.split()))


def end_session(database: Database, session_hash: str) -> None:
    """End a session; one that is unknown is ended already."""
    with database.writing() as connection:
        connection.execute(delete(sessions).where(sessions.c.hash == session_hash))


def _join(scopes: Iterable[str]) -> str:
    return " ".join(sorted(set(scopes)))
