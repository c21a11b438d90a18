"""Bodies: read up to a limit, decoded from JSON, and encoded to it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from urllib.parse import parse_qsl, quote, urlencode

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api.problems import Refused

BODY_SECONDS = 120.0  # for the largest body on a line of 1 Mbit/s; an agent waits 15 s for its answer
One = TypeVar("One")
_NUMBER_DIGITS = 18  # an integer of more digits may not fit 64 bits: it is kept as text, and refused as such


async def read_body(request: Request, limit: int) -> bytes:
    """The body of `request`. Raises `Refused`: 413 when it is larger than `limit` bytes, 408 when it takes too long."""
    announced = request.headers.get("content-length", "")
    if announced.isascii() and announced.isdigit() and int(announced[:20]) > limit:
        raise _too_large(limit)
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for part in request.stream():
                size += len(part)
                if size > limit:
                    raise _too_large(limit)
                parts.append(part)
    except TimeoutError as error:
        raise Refused(
            408, f"the body was not whole after {BODY_SECONDS:.0f} s: send less at once", {"Connection": "close"}
        ) from error
    except ClientDisconnect as error:
        raise Refused(400, "the connection ended before the body did") from error
    return b"".join(parts)


def _too_large(limit: int) -> Refused:
    return Refused(413, f"the body is larger than {limit} bytes: send it in several parts", limit_bytes=limit)


def decode_json(body: bytes) -> Any:
    """What `body` says in JSON. Raises `Refused` with 400 when it is not JSON.

    What strict decoding refuses as a whole for the sake of one value (bytes that are not UTF-8, half
    a surrogate pair, NaN, a number of thousands of digits) is decoded leniently, so that a single
    entry can be refused and its neighbours kept.
    """
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return _decode_leniently(body)


def _decode_leniently(body: bytes) -> Any:
    try:
        text = body.decode("utf-8-sig", "surrogateescape")
        return json.loads(text, parse_int=_bounded_int, parse_constant=str)
    except ValueError as error:
        raise Refused(400, f"the body is not JSON: {error}") from error
    except RecursionError as error:
        raise Refused(400, "the body is nested too deeply") from error


def _bounded_int(digits: str) -> int | str:
    return int(digits) if len(digits) <= _NUMBER_DIGITS else digits


def answer_json(content: Any, status: int = 200) -> Response:
    """`content` as an answer in JSON; encoded without the framework's own, slower conversion."""
    return Response(msgspec.json.encode(content), status, media_type="application/json")


def answer_page(
    noun: str, found: Sequence[One], limit: int, describe: Callable[[One], Any], cursor: Callable[[One], str]
) -> Response:
    """A page of `found`, of which one more than `limit` was read; `next` is the `cursor` of its last, or null."""
    page = found[:limit]
    following = cursor(page[-1]) if len(found) > limit else None
    return Page({noun: [describe(one) for one in page]}, following)


class Page(Response):
    """A page of a list in JSON. `next`, the `cursor` of the page behind it, is in a `Link` too (RFC 8288)."""

    def __init__(self, content: dict[str, Any], following: str | None) -> None:
        self._following = following
        told = msgspec.json.encode({"success": True, **content, "next": following})
        super().__init__(told, media_type="application/json")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer; the address of the following page is that of this one but for the cursor."""
        if self._following is not None:
            asked = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
            query = [*((key, value) for key, value in asked if key != "cursor"), ("cursor", self._following)]
            self.headers["Link"] = f'<{quote(scope["path"])}?{urlencode(query)}>; rel="next"'
        await super().__call__(scope, receive, send)
