"""`GET /hosts/{host}/heartbeats`."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from api.access import Needs, PartsOf, check_query
from api.body import answer_json
from api.events import Moment, read_moment
from api.host_answers import HeartbeatsAnswer
from api.problems import Refused
from core.clock import rfc3339, utc_now
from store import BeatFigures, BeatHour, Host, Store

router = APIRouter(tags=["hosts"], dependencies=[Depends(Needs("read")), Depends(check_query)])

_NONE_YET: dict[str, Any] = {
    "boot": None, "interval_s": None, "spool": None, "beat_at": None, "began_at": None, "total": 0, "expected": 0.0,
    "lost": 0, "loss": None, "latency_mean": None, "latency_p95": None, "jitter": None, "skew": None,
    "boot_returns": 0, "boot_returned_at": None,
}  # fmt: skip


@router.get("/hosts/{host}/heartbeats", response_model=HeartbeatsAnswer, summary="A host's heartbeats")
async def show_heartbeats(
    parts: PartsOf,
    host: str,
    since: Annotated[Moment, Query(description="The first hour; 14 days ago at the earliest, and by itself.")] = None,
) -> Response:
    """How regular they are, how many were lost, how long they took; and the same an hour."""
    return await run_in_threadpool(_answer_heartbeats, parts.store, host, read_moment("since", since))


def _answer_heartbeats(store: Store, name: str, since: datetime | None) -> Response:
    find_host(store, name)
    now = utc_now()
    figures = store.read_beats(name, now)
    hours = store.read_beat_hours(name, since, now)
    told = _NONE_YET if figures is None else describe_figures(figures)
    shown = [describe_hour(hour) for hour in hours]
    return answer_json({"success": True, "hostname": name, **told, "hours": shown})


def find_host(store: Store, name: str) -> Host:
    """The host `name`. Raises `Refused` (404) when nothing is known of it."""
    # PostgreSQL takes no NUL in a value, and no host's name holds one
    host = None if "\0" in name else store.get_host(name)
    if host is None:
        raise Refused(404, f"there is no host {name!r:.80}")
    return host


def describe_figures(figures: BeatFigures) -> dict[str, Any]:
    """The figures as the API shows them."""
    told = {key: getattr(figures, key) for key in _NONE_YET}
    return {key: rfc3339(value) if isinstance(value, datetime) else value for key, value in told.items()}


def describe_hour(hour: BeatHour) -> dict[str, Any]:
    """An hour as the API shows it."""
    return {
        "hour": rfc3339(hour.hour),
        "beats": hour.beats,
        "expected": hour.expected,
        "lost": hour.lost,
        "latency_mean": hour.latency_mean,
        "latency_p95": hour.latency_p95,
    }
