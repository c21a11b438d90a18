"""`GET /services`: what the parts of Heimdall say of themselves."""

from __future__ import annotations

import time
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from pydantic import Field
from starlette.responses import Response

from api.access import Needs, PartsOf, check_query
from api.answers import Answer, Success, Time
from api.body import answer_json
from core.clock import rfc3339
from mqtt.signs import Sign

router = APIRouter(tags=["health"], dependencies=[Depends(Needs("read")), Depends(check_query)])


class DistributionAnswer(Answer):
    """How many values lay in each bucket, the last of which has no upper end, and their sum."""

    counts: list[int]
    sum: float


class ServiceAnswer(Answer):
    """The last sign of life of one instance of a service. `at` is its sender's clock."""

    name: Annotated[str, Field(examples=["ingestor"])]
    instance: Annotated[str, Field(examples=["1"])]
    state: Annotated[str, Field(description="`ok`, or what is wrong.", examples=["ok"])]
    at: Time
    parts: Annotated[
        dict[str, str], Field(description="What it stands on.", examples=[{"broker": "ok", "database": "ok"}])
    ]
    metrics: Annotated[
        dict[str, float | DistributionAnswer | None],
        Field(description="Its counts and values; those of an ingestor are in `/metrics` too.", examples=[{}]),
    ]


class ServicesAnswer(Answer):
    """Every service that was heard, by name and instance."""

    success: Success
    services: list[ServiceAnswer]


@router.get("/services", response_model=ServicesAnswer, summary="How the parts of Heimdall are")
async def list_services(parts: PartsOf) -> Response:
    """Each gives a sign of life every 2 s. What has ended is in it while the broker remembers it."""
    judged = sorted(parts.bridge.signs.judged(time.monotonic()), key=lambda one: one[0])
    return answer_json({"success": True, "services": [_describe(*one) for one in judged]})


def _describe(key: tuple[str, str], sign: Sign, fault: str) -> dict[str, Any]:
    return {
        "name": key[0],
        "instance": key[1],
        "state": fault or "ok",
        "at": rfc3339(sign.status.at),
        "parts": sign.status.parts,
        "metrics": sign.status.metrics,
    }
