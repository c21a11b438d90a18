"""Pages of `GET /hosts`: which filters and orders there are, and the cursor."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, NamedTuple, get_args

import msgspec
from fastapi import Query

from core.clock import parse_time, rfc3339
from core.errors import Invalid
from core.messages import OS_TYPES, VerdictState
from store import CONDITIONS, SORTS, Condition, HostFilter, Place, Sort

DEFAULT_LIMIT = 100
_OFFLINE: frozenset[Condition] = frozenset({"crashed", "silent", "stopped", "shutdown", "revoked"})
_STATES = sorted({*CONDITIONS, *get_args(VerdictState)})
_MOMENTS = ("last_seen", "since")


class HostQuery(NamedTuple):
    """What a page is asked for by. `after` is where the page before ended."""

    wanted: HostFilter
    sort: Sort
    descending: bool
    limit: int
    after: Place | None
    outages_since: datetime | None


def read_host_query(
    limit: Annotated[int | None, Query(ge=1, le=1000, description="Hosts in a page.", examples=[50])] = None,
    cursor: Annotated[str | None, Query(max_length=1000, description="`next` of the page before.")] = None,
    q: Annotated[str | None, Query(max_length=253, description="A part of the name.", examples=["web"])] = None,
    state: Annotated[
        list[str] | None, Query(max_length=20, description=f"One or several of {', '.join(_STATES)}.", examples=[[]])
    ] = None,
    os_type: Annotated[str | None, Query(max_length=40, examples=["LINUX"])] = None,
    tag: Annotated[str | None, Query(max_length=500)] = None,
    sort: Annotated[
        str | None,
        Query(max_length=40, description=f"One of {', '.join(SORTS)}; `-` before it: descending.", examples=["state"]),
    ] = None,
    outages_since: Annotated[
        str | None, Query(max_length=40, description="Tell each host's outages that lasted then or later (RFC 3339).")
    ] = None,
) -> HostQuery | None:
    """The page that the query asks for; `None` when nothing of it is there. Raises `Invalid`, naming the key."""
    if (limit, cursor, q, state, os_type, tag, sort, outages_since) == (None,) * 8:
        return None
    for key, text in (("q", q), ("tag", tag)):
        if text and "\0" in text:
            raise Invalid(f"{key} holds a NUL character, which no host's does")
    if os_type and os_type.upper() not in OS_TYPES:
        raise Invalid(f"os_type {os_type!r:.60} is unknown: use one of {', '.join(OS_TYPES)}")
    wanted = HostFilter(q or "", _read_states(state or []), (os_type or "").upper(), tag or "")
    name = (sort or "state").removeprefix("-")
    if name not in SORTS:
        raise Invalid(f"sort {sort!r:.60} is unknown: use one of {', '.join(SORTS)}, with - before it for descending")
    by, descending = name, (sort or "").startswith("-")
    after = None if cursor is None else _read_cursor(cursor, by, descending)
    since = None if outages_since is None else parse_time(outages_since, "outages_since")
    return HostQuery(wanted, by, descending, limit or DEFAULT_LIMIT, after, since)


def _read_states(names: Iterable[str]) -> frozenset[Condition]:
    found: set[Condition] = set()
    for name in names:
        if name == "offline":
            found |= _OFFLINE
        elif name in CONDITIONS:
            found.add(name)
        else:
            raise Invalid(f"state {name!r:.60} is unknown: use one of {', '.join(_STATES)}")
    return frozenset(found)


def write_cursor(query: HostQuery, end: Place) -> str:
    """What asks for the page behind `end`."""
    value = rfc3339(end.value) if isinstance(end.value, datetime) else end.value
    told = msgspec.json.encode((query.sort, query.descending, value, end.host))
    return base64.urlsafe_b64encode(told).decode().rstrip("=")


def _read_cursor(text: str, sort: Sort, descending: bool) -> Place:
    kind = int if sort in ("state", "total_events", "score") else str
    try:
        told = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        by, falling, value, host = msgspec.json.decode(told, type=tuple[str, bool, kind, str])  # type: ignore[valid-type]
        if (by, falling) != (sort, descending) or "\0" in host or (kind is int and abs(value) >= 2**63):
            raise ValueError
        place = parse_time(value, "cursor") if sort in _MOMENTS else value
    except (ValueError, msgspec.DecodeError) as error:
        raise Invalid(f"cursor {text!r:.60} is none of ours for this sort: use `next` of the page before") from error
    return Place(place, host)
