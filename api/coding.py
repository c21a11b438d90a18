"""Answers that were read before or are long: a weak `ETag` and 304 (RFC 9110, section 13), and gzip.

An answer in one piece gets both, from its bytes. What is streamed is left alone.
"""

from __future__ import annotations

import gzip
import hashlib
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_CODED = ("application/json", "text/html", "text/javascript", "text/css", "image/svg+xml", "text/plain")
_SHORTEST_BYTES = 1_024  # below it a packet is a packet
_THREADED_BYTES = 65_536  # above it the event loop does not wait
_LEVEL = 1  # the higher ones take several times as long for a tenth less


class Coding:
    """The middleware, in plain ASGI."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] not in ("GET", "HEAD"):
            await self._app(scope, receive, send)
            return
        held: Message | None = None

        async def send_coded(message: Message) -> None:
            nonlocal held
            if message["type"] == "http.response.start" and _fits(message):
                held = message
                return
            if held is not None:
                start, held = held, None
                if message["type"] == "http.response.body" and not message.get("more_body", False):
                    start, message = await _code(Headers(scope=scope), start, message)
                await send(start)
            await send(message)

        await self._app(scope, receive, send_coded)


def _fits(start: Message) -> bool:
    kind = Headers(raw=start["headers"]).get("content-type", "").partition(";")[0]
    return bool(start["status"] == 200 and kind in _CODED)


async def _code(asked: Headers, start: Message, message: Message) -> tuple[Message, Message]:
    body: bytes = message["body"]
    zips = "gzip" in asked.get("accept-encoding", "") and len(body) >= _SHORTEST_BYTES
    if len(body) < _THREADED_BYTES:
        digest, zipped = _digest_and_zip(body, zips)
    else:
        digest, zipped = await run_in_threadpool(_digest_and_zip, body, zips)
    headers = MutableHeaders(raw=list(start["headers"]))
    etag = headers.setdefault("etag", f'W/"{digest}"')
    headers.add_vary_header("Accept-Encoding")
    if _knows(asked.get("if-none-match", ""), etag):
        for name in ("content-length", "content-type"):
            del headers[name]
        return _with(start, headers, status=304), {**message, "body": b""}
    if zipped is not None:
        headers["content-encoding"], headers["content-length"] = "gzip", str(len(zipped))
        return _with(start, headers), {**message, "body": zipped}
    return _with(start, headers), message


def _with(start: Message, headers: MutableHeaders, **more: Any) -> Message:
    return {**start, "headers": headers.raw, **more}


def _digest_and_zip(body: bytes, zips: bool) -> tuple[str, bytes | None]:
    digest = hashlib.blake2b(body, digest_size=16).hexdigest()
    return digest, gzip.compress(body, _LEVEL, mtime=0) if zips else None


def _knows(told: str, etag: str) -> bool:
    """Whether the client has it: the weak comparison (RFC 9110, section 8.8.3.2)."""
    known = {one.strip().removeprefix("W/") for one in told.split(",")}
    return "*" in known or etag.removeprefix("W/") in known
