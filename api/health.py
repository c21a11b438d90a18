"""`GET /livez` and `GET /readyz`: for containers, people, tests and `up`. Neither needs a key."""

from __future__ import annotations

import time

from fastapi import APIRouter, Depends
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from api.access import Parts, PartsOf, check_query
from api.answers import AliveAnswer, ReadyAnswer
from api.body import answer_json
from core.errors import HeimdallError
from store import Store

router = APIRouter(tags=["health"], dependencies=[Depends(check_query)])


@router.head("/livez", include_in_schema=False)
@router.get("/livez", response_model=AliveAnswer, summary="Whether this process answers")
async def show_alive() -> Response:
    """200 whenever this process answers, whatever else is away."""
    return answer_json({"alive": True})


@router.head("/readyz", include_in_schema=False)
@router.get(
    "/readyz",
    response_model=ReadyAnswer,
    responses={503: {"model": ReadyAnswer, "description": "A part is away; it is named in `parts`."}},
    summary="Whether events go all the way",
)
async def show_ready(parts: PartsOf) -> Response:
    """200 when the ingestor has subscribed and its last commit worked, the broker and the database answer.

    503 is no reason to take the API out: `POST /ingest` is accepted all the same.
    """
    found = await judge_parts(parts)
    ready = all(state == "ok" for state in found.values())
    answer = answer_json({"ready": ready, "parts": found}, 200 if ready else 503)
    if not ready:
        answer.headers["Retry-After"] = "2"
    return answer


async def judge_parts(parts: Parts) -> dict[str, str]:
    """What events need on their way, each `ok` or what is wrong with it."""
    return {
        "broker": parts.bridge.state(),
        "ingestor": parts.bridge.signs.judge("ingestor", time.monotonic()),
        "database": await run_in_threadpool(_judge_database, parts.store),
    }


def _judge_database(store: Store) -> str:
    try:
        store.ping()
    except HeimdallError as error:
        return str(error)
    return "ok"
