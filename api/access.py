"""Access: what a request must show before a route answers it, and the parts that routes work with."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Annotated, Any, cast

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyCookie, APIKeyHeader

from api.auth import Authenticator, hash_secret
from api.bridge import Bridge
from api.feed import Feed
from api.gateway import Gateway
from api.problems import Refused
from api.tries import Tries
from api.voices import Voices
from core.settings import Settings
from store import Key, Store

_SAFE_METHODS = ("GET", "HEAD")

_key_header = APIKeyHeader(
    name="api-key", auto_error=False, scheme_name="key", description="The text of `$HEIMDALL_HOME/api-key`."
)
_session_cookie = APIKeyCookie(
    name="heimdall-{port}",
    auto_error=False,
    scheme_name="session",
    description="Set by `GET /login` and `POST /sessions`; `{port}` is the port of the API.",
)


@dataclass(frozen=True)
class Parts:
    """What the routes share."""

    settings: Settings
    store: Store
    bridge: Bridge
    gateway: Gateway
    feed: Feed
    auth: Authenticator
    voices: Voices
    tries: Tries

    @property
    def cookie(self) -> str:
        """The session cookie's name. Cookies know no ports, so two APIs on one machine need two names."""
        return f"heimdall-{self.settings.http_port}"


def get_parts(request: Request) -> Parts:
    """The parts of the application that answers `request`."""
    return cast(Parts, request.app.state.parts)


PartsOf = Annotated[Parts, Depends(get_parts)]


class Needs:
    """A dependency: the caller's key or session with `scope` (`None`: with any), else 401 or 403."""

    def __init__(self, scope: str | None) -> None:
        self.scope = scope

    async def __call__(
        self,
        request: Request,
        parts: PartsOf,
        key: Annotated[str | None, Security(_key_header)],
        _session: Annotated[str | None, Security(_session_cookie)],
    ) -> Key:
        """The caller. Raises `Refused` (401, 403) and `Unavailable`."""
        caller = await find_caller(request, parts, key)
        if self.scope is not None and self.scope not in caller.scopes:
            raise Refused(403, f"{caller.name} may not do this: the scope {self.scope!r} is needed")
        return caller


async def find_caller(request: Request, parts: Parts, key: str | None) -> Key:
    """Whose key or session came with `request`. Raises `Refused` (401, 403) and `Unavailable`."""
    if key:
        found = await try_key(request, parts, key)
        if found is None:
            raise _no_key("the key in the header api-key is unknown or has expired")
        return found
    token = request.cookies.get(parts.cookie)
    if not token:
        raise _no_key("the header api-key is missing")
    found = await parts.auth.find_session(token)
    if found is None:
        raise _no_key("the session has ended")
    if request.method not in _SAFE_METHODS:
        check_same_origin(request, must_be_said=True)
    return found


async def try_key(request: Request, parts: Parts, key: str) -> Key | None:
    """Whose `key` it is, `None` when nobody's.

    Raises `Refused` (429) when its address has tried too many wrong ones, and `Unavailable`.
    """
    digest = hash_secret(key)
    address = expect_patience(request, parts, digest)
    found = await parts.auth.find_key(key)
    if found is None:
        parts.tries.was_wrong(address, digest, time.monotonic())
    else:
        parts.tries.was_right(address, digest)
    return found


def expect_patience(request: Request, parts: Parts, digest: str) -> str:
    """The client's address. Raises `Refused` (429) when it has tried too many wrong keys or tokens.

    `digest` is the hash of what it sends now.
    """
    address = request.client.host if request.client else ""
    seconds = parts.tries.seconds_to_wait(address, digest, time.monotonic())
    if seconds > 0:
        wait = math.ceil(seconds)
        raise Refused(429, f"too many wrong keys came from {address}: wait {wait} s", {"Retry-After": str(wait)})
    return address


def _no_key(what: str) -> Refused:
    return Refused(
        401,
        f"{what}: send the header api-key with the text of the file $HEIMDALL_HOME/api-key (~/.heimdall/api-key)",
        {"WWW-Authenticate": 'ApiKey realm="Heimdall", header="api-key"'},
    )


def check_same_origin(request: Request, must_be_said: bool) -> None:
    """Refuse (403) what another site's page sent. `must_be_said`: also when the browser says nothing.

    Browsers leave `Sec-Fetch-Site` out where there is neither TLS nor loopback; there `Origin` tells.
    """
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site is not None:
        same = site == "same-origin"
    elif origin is not None:
        same = origin.partition("://")[2] == request.headers.get("host")
    else:
        same = not must_be_said
    if not same:
        raise Refused(403, "the request comes from a page of another site")


async def check_query(request: Request) -> None:
    """A dependency of reading routes: refuse (422) query parameters that the route does not know.

    So a mistyped filter is noticed, instead of answered with everything.
    """
    # of the framework's types only this route has what it was declared with
    known = _list_queries(cast(Any, request.scope["route"]).dependant)
    unknown = sorted(set(request.query_params) - known)
    if unknown:
        fits = f"use {', '.join(sorted(known))}" if known else "there are none here"
        raise Refused(422, f"unknown query parameter {', '.join(repr(name)[:60] for name in unknown)}: {fits}")
    # known parameters hold no secrets: fit for the log
    request.scope["heimdall.query"] = request.scope["query_string"].decode("latin-1")


def _list_queries(dependant: Any) -> set[str]:
    """The query parameters of a route and of what it depends on."""
    known = {field.alias for field in dependant.query_params}
    return known.union(*(_list_queries(one) for one in dependant.dependencies))
