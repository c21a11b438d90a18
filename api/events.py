"""`GET /events` and `GET /events/{event_id}`."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from api.access import Needs, PartsOf, check_query
from api.answers import EventsAnswer, OneEventAnswer
from api.body import Page, answer_json
from api.export import MEDIA_TYPES, Export, Format, choose_format
from api.problems import Refused
from api.shown import EVENT_KEYS, describe_event
from core.clock import parse_time
from core.errors import Invalid
from core.messages import EVENT_TYPES, OS_TYPES
from store import EventFilter, Store

router = APIRouter(tags=["events"], dependencies=[Depends(Needs("read")), Depends(check_query)])

Text = Annotated[str | None, Query(max_length=253)]
Moment = Annotated[str | None, Query(max_length=40, description="RFC 3339", examples=["2025-12-03T20:49:50Z"])]


def read_filter(
    source_host: Text = None,
    event_type: Annotated[str | None, Query(max_length=40, examples=["LOGIN_FAIL"])] = None,
    severity_gte: Annotated[int | None, Query(ge=1, le=5, description="At least so severe.")] = None,
    os_type: Annotated[str | None, Query(max_length=40, examples=["LINUX"])] = None,
    source_ip: Text = None,
    q: Annotated[Text, Query(description="A part of the message or the user.")] = None,
    since: Annotated[Moment, Query(description="Stored at or after this time.")] = None,
    until: Annotated[Moment, Query(description="Stored before this time.")] = None,
    happened_since: Annotated[Moment, Query(description="Happened at or after this time.")] = None,
    happened_until: Annotated[Moment, Query(description="Happened before this time.")] = None,
) -> EventFilter:
    """The filter that the query parameters make. Raises `Invalid`, naming the one that does not fit."""
    for key, text in (("source_host", source_host), ("source_ip", source_ip), ("q", q)):
        if text is not None and "\0" in text:
            raise Invalid(f"{key} holds a NUL character, which no event does")
    return EventFilter(
        source_host=source_host,
        event_type=_one_of("event_type", event_type, EVENT_TYPES),
        os_type=_one_of("os_type", os_type, OS_TYPES),
        source_ip=source_ip,
        severity_gte=severity_gte,
        q=q or None,
        since=read_moment("since", since),
        until=read_moment("until", until),
        happened_since=read_moment("happened_since", happened_since),
        happened_until=read_moment("happened_until", happened_until),
    )


def _one_of(key: str, value: str | None, allowed: tuple[str, ...]) -> str | None:
    if value is None:
        return None
    if value.upper() not in allowed:
        raise Invalid(f"{key} {value!r:.60} is unknown: use one of {', '.join(allowed)}")
    return value.upper()


def read_moment(key: str, text: str | None) -> datetime | None:
    """The time that the query parameter `key` names. Raises `Invalid`."""
    if text is None:
        return None
    if text[-6:-5] == " " and text.count(":") == 3:
        text = f"{text[:-6]}+{text[-5:]}"  # a plus sign that was not escaped in the address is read as a space
    return parse_time(text, key)


Cursor = Annotated[str | None, Query(description="`next` of the page before.", max_length=20)]


@router.get(
    "/events",
    response_model=EventsAnswer,
    responses={200: {"content": {MEDIA_TYPES["ndjson"]: {}, "text/csv": {}}}},
    summary="What happened",
)
async def list_events(
    parts: PartsOf,
    wanted: Annotated[EventFilter, Depends(read_filter)],
    request: Request,
    limit: Annotated[int, Query(ge=1, le=1000, description="Events in a page.")] = 100,
    cursor: Cursor = None,
    format: Annotated[Format | None, Query(description="Or by the header `Accept`.")] = None,
) -> Response:
    """A page of the events that fit every filter, last stored first.

    What is rare is looked for as long as a page may take: then there may be fewer than `limit`, and more at `next`.
    As NDJSON or CSV everything that fits is streamed, whatever `limit` says.
    """
    shape = choose_format(format, request.headers.get("accept", ""))
    if shape != "json":
        return await run_in_threadpool(
            Export, parts.store, wanted, read_cursor(cursor), shape, EVENT_KEYS, describe_event
        )
    return await run_in_threadpool(_answer_events, parts.store, wanted, limit, read_cursor(cursor))


def read_cursor(text: str | None) -> int | None:
    """The id that `text` stands for, `None` for the first page. Raises `Invalid`."""
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and int(text) < 2**63):
        raise Invalid(f"cursor {text!r} is none of ours: use `next` of the page before")
    return int(text)


def _answer_events(store: Store, wanted: EventFilter, limit: int, before: int | None) -> Response:
    page = store.events(wanted, limit, before)
    following = None if page.end is None else str(page.end)
    return Page({"events": [describe_event(event) for event in page.events]}, following)


@router.get("/events/{event_id}", response_model=OneEventAnswer, summary="One event")
async def show_event(parts: PartsOf, event_id: str) -> Response:
    """The event with this id, its keys at the top level."""
    return await run_in_threadpool(_answer_event, parts.store, event_id)


def _answer_event(store: Store, event_id: str) -> Response:
    event = None if "\0" in event_id else store.get_event(event_id)
    if event is None:
        raise Refused(404, f"there is no event {event_id!r:.80}")
    return answer_json({"success": True, **describe_event(event)})
