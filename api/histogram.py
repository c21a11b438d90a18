"""`GET /events/histogram`: how many events there were, over time."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import Field
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from api.access import Needs, PartsOf, check_query
from api.answers import Answer, Success, Time
from api.body import answer_json
from api.events import read_filter
from core.clock import rfc3339, utc_now
from core.errors import Invalid
from store import EventFilter, Store

DEFAULT_RANGE = timedelta(hours=24)

# before `/events/{event_id}`, which would take the name for an id
router = APIRouter(tags=["events"], dependencies=[Depends(Needs("read")), Depends(check_query)])


class BucketAnswer(Answer):
    """The events that were stored in a bucket, which begins at `at`."""

    at: Time
    events: int
    severities: Annotated[list[int], Field(description="Severity 1 first.", examples=[[0, 2, 1, 0, 0]])]


class HistogramAnswer(Answer):
    """Events over time. Buckets begin at multiples of their length in UTC and are counted whole."""

    success: Success
    since: Annotated[Time, Field(description="When the first bucket begins.")]
    until: Annotated[Time, Field(description="When the last bucket ends.")]
    bucket_seconds: Annotated[int, Field(examples=[3600])]
    complete: Annotated[bool, Field(description="False when the look ended before it had seen everything.")]
    counted_since: Annotated[Time, Field(description="Nothing that was stored earlier is counted.")]
    buckets: list[BucketAnswer]


@router.get("/events/histogram", response_model=HistogramAnswer, summary="How many events there were, over time")
async def show_histogram(
    parts: PartsOf,
    wanted: Annotated[EventFilter, Depends(read_filter)],
    buckets: Annotated[int, Query(ge=1, le=1000, description="As many at most.")] = 60,
) -> Response:
    """The events that fit every filter, by when they were stored and how severe they are: of 24 hours by default."""
    return await run_in_threadpool(_answer_histogram, parts.store, wanted, buckets)


def _answer_histogram(store: Store, wanted: EventFilter, buckets: int) -> Response:
    now = utc_now()
    until = wanted.until or now
    try:
        since = wanted.since or until - DEFAULT_RANGE
    except OverflowError as error:
        raise Invalid("until lies at the beginning of the calendar: give since too") from error
    if since >= until:
        raise Invalid(f"since {rfc3339(since)} is not before until {rfc3339(until)}")
    made = store.count_events(wanted, since, until, buckets, now)
    length = timedelta(seconds=made.bucket_seconds)
    return answer_json(
        {
            "success": True,
            "since": rfc3339(made.since),
            "until": rfc3339(made.since + len(made.counts) * length),
            "bucket_seconds": made.bucket_seconds,
            "complete": made.counted_since == made.since,
            "counted_since": rfc3339(made.counted_since),
            "buckets": [
                {"at": rfc3339(made.since + place * length), "events": sum(counts), "severities": counts}
                for place, counts in enumerate(made.counts)
            ],
        }
    )
