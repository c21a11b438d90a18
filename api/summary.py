"""`GET /summary`: the whole fleet at a glance."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from pydantic import Field
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from api.access import Needs, PartsOf, check_query
from api.answers import Answer, Success, Time
from api.body import answer_json
from api.health import judge_parts
from api.host_answers import AlertAnswer, OutageAnswer
from api.hosts import describe_outage
from api.shown import describe_alert
from core.clock import rfc3339, utc_now
from store import Condition, Store

router = APIRouter(tags=["hosts"], dependencies=[Depends(Needs("read")), Depends(check_query)])


class FleetAnswer(Answer):
    """How many hosts there are, and what they are held to be; one that is offline counts as why it is."""

    total: Annotated[int, Field(examples=[1248])]
    states: Annotated[dict[Condition, int], Field(examples=[{"crashed": 2, "online": 1246}])]


class ChangeAnswer(OutageAnswer):
    """An outage, and whose."""

    hostname: Annotated[str, Field(examples=["web-01"])]


class ChangesAnswer(Answer):
    """What changed since `since`: outages that began (`went`; not announced absences), and that ended (`returned`)."""

    since: Time
    went: int
    returned: int
    newest: Annotated[list[ChangeAnswer], Field(description="The newest 20 of both.")]


class OpenAlertsAnswer(Answer):
    """The alerts that are open, and those of them that somebody sees to."""

    open: int
    acked: int
    newest: Annotated[list[AlertAnswer], Field(description="The newest 20.")]


class StoredAnswer(Answer):
    """How many events were stored."""

    stored_last_minute: Annotated[int, Field(description="The last whole one.")]
    stored_last_hour: int
    minutes: Annotated[list[int], Field(description="Of the last 60 minutes, the running one last.")]
    severities_last_day: Annotated[list[int], Field(description="Severity 1 first.", examples=[[9, 5, 3, 1, 0]])]


class IngestAnswer(Answer):
    """Whether events go all the way, as `/readyz` has it. `behind_seconds` is null while that is not known."""

    behind_seconds: float | None
    ready: bool
    parts: Annotated[dict[str, str], Field(examples=[{"broker": "ok", "ingestor": "ok", "database": "ok"}])]


class SummaryAnswer(Answer):
    """The fleet at the moment `at`."""

    success: Success
    at: Time
    hosts: FleetAnswer
    changes: ChangesAnswer
    alerts: OpenAlertsAnswer
    events: StoredAnswer
    ingest: IngestAnswer


@router.get("/summary", response_model=SummaryAnswer, summary="The whole fleet at a glance")
async def show_summary(parts: PartsOf) -> Response:
    """How many hosts are held to be what, what changed in the last hour, alerts, events, and how far behind we are."""
    found = await judge_parts(parts)
    told = await run_in_threadpool(_summarise, parts.store)
    told["ingest"] = {
        "behind_seconds": parts.bridge.signs.behind_seconds(time.monotonic()),
        "ready": all(state == "ok" for state in found.values()),
        "parts": found,
    }
    return answer_json(told)


def _summarise(store: Store) -> dict[str, Any]:
    now = utc_now()
    states, found = store.host_list.count(), store.read_summary(now)
    return {
        "success": True,
        "at": rfc3339(now),
        "hosts": {"total": sum(states.values()), "states": states},
        "changes": {
            "since": rfc3339(now - timedelta(hours=1)),
            "went": found.went,
            "returned": found.returned,
            "newest": [{"hostname": one.source_host, **describe_outage(one)} for one in found.changes],
        },
        "alerts": {
            "open": found.open_alerts,
            "acked": found.acked_alerts,
            "newest": [describe_alert(one) for one in found.alerts],
        },
        "events": {
            "stored_last_minute": found.minutes[-2],
            "stored_last_hour": sum(found.minutes),
            "minutes": found.minutes,
            "severities_last_day": found.severities,
        },
    }
