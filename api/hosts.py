"""`GET /hosts`, `GET /hosts/{host}` and its outages."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Query
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from api.access import Needs, PartsOf, check_query
from api.body import Page, answer_json, answer_page
from api.heartbeats import describe_figures, find_host
from api.host_answers import HostPageAnswer, HostsAnswer, OneHostAnswer, OutagesAnswer
from api.host_pages import HostQuery, read_host_query, write_cursor
from core.clock import parse_time, rfc3339, utc_now
from store import FoundScore, Host, Outage, Store

DEFAULT_THRESHOLD_MINUTES = 15.0
OUTAGES_SHOWN = 20  # the newest; `/hosts/{host}/outages` has all
LONGEST_THRESHOLD_MINUTES = 52_560_000.0  # a hundred years: earlier moments need not exist in a calendar

router = APIRouter(tags=["hosts"], dependencies=[Depends(Needs("read")), Depends(check_query)])

Minutes = Annotated[
    float,
    Query(
        gt=0, le=LONGEST_THRESHOLD_MINUTES, allow_inf_nan=False,
        description="A host is active when it was last seen within so many minutes.", examples=[15],
    ),
]  # fmt: skip


@router.get("/hosts", response_model=HostsAnswer | HostPageAnswer, summary="Which hosts are alive")
async def list_hosts(
    parts: PartsOf,
    asked: Annotated[HostQuery | None, Depends(read_host_query)],
    inactive_threshold: Minutes = DEFAULT_THRESHOLD_MINUTES,
) -> Response:
    """Every host that was ever heard of, on one side of the threshold or the other.

    With any other parameter a page of the list of hosts instead: the worst verdict first, then the name, or as `sort`
    says; hosts that are enrolled and not heard yet are in it too.
    """
    if asked is not None:
        return await run_in_threadpool(_answer_page, parts.store, asked)
    return await run_in_threadpool(_answer_hosts, parts.store, inactive_threshold)


def _answer_page(store: Store, asked: HostQuery) -> Response:
    page = store.host_list.page(asked.wanted, asked.sort, asked.limit, asked.after, descending=asked.descending)
    shown = [describe_host(host) for host in page.hosts]
    if asked.outages_since is not None:
        outages = store.read_outages_of([host.hostname for host in page.hosts], asked.outages_since)
        for host in shown:
            host["outages"] = [describe_outage(one) for one in outages[host["hostname"]]]
    following = None if page.end is None else write_cursor(asked, page.end)
    return Page({"hosts": shown, "total": page.total}, following)


def _answer_hosts(store: Store, threshold: float) -> Response:
    """Encoded host by host: all at once, as dictionaries, they take more memory and nearly twice as long."""
    encoder, told, counted = msgspec.json.Encoder(), [bytearray(b"["), bytearray(b"[")], [0, 0]
    for host, active in store.walk_status(threshold, utc_now()):
        told[active] += b"," if counted[active] else b""
        encoder.encode_into(describe_host(host), told[active], -1)
        counted[active] += 1
    inactive_hosts, active_hosts = (msgspec.Raw(hosts + b"]") for hosts in told)
    return answer_json(
        {
            "success": True,
            "active_hosts": active_hosts,
            "inactive_hosts": inactive_hosts,
            "threshold_minutes": int(threshold) if threshold.is_integer() else threshold,
            "total_active": counted[True],
            "total_inactive": counted[False],
        }
    )


def describe_host(host: Host) -> dict[str, Any]:
    """A host as the API shows it. The verdict's keys are null while nobody has judged it."""
    return {
        "hostname": host.hostname,
        "os_type": host.os_type or None,
        "last_seen": None if host.last_seen is None else rfc3339(host.last_seen),
        "total_events": host.total_events,
        "state": host.state,
        "since": None if host.since is None else rfc3339(host.since),
        "reason": host.reason,
        "score": host.score,
        "tags": host.tags,
        "back_by": None if host.back_by is None else rfc3339(host.back_by),
    }


@router.get("/hosts/{host}", response_model=OneHostAnswer, summary="One host")
async def show_host(parts: PartsOf, host: str) -> Response:
    """The same keys as in `/hosts`, what the host says of itself, and what is known of its heartbeats and outages."""
    return await run_in_threadpool(_answer_host, parts.store, host)


@router.get("/hosts/{host}/outages", response_model=OutagesAnswer, summary="When a host was not alive")
async def list_outages(
    parts: PartsOf,
    host: str,
    limit: Annotated[int, Query(ge=1, le=1000, description="Outages in a page.")] = 100,
    cursor: Annotated[str | None, Query(description="`next` of the page before.", max_length=40)] = None,
) -> Response:
    """A page of its outages, last begun first: intervals in which it was offline, a zombie, away or overdue."""
    before = None if cursor is None else parse_time(cursor, "cursor")
    return await run_in_threadpool(_answer_outages, parts.store, host, limit, before)


def _answer_outages(store: Store, name: str, limit: int, before: datetime | None) -> Response:
    find_host(store, name)
    found = store.read_outages(name, limit + 1, before)
    return answer_page("outages", found, limit, describe_outage, lambda outage: rfc3339(outage.began_at))


def describe_outage(outage: Outage) -> dict[str, Any]:
    """An outage as the API shows it."""
    ended_at = None if outage.ended_at is None else rfc3339(outage.ended_at)
    return {"began_at": rfc3339(outage.began_at), "ended_at": ended_at, "cause": outage.cause}


def _answer_host(store: Store, name: str) -> Response:
    host = find_host(store, name)
    figures = store.read_beats(name, utc_now())
    return answer_json(
        {
            "success": True,
            **describe_host(host),
            "info": _read_info(store.get_info(name)),
            **_describe_score(store.read_score(name)),
            "metrics": None if figures is None else describe_figures(figures),
            "patterns": [
                {"kind": one.kind, "words": one.words, "data": msgspec.Raw(one.told.encode())}
                for one in store.read_patterns(name)
            ],
            "outages": [describe_outage(one) for one in store.read_outages(name, OUTAGES_SHOWN)],
        }
    )


def _describe_score(found: FoundScore | None) -> dict[str, Any]:
    """What made the score, as the watch has written it down."""
    told = {} if found is None else msgspec.json.decode(found.told)
    words = [told["words"]] if told else []
    return {"reasons": words, "score_parts": told.get("score_parts", []), "uptime": told.get("uptime", [])}


def _read_info(text: str | None) -> Any:
    if text is None:
        return None
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return text  # a row that something else wrote: shown as it is
