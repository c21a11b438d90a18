"""Problems: every error of the API as `application/problem+json` (RFC 9457), one table from status to kind."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, NamedTuple

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from core.errors import Conflict, HeimdallError, Invalid, Unavailable

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = 5


class Kind(NamedTuple):
    """One kind of problem: `slug` is the machine's code, at the end of the `type`."""

    slug: str
    title: str
    meaning: str


KINDS: dict[int, Kind] = {
    400: Kind("malformed", "The request cannot be read", "The body is not what its content type says, such as JSON."),
    401: Kind("no-key", "No valid key", "Send the header api-key, with the text of $HEIMDALL_HOME/api-key."),
    403: Kind("forbidden", "Not allowed", "The key or session is known, but may not do this."),
    404: Kind("not-found", "Not found", "There is no such address, host or event."),
    405: Kind("wrong-method", "Wrong method", "The address takes the methods that the header Allow names."),
    408: Kind("too-slow", "Too slow", "The body did not come within two minutes: send less at once."),
    409: Kind("conflict", "Taken", "What was asked for exists already or belongs to somebody else."),
    413: Kind("too-large", "Too large", "The body is above the limit that the detail names: send several."),
    422: Kind("invalid", "Does not fit", "A value does not fit; the detail names it and says what would."),
    429: Kind("too-many-tries", "Too many wrong keys", "Many wrong keys came from this address: wait, then try again."),
    500: Kind("fault", "Fault in Heimdall", "A fault of ours; the API's log has more. The same may work again."),
    503: Kind("unavailable", "Unavailable for now", "Broker, database or spool is away or full: try again later."),
}

_STATUS: tuple[tuple[type[HeimdallError], int], ...] = ((Invalid, 422), (Unavailable, 503), (Conflict, 409))


class Refused(Exception):
    """A request that is answered with a problem. `more` are further members of the problem's object."""

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None, **more: Any) -> None:
        super().__init__(detail)
        self.status, self.detail, self.headers, self.more = status, detail, dict(headers or {}), more


def problem_type(status: int) -> str:
    """The `type` of problems with `status`: a path of this server that explains it."""
    return f"/docs/problems#{KINDS[status].slug}" if status in KINDS else "about:blank"


def make_problem(
    status: int, detail: str, instance: str, headers: Mapping[str, str] | None = None, **more: Any
) -> Response:
    """The answer to a request for the path `instance` that failed with `status`."""
    title = KINDS[status].title if status in KINDS else HTTPStatus(status).phrase
    content = {"type": problem_type(status), "title": title, "status": status, "detail": detail, "instance": instance}
    sent = dict(headers or {})
    if status == 503:
        sent.setdefault("Retry-After", str(RETRY_AFTER_SECONDS))
    # escaped to ASCII: a detail may quote what has no form in UTF-8
    return Response(json.dumps(content | more), status, sent, MEDIA_TYPE)


def install_problems(app: FastAPI) -> None:
    """Answer every error that a route of `app` raises with a problem."""
    app.add_exception_handler(Refused, _answer_refused)
    app.add_exception_handler(HeimdallError, _answer_error)
    app.add_exception_handler(RequestValidationError, _answer_validation)
    app.add_exception_handler(HTTPException, _answer_http)


def _answer_refused(request: Request, error: Exception) -> Response:
    if not isinstance(error, Refused):
        raise error
    return make_problem(error.status, error.detail, request.scope["path"], error.headers, **error.more)


def _answer_error(request: Request, error: Exception) -> Response:
    status = next((status for kind, status in _STATUS if isinstance(error, kind)), 500)
    return make_problem(status, str(error), request.scope["path"])


def _answer_validation(request: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):
        raise error
    reasons = [
        {"key": ".".join(str(part) for part in fault["loc"][1:]), "reason": str(fault["msg"])}
        for fault in error.errors()
    ]
    detail = "; ".join(f"{reason['key']}: {reason['reason']}" for reason in reasons)
    return make_problem(422, detail, request.scope["path"], errors=reasons)


def _answer_http(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    path = request.scope["path"]
    details = {404: f"there is nothing at {path}", 405: f"{path} does not take {request.method}"}
    return make_problem(error.status_code, details.get(error.status_code, error.detail), path, error.headers)
