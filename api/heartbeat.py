"""`POST /heartbeat` and `POST /system-status`: signs of life of HTTP agents, over the bridge."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Request
from fastapi.routing import APIRoute
from starlette.responses import Response

from api.access import Needs, PartsOf, get_parts
from api.answers import HOST_SCHEMA, SYSTEM_STATUS_BODY, Recorded
from api.body import answer_json, decode_json, read_body
from api.intake import Defaults, fit_os_type
from core.clock import rfc3339, utc_now
from core.errors import Invalid
from core.messages import OS_TYPES
from core.topics import check_host
from store import Key

MAX_INFO_BYTES = 64 * 1024

router = APIRouter(tags=["agents"])

_needs_agent = Needs("agent")
Agent = Annotated[Key, Depends(_needs_agent)]


_NAMES = ("source_host", "os_type")
_MEANS = {b"source_host": 0, b"source-host": 0, b"os_type": 1, b"os-type": 1}
_HOST, _SYSTEM = {"type": "string", **HOST_SCHEMA}, {"type": "string", "enum": list(OS_TYPES)}
_DASHED = "The same, for proxies that drop names with `_`."
# two headers of one meaning and the same repeated are read by hand: the framework would take any one of them
SAID = {
    "parameters": [
        {"name": name, "in": "header", "required": False, "schema": schema, "description": text, "example": example}
        for name, schema, text, example in (
            ("source_host", _HOST, "Name of the host.", "web-01"),
            ("source-host", _HOST, _DASHED, "web-01"),
            ("os_type", _SYSTEM, "Its operating system.", "LINUX"),
            ("os-type", _SYSTEM, _DASHED, "LINUX"),
        )
    ]
}


async def read_defaults(request: Request) -> Defaults:
    """What the headers say of host and operating system, in either spelling. Raises `Invalid` when they disagree."""
    found = ["", ""]
    for name, value in request.scope["headers"]:
        place = _MEANS.get(name)
        if place is None or not value:
            continue
        said = value.decode("latin-1")
        if found[place] not in ("", said):
            raise Invalid(f"the headers disagree: {found[place]!r:.80} and {said!r:.80} cannot both be {_NAMES[place]}")
        found[place] = said
    return Defaults(*found)


Said = Annotated[Defaults, Depends(read_defaults)]


async def post_heartbeat(parts: PartsOf, caller: Agent, said: Said) -> Response:
    """Answers when the broker has the heartbeat; 503 when it is away or nobody takes it (PUBACK 0x10)."""
    if not said.host:
        raise Invalid("source_host is missing: send it as the header source_host (or source-host)")
    if not said.os_type:
        raise Invalid("os_type is missing: send it as the header os_type (or os-type)")
    host, os_type = check_host(said.host), fit_os_type(said.os_type)
    (await parts.voices.of(caller)).check(host)
    await parts.bridge.report_heartbeat(host, os_type)
    return _answer_recorded(f"Heartbeat recorded for {host}")


class _Quick(APIRoute):
    """The route of a fleet's heartbeats: what the framework does to find out what an endpoint needs takes twice as long
    as all the rest."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        async def handle(request: Request) -> Response:
            parts = get_parts(request)
            caller = await _needs_agent(request, parts, request.headers.get("api-key"), None)
            return await post_heartbeat(parts, caller, await read_defaults(request))

        return handle


router.add_api_route(
    "/heartbeat", post_heartbeat, methods=["POST"], response_model=Recorded, openapi_extra=SAID,
    summary="Say that a host is alive", route_class_override=_Quick,
)  # fmt: skip


@router.post(
    "/system-status", response_model=Recorded, openapi_extra=SAID | SYSTEM_STATUS_BODY, summary="Say how a host is"
)  # fmt: skip
async def post_system_status(request: Request, parts: PartsOf, caller: Agent, said: Said) -> Response:
    """Counts as a heartbeat; `status` becomes the host's info, which the broker keeps. At most 64 KiB."""
    content = decode_json(await read_body(request, 2 * MAX_INFO_BYTES))
    status = content.get("status") if isinstance(content, dict) else None
    if not isinstance(status, dict):
        raise Invalid('the body must be {"status": {"source_host": …, "os_type": …}}')
    host = check_host(status.get("source_host") or said.host or None)
    os_type = fit_os_type(status.get("os_type") or said.os_type or None)
    (await parts.voices.of(caller)).check(host)
    info = _encode_info(status | {"os_type": os_type})
    await asyncio.gather(parts.bridge.report_heartbeat(host, os_type), parts.bridge.publish_info(host, info))
    return _answer_recorded(f"System status recorded for {host}")


def _encode_info(status: dict[str, Any]) -> bytes:
    try:
        info = msgspec.json.encode(status)
    except (UnicodeEncodeError, RecursionError) as error:
        raise Invalid("status holds text that is not UTF-8, or is nested too deeply") from error
    if len(info) > MAX_INFO_BYTES:
        raise Invalid(f"status has {len(info)} bytes, more than {MAX_INFO_BYTES}")
    if b"\\u0000" in info:
        raise Invalid("status holds a NUL character, which PostgreSQL cannot store")
    return info


def _answer_recorded(message: str) -> Response:
    return answer_json({"success": True, "message": message, "timestamp": rfc3339(utc_now())})
