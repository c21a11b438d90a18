"""`GET /alerts` and `POST /alerts/{id}/ack`."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from api.access import Needs, PartsOf, check_query
from api.body import answer_json, answer_page
from api.host_answers import AckedAlertAnswer, AlertsAnswer
from api.problems import Refused
from api.shown import describe_alert
from core.clock import utc_now
from store import Key, Store

router = APIRouter(tags=["alerts"], dependencies=[Depends(Needs("read")), Depends(check_query)])


@router.get("/alerts", response_model=AlertsAnswer, summary="What somebody should know")
async def list_alerts(
    parts: PartsOf,
    state: Annotated[Literal["open", "resolved"] | None, Query(description="Only these; else both.")] = None,
    incident: Annotated[UUID | None, Query(description="Only those that were opened together.")] = None,
    limit: Annotated[int, Query(ge=1, le=1000, description="Alerts in a page.")] = 100,
    cursor: Annotated[UUID | None, Query(description="`next` of the page before.")] = None,
) -> Response:
    """A page of alerts, last opened first."""
    return await run_in_threadpool(_answer_alerts, parts.store, limit, state, cursor, incident)


@router.post("/alerts/{id}/ack", response_model=AckedAlertAnswer, summary="Say that you see to an alert")
async def ack_alert(
    parts: PartsOf,
    caller: Annotated[Key, Depends(Needs("operate"))],
    alert_id: Annotated[UUID, Path(alias="id")],
) -> Response:
    """It is escalated no more; its end is told. Who says so first is kept. 404 without one, 409 when it is resolved."""
    alert = await run_in_threadpool(parts.store.ack_alert, str(alert_id), caller.name, utc_now())
    if alert is None:
        raise Refused(404, f"there is no alert with the id {alert_id}")
    parts.feed.tell(alert)
    return answer_json({"success": True, "alert": describe_alert(alert)})


def _answer_alerts(store: Store, limit: int, state: str | None, before: UUID | None, incident: UUID | None) -> Response:
    asked = [None if one is None else str(one) for one in (before, incident)]
    found = store.read_alerts(limit + 1, state, *asked)
    return answer_page("alerts", found, limit, describe_alert, lambda alert: alert.id)
