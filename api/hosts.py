"""`GET /hosts` and `GET /hosts/{host}`."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Query
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from api.access import Needs, PartsOf, check_query
from api.answers import HostsAnswer, OneHostAnswer
from api.body import answer_json
from api.problems import Refused
from core.clock import rfc3339, utc_now
from store import Host, HostStatus, Store

DEFAULT_THRESHOLD_MINUTES = 15.0
LONGEST_THRESHOLD_MINUTES = 52_560_000.0  # a hundred years: earlier moments need not exist in a calendar

router = APIRouter(tags=["hosts"], dependencies=[Depends(Needs("read")), Depends(check_query)])

Minutes = Annotated[
    float,
    Query(
        gt=0, le=LONGEST_THRESHOLD_MINUTES, allow_inf_nan=False,
        description="A host is active when it was last seen within so many minutes.", examples=[15],
    ),
]  # fmt: skip


@router.get("/hosts", response_model=HostsAnswer, summary="Which hosts are active, which are not")
async def list_hosts(parts: PartsOf, inactive_threshold: Minutes = DEFAULT_THRESHOLD_MINUTES) -> Response:
    """Every host that was ever heard of, on one side of the threshold or the other."""
    return await run_in_threadpool(_answer_hosts, parts.store, inactive_threshold)


def _answer_hosts(store: Store, threshold: float) -> Response:
    status: HostStatus = store.get_host_status(threshold, utc_now())
    return answer_json(
        {
            "success": True,
            "active_hosts": [describe_host(host) for host in status.active],
            "inactive_hosts": [describe_host(host) for host in status.inactive],
            "threshold_minutes": int(threshold) if threshold.is_integer() else threshold,
            "total_active": len(status.active),
            "total_inactive": len(status.inactive),
        }
    )


def describe_host(host: Host) -> dict[str, Any]:
    """A host as the API shows it. The verdict's four keys are null: none is made yet."""
    return {
        "hostname": host.hostname,
        "os_type": host.os_type,
        "last_seen": None if host.last_seen is None else rfc3339(host.last_seen),
        "total_events": host.total_events,
        "state": None,
        "since": None,
        "reason": None,
        "score": None,
        "tags": host.tags,
    }


@router.get("/hosts/{host}", response_model=OneHostAnswer, summary="One host")
async def show_host(parts: PartsOf, host: str) -> Response:
    """The same keys as in `/hosts`, and `info`: what the host says of itself."""
    return await run_in_threadpool(_answer_host, parts.store, host)


def _answer_host(store: Store, name: str) -> Response:
    # PostgreSQL takes no NUL in a value, and no host's name holds one
    host = None if "\0" in name else store.get_host(name)
    if host is None:
        raise Refused(404, f"there is no host {name!r:.80}")
    return answer_json({"success": True, **describe_host(host), "info": _read_info(store.get_info(name))})


def _read_info(text: str | None) -> Any:
    if text is None:
        return None
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return text  # a row that something else wrote: shown as it is
