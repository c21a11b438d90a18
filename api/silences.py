"""Silences and maintenance: `GET`, `POST` and `DELETE` of `/silences` and of `/maintenance`."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from api.access import Needs, Parts, PartsOf, check_query
from api.body import answer_json, decode_json, read_body
from api.problems import Refused
from api.silence_answers import (
    MAINTENANCE_BODY,
    SILENCE_BODY,
    EndedSilenceAnswer,
    MadeMaintenanceAnswer,
    MadeSilenceAnswer,
    MaintenanceAnswer,
    SilencesAnswer,
)
from core.clock import parse_duration, parse_time, rfc3339, utc_now
from core.errors import Invalid
from store import Key
from store.silences import Silence

MAX_BODY_BYTES = 65_536

Operator = Annotated[Key, Depends(Needs("operate"))]
SilenceId = Annotated[UUID, Path(alias="id", description="As it was told when it was made.")]
router = APIRouter(tags=["silences"], dependencies=[Depends(Needs("read")), Depends(check_query)])


@router.get("/silences", response_model=SilencesAnswer, summary="Of which hosts nothing new is told for now")
async def list_silences(parts: PartsOf) -> Response:
    """Those that are not over, in the order in which they were made."""
    found = await run_in_threadpool(parts.store.silences.read, False, utc_now())
    return answer_json({"success": True, "silences": [describe_silence(one) for one in found]})


@router.post(
    "/silences", response_model=MadeSilenceAnswer, status_code=201, openapi_extra=SILENCE_BODY, summary="Silence hosts"
)  # fmt: skip
async def silence(request: Request, parts: PartsOf, caller: Operator) -> Response:
    """From now on. They are watched as ever, and the end of what was told before is told."""
    wanted = await _read_body(request, ("hosts", "for", "kinds", "reason"))
    now = utc_now()
    until = now + parse_duration(wanted.get("for"), "for")
    kinds = None if wanted.get("kinds") is None else _read_texts(wanted, "kinds")
    made = Silence(_read_texts(wanted, "hosts"), now, until, kinds=kinds, reason=_read_reason(wanted))
    kept = await run_in_threadpool(parts.store.silences.add, made, caller.name, now)
    return answer_json({"success": True, "silence": describe_silence(kept)}, 201)


@router.delete("/silences/{id}", response_model=EndedSilenceAnswer, summary="End a silence")
async def end_silence(parts: PartsOf, caller: Operator, silence_id: SilenceId) -> Response:
    """What is still broken is told then. One that is over stays as it is; 404 when there was none."""
    return await _end(parts, caller, silence_id, False)


@router.get("/maintenance", response_model=MaintenanceAnswer, summary="Maintenance that is announced, or going on")
async def list_maintenance(parts: PartsOf) -> Response:
    """What was announced once and is not over; what comes again is in `rules.toml`."""
    found = await run_in_threadpool(parts.store.silences.read, True, utc_now())
    return answer_json({"success": True, "maintenance": [describe_silence(one) for one in found]})


@router.post(
    "/maintenance", response_model=MadeMaintenanceAnswer, status_code=201, openapi_extra=MAINTENANCE_BODY,
    summary="Announce maintenance",
)  # fmt: skip
async def announce(request: Request, parts: PartsOf, caller: Operator) -> Response:
    """Of its hosts nothing new is told from `from` until `until`."""
    wanted = await _read_body(request, ("hosts", "from", "until", "reason"))
    begins_at, until = (parse_time(wanted.get(key, ""), key) for key in ("from", "until"))
    made = Silence(_read_texts(wanted, "hosts"), begins_at, until, maintenance=True, reason=_read_reason(wanted))
    kept = await run_in_threadpool(parts.store.silences.add, made, caller.name, utc_now())
    return answer_json({"success": True, "maintenance": describe_silence(kept)}, 201)


@router.delete("/maintenance/{id}", response_model=EndedSilenceAnswer, summary="End or call off maintenance")
async def end_maintenance(parts: PartsOf, caller: Operator, silence_id: SilenceId) -> Response:
    """What is still broken is told then. What is over stays as it is; 404 when there was none."""
    return await _end(parts, caller, silence_id, True)


async def _end(parts: Parts, caller: Key, silence_id: UUID, maintenance: bool) -> Response:
    ended = await run_in_threadpool(parts.store.silences.end, str(silence_id), maintenance, caller.name, utc_now())
    if ended is None:
        raise Refused(404, f"there is no {'maintenance' if maintenance else 'silence'} with the id {silence_id}")
    return answer_json({"success": True, "ended": describe_silence(ended)})


async def _read_body(request: Request, known: Collection[str]) -> dict[str, Any]:
    wanted = decode_json(await read_body(request, MAX_BODY_BYTES))
    if not isinstance(wanted, dict):
        raise Invalid(f"the body must be an object with {', '.join(known)}")
    unknown = [key for key in wanted if key not in known]
    # who mistypes `kinds` would silence all
    if unknown:
        raise Invalid(f"unknown key {unknown[0]!r:.60}: use {', '.join(known)}")
    return wanted


def _read_texts(wanted: dict[str, Any], key: str) -> tuple[str, ...]:
    texts = wanted.get(key)
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise Invalid(f"{key} must be a list of texts")
    return tuple(texts)


def _read_reason(wanted: dict[str, Any]) -> str:
    reason = wanted.get("reason")
    if reason is not None and not isinstance(reason, str):
        raise Invalid("reason must be a text, or null")
    return reason or ""


def describe_silence(one: Silence) -> dict[str, Any]:
    """A silence or maintenance as API and command line show it."""
    return {
        "id": one.id,
        "hosts": [*one.hosts],
        "kinds": None if one.kinds is None else [*one.kinds],
        "reason": one.reason,
        "made_by": one.made_by,
        "made_at": rfc3339(one.made_at or one.begins_at),
        "from": rfc3339(one.begins_at),
        "until": rfc3339(one.until),
        "ended_at": None if one.ended_at is None else rfc3339(one.ended_at),
    }
