"""`GET /alerts`."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from api.access import Needs, PartsOf, check_query
from api.body import answer_page
from api.host_answers import AlertsAnswer
from core.clock import rfc3339
from core.messages import Alert
from store import Store

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


def _answer_alerts(store: Store, limit: int, state: str | None, before: UUID | None, incident: UUID | None) -> Response:
    asked = [None if one is None else str(one) for one in (before, incident)]
    found = store.read_alerts(limit + 1, state, *asked)
    return answer_page("alerts", found, limit, describe_alert, lambda alert: alert.id)


def describe_alert(alert: Alert) -> dict[str, Any]:
    """An alert as the API shows it."""
    return {
        "id": alert.id,
        "kind": alert.kind,
        "source_host": alert.source_host,
        "state": alert.state,
        "since": rfc3339(alert.since),
        "opened_at": rfc3339(alert.opened_at),
        "resolved_at": None if alert.resolved_at is None else rfc3339(alert.resolved_at),
        "text": alert.text,
        "incident": alert.incident,
        "subject": alert.subject,
        "severity": alert.severity,
    }
