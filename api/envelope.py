"""The envelope around every request: security headers, a line in the log, and faults of ours as problems."""

from __future__ import annotations

import logging
import time
from collections import Counter

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.problems import make_problem
from core.text import printable

log = logging.getLogger("api.access")

_HEADERS = [
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        b"form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
]
_CLASSES = ("none", "1xx", "2xx", "3xx", "4xx", "5xx")
# a fleet's heartbeats and the health checks would bury everything else; refusals of them are told
_QUIET = {("POST", "/heartbeat"), ("GET", "/livez"), ("HEAD", "/livez"), ("GET", "/readyz"), ("HEAD", "/readyz")}


class Envelope:
    """The outermost middleware, in plain ASGI: it costs a heartbeat microseconds."""

    def __init__(self, app: ASGIApp, answered: Counter[str]) -> None:
        """`answered` counts answers by the class of their status, such as `2xx`."""
        self._app, self._answered = app, answered

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.monotonic()
        status = 0

        async def send_sealed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                # what a route says of itself holds
                said = {name for name, _ in message["headers"]}
                message["headers"] = [*message["headers"], *(one for one in _HEADERS if one[0] not in said)]
            await send(message)

        try:
            await self._app(scope, receive, send_sealed)
        except Exception:
            log.exception("%s %s failed", scope["method"], printable(scope["path"]))
            if status:
                raise  # the answer has begun: the server can only cut it off
            detail = "the API has a fault; its log has more"
            await make_problem(500, detail, scope["path"])(scope, receive, send_sealed)
        finally:
            self._answered[_CLASSES[status // 100]] += 1
            _log_request(scope, status, time.monotonic() - began)


def _log_request(scope: Scope, status: int, seconds: float) -> None:
    method, path = scope["method"], scope["path"]
    if (method, path) in _QUIET and (status < 400 or status == 503):
        return
    # a query is logged only once a route has found all of it to be known filters: it may hold secrets else
    query = scope.get("heimdall.query")
    client = scope["client"][0] if scope.get("client") else "-"
    target = printable(f"{path}?{query}" if query else path, 500)
    log.info("%s %s %s %d %.0f ms", client, printable(method), target, status, seconds * 1000)
