"""`GET /stream`: what changes, as it changes, as server-sent events (WHATWG HTML, section 9.2)."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api.access import Needs, Parts, PartsOf, check_query
from api.feed import Feed
from api.listeners import Credential, Listener
from api.ring import KINDS, Kind

router = APIRouter(tags=["stream"], dependencies=[Depends(Needs("read")), Depends(check_query)])

EventId = Annotated[str | None, Query(max_length=100, description="As the header, which browsers send by themselves.")]

_EXAMPLE = """event: verdict
id: 5f70bf18-4711
data: {"hostname":"web-01","state":"offline","since":"2025-12-03T20:49:50.123456Z","reason":"crashed","back_by":null}

"""
_ANSWER: dict[str, Any] = {
    "description": "Server-sent events, without end.",
    "content": {"text/event-stream": {"schema": {"type": "string"}, "example": _EXAMPLE}},
}


@router.get("/stream", response_class=Response, responses={200: _ANSWER}, summary="What changes, as it changes")
async def listen(
    request: Request,
    parts: PartsOf,
    kinds: Annotated[list[Kind] | None, Query(max_length=10, description="Only these; else all.")] = None,
    last_event_id: EventId = None,
    last_event_id_header: Annotated[str | None, Header(alias="Last-Event-ID", max_length=100)] = None,
) -> Response:
    """`verdict`, `alert` and `events` as they come; `reset` when something may have been missed: ask anew then.

    With the `id` of the last message that one has it goes on behind it.
    """
    ring, known = parts.feed.ring, last_event_id_header or last_event_id
    position = ring.newest if not known else ring.find(known)
    listener = Listener(ring, kinds or KINDS, position, _find_credential(request, parts))
    await parts.feed.join(listener)
    return Stream(parts.feed, listener)


def _find_credential(request: Request, parts: Parts) -> Credential:
    key = request.headers.get("api-key")
    if key:
        return Credential(parts.auth.find_key, key)
    return Credential(parts.auth.find_session, request.cookies.get(parts.cookie, ""))


class Stream(Response):
    """The answer: it lasts until the client goes or the listener is told to end."""

    def __init__(self, feed: Feed, listener: Listener) -> None:
        self._feed, self._listener = feed, listener
        self.status_code, self.background = 200, None
        # a proxy would hold it back until it is whole
        self.init_headers({"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        gone = asyncio.create_task(_await_end(receive, self._listener))
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            await self._listener.serve(send, scope.get("heimdall.abort", lambda: None))
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            gone.cancel()
            self._feed.leave(self._listener)


async def _await_end(receive: Receive, listener: Listener) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    listener.end()
