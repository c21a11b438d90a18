"""Who may call: keys, sessions and login links. The database holds hashes, never a key."""

from __future__ import annotations

import getpass
import hashlib
import hmac
import secrets
import time
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

from starlette.concurrency import run_in_threadpool

from api.scopes import GIVES, parse_scopes
from core.clock import utc_now
from core.errors import Invalid, Unavailable
from core.home import Home
from core.settings import Settings
from store import Key, Store

LINK_MINUTES = 15
SESSION_DAYS = 30
CACHE_SECONDS = 5.0  # how long a revoked key may go on, and how rarely the database is asked
CACHE_ENTRIES = 10_000

KEY_SCOPES = ("agent", "read")
LINK_SCOPES = GIVES["admin"]
LONGEST_NAME = 80
# keys that `register_keys` lets in at each start, and what keeps them out
KEPT_KEYS = {"api-key": "delete the file $HEIMDALL_HOME/api-key", "SIEM_API_KEY": "unset the variable"}


def hash_secret(secret: str) -> str:
    """SHA-256 of a key or token, in hexadecimal. No salt: each is 256 random bits, not a password."""
    # whatever JSON can say is hashed, half a surrogate pair too: it is nobody's key
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def make_secret() -> str:
    """A new key or token: 256 random bits as 43 characters."""
    return secrets.token_urlsafe(32)


def register_keys(settings: Settings, store: Store) -> None:
    """Let the key in `$HEIMDALL_HOME/api-key` in, and `SIEM_API_KEY` beside it when that is set.

    The file is made when it is absent: with `SIEM_API_KEY`, else with a new key. Raises `Unavailable`
    (home or database) and `Invalid` (others may read the file).
    """
    kept = Home(settings.home).make_api_key(settings.api_key)
    store.add_key(hash_secret(kept), "api-key", KEY_SCOPES)
    if settings.api_key and settings.api_key != kept:
        store.add_key(hash_secret(settings.api_key), "SIEM_API_KEY", KEY_SCOPES)


def issue_key(store: Store, name: str, scopes: Iterable[str], expires_at: datetime | None, who: str) -> str:
    """Make a key of `name` with `scopes` as a person writes them; returns the key, which is kept nowhere.

    Raises `Invalid` (name, scopes), `Conflict` (the name is taken) and `Unavailable`.
    """
    if not name.strip() or name != name.strip() or not name.isprintable() or len(name) > LONGEST_NAME:
        raise Invalid(f"name {name!r:.100}: use 1 to {LONGEST_NAME} printable characters, without spaces at its ends")
    if name in KEPT_KEYS:
        raise Invalid(f"name {name!r} belongs to the key that each start lets in: choose another")
    given, host = parse_scopes(scopes)
    key = make_secret()
    store.make_key(hash_secret(key), name, given, host, expires_at, who)
    return key


def make_login_link(store: Store, now: datetime) -> str:
    """A token for `/login?token=…`: good once, for 15 minutes from `now`. Raises `Unavailable`."""
    token = make_secret()
    store.add_login_link(hash_secret(token), local_name(), now + timedelta(minutes=LINK_MINUTES))
    return token


def local_name() -> str:
    """Who acts by a command on this machine, for the audit trail."""
    try:
        return f"local:{getpass.getuser()}"
    except (KeyError, OSError):
        return "local:unknown"  # a container's user id without a name


class _Known(NamedTuple):
    digest: str
    key: Key
    until: float


class Authenticator:
    """Finds keys and sessions by their hash, and remembers those found for a few seconds.

    While the database is away, what was known when it went goes on being known: the API accepts
    `POST /ingest` throughout. Unknown keys are not remembered, so that a new one works at once.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[str, _Known] = {}

    async def find_key(self, key: str) -> Key | None:
        """Whose `key` it is; `None` when nobody's. Raises `Unavailable` when that cannot be known."""
        return await self._find("key:", key, self._store.find_key)

    def forget_keys(self) -> None:
        """Ask the database again for every key: one has been revoked."""
        self._known.clear()

    async def find_session(self, token: str) -> Key | None:
        """Whose session `token` is; `None` when there is none. Raises `Unavailable`."""
        return await self._find("session:", token, self._store.find_session)

    async def end_session(self, token: str) -> None:
        """End a session, known or not. Raises `Unavailable`."""
        digest = hash_secret(token)
        self._known.pop(_place("session:", digest), None)
        await run_in_threadpool(self._store.end_session, digest)

    async def open_session(self, name: str, scopes: tuple[str, ...], until: datetime | None = None) -> str:
        """The token of a new session of `name`, good for 30 days, or `until` its key ends. Raises `Unavailable`."""
        token = make_secret()
        expires_at = utc_now() + timedelta(days=SESSION_DAYS)
        if until is not None:
            expires_at = min(expires_at, until)
        await run_in_threadpool(self._store.add_session, hash_secret(token), name, scopes, expires_at)
        return token

    async def use_link(self, token: str) -> str | None:
        """Who a login link was made for, once; `None` when it is unknown, used or too old. Raises `Unavailable`."""
        return await run_in_threadpool(self._store.use_login_link, hash_secret(token), utc_now())

    async def _find(self, kind: str, secret: str, look_up: Callable[[str, datetime], Key | None]) -> Key | None:
        digest = hash_secret(secret)
        place = _place(kind, digest)
        known = self._known.get(place)
        # found by a part of the hash, so that the whole of it is compared in constant time
        if known is not None and not hmac.compare_digest(known.digest, digest):
            known = None
        if known is not None and known.until > time.monotonic():
            return known.key
        try:
            key = await run_in_threadpool(look_up, digest, utc_now())
        except Unavailable:
            if known is None:
                raise
            key = known.key
        if key is None:
            self._known.pop(place, None)
            return None
        if len(self._known) >= CACHE_ENTRIES:
            self._known.clear()
        self._known[place] = _Known(digest, key, time.monotonic() + CACHE_SECONDS)
        return key


def _place(kind: str, digest: str) -> str:
    return kind + digest[:16]
