"""`POST /ingest`: events of HTTP agents, kept on disk before the answer."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from api.access import PartsOf
from api.answers import INGEST_BODY, Ingested
from api.body import answer_json, decode_json, read_body
from api.heartbeat import SAID, Agent, Said
from api.intake import Defaults, Intake, list_entries, take_events
from api.problems import Refused
from api.voices import Voice

MAX_BODY_BYTES = 16 * 1024 * 1024
_SMALL_BODY_BYTES = 32 * 1024  # decoded at once; a larger one in a thread, so that heartbeats go on

router = APIRouter(tags=["agents"])


@router.post("/ingest", response_model=Ingested, openapi_extra=SAID | INGEST_BODY, summary="Send events")
async def post_events(request: Request, parts: PartsOf, caller: Agent, said: Said) -> Response:
    """Answers once the events are flushed to the gateway's spool, also while broker and database are away.

    The same events again change nothing. What does not fit, or is of a host that the key may not speak for, is in
    `rejected`; 422 when nothing fits, 403 when nothing may be sent.
    """
    body = await read_body(request, MAX_BODY_BYTES)
    voice = await parts.voices.of(caller)
    if len(body) <= _SMALL_BODY_BYTES:
        intake = _take_body(body, said, voice)
    else:
        intake = await run_in_threadpool(_take_body, body, said, voice)
    rejected = [{"index": one.place, "reason": one.reason} for one in intake.rejected]
    if rejected and not intake.events:
        status = 403 if all(one.forbidden for one in intake.rejected) else 422
        raise Refused(status, f"none of {len(rejected)} events fits: {intake.rejected[0].reason}", rejected=rejected)
    await parts.gateway.keep(intake.events)
    count = len(intake.events)
    return answer_json(
        {"success": True, "message": f"Processed {count} events", "events_processed": count, "rejected": rejected}
    )


def _take_body(body: bytes, said: Defaults, voice: Voice) -> Intake:
    return take_events(list_entries(decode_json(body)), said, voice)
