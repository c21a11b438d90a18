"""`GET /dead`: what was refused, and why."""

from __future__ import annotations

from codecs import getincrementaldecoder
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from pydantic import Field
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from api.access import Needs, PartsOf, check_query
from api.answers import Answer, Success, Time
from api.body import answer_page
from api.events import Cursor, read_cursor
from core.clock import rfc3339
from store import Store
from store.dead_pages import StoredLetter

# what was refused may hold anything, such as a password that was typed in the wrong place
router = APIRouter(tags=["events"], dependencies=[Depends(Needs("operate")), Depends(check_query)])
_decoder = getincrementaldecoder("utf-8")


class LetterAnswer(Answer):
    """A message, or an event of one, that was refused. All of it may be hostile."""

    id: Annotated[str, Field(examples=["17"])]
    received_at: Time
    topic: Annotated[str, Field(examples=["heimdall/v1/hosts/web-01/events"])]
    source_host: Annotated[str | None, Field(examples=["web-01"])]
    reason: Annotated[str, Field(examples=["severity 9 is outside 1 to 5"])]
    size: Annotated[int, Field(description="Of the whole, in bytes.", examples=[180])]
    payload: Annotated[str, Field(description="What can be read of its first 4 KiB.", examples=['{"severity":9}'])]
    cut: Annotated[bool, Field(description="Whether there was more of it.", examples=[False])]


class DeadAnswer(Answer):
    """A page of what was refused, last received first. `next` is the `cursor` of the page behind it."""

    success: Success
    dead: list[LetterAnswer]
    next: str | None


@router.get("/dead", response_model=DeadAnswer, summary="What was refused")
async def list_dead(
    parts: PartsOf,
    limit: Annotated[int, Query(ge=1, le=1000, description="Letters in a page.")] = 100,
    cursor: Cursor = None,
) -> Response:
    """A page of dead letters, last received first."""
    return await run_in_threadpool(_answer_dead, parts.store, limit, read_cursor(cursor))


def _answer_dead(store: Store, limit: int, before: int | None) -> Response:
    found = store.read_dead(limit + 1, before)
    return answer_page("dead", found, limit, _describe, lambda letter: str(letter.id))


def _describe(letter: StoredLetter) -> dict[str, Any]:
    cut = letter.size > len(letter.payload)
    return {
        "id": str(letter.id),
        "received_at": rfc3339(letter.received_at),
        "topic": letter.topic,
        "source_host": letter.source_host,
        "reason": letter.reason,
        "size": letter.size,
        # a character of which the end was cut away is left out
        "payload": _decoder("replace").decode(letter.payload, final=not cut),
        "cut": cut,
    }
