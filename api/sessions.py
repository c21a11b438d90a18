"""`GET /login`, `GET /sessions`, `POST /sessions`, `DELETE /sessions`: how a person comes in, who it is, and goes."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from api.access import Needs, Parts, PartsOf, check_query, check_same_origin, try_key
from api.answers import SESSION_BODY, CallerAnswer, SessionAnswer
from api.auth import LINK_MINUTES, LINK_SCOPES, SESSION_DAYS
from api.body import answer_json, decode_json, read_body
from api.documents import make_page
from api.problems import Refused
from core.clock import rfc3339
from core.errors import Invalid
from store import Key

MAX_KEY_BODY_BYTES = 4_096

router = APIRouter(tags=["sessions"])

_SPENT = f"""<h1>This link has been used, or is older than {LINK_MINUTES} minutes</h1>
<p>Each link logs in once. <code>heimdall login</code> prints a new one; or
<a href="/">open the page</a> and enter the key, which is in <code>$HEIMDALL_HOME/api-key</code>.</p>"""


@router.get("/login", include_in_schema=False)
async def log_in(request: Request, parts: PartsOf, token: Annotated[str, Query(max_length=200)] = "") -> Response:
    """Change a single-use link for a session. A browser that only looks ahead does not use it up."""
    if "prefetch" in request.headers.get("sec-purpose", ""):
        raise Refused(503, "a login link is not opened ahead of time")
    name = await parts.auth.use_link(token)
    if name is not None:
        answer: Response = RedirectResponse("/", 303)
        _set_cookie(request, parts, answer, await parts.auth.open_session(name, LINK_SCOPES))
        return answer
    kept = request.cookies.get(parts.cookie)
    if kept and await parts.auth.find_session(kept) is not None:
        return RedirectResponse("/", 303)  # the link again, in the browser that it has logged in
    return HTMLResponse(make_page("This link no longer works", _SPENT), 403)


@router.get(
    "/sessions", response_model=CallerAnswer, dependencies=[Depends(check_query)], summary="Who you are"
)  # fmt: skip
async def show_caller(caller: Annotated[Key, Depends(Needs(None))]) -> Response:
    """Of the key or the session that came: its name, what it may do, and when it ends."""
    return answer_json(
        {
            "success": True,
            "name": caller.name,
            # with what a greater scope gives: who asks whether it may do something looks for that scope
            "scopes": sorted(
                f"agent:{caller.host}" if one == "agent" and caller.host else one for one in caller.scopes
            ),
            "expires_at": None if caller.expires_at is None else rfc3339(caller.expires_at),
        }
    )


@router.post("/sessions", response_model=SessionAnswer, openapi_extra=SESSION_BODY, summary="Begin a session by a key")
async def begin_session(request: Request, parts: PartsOf) -> Response:
    """Sets a cookie that scripts cannot read. The key must have the scope `read`; the session has no other.

    It ends with the key.
    """
    check_same_origin(request, must_be_said=False)
    content = decode_json(await read_body(request, MAX_KEY_BODY_BYTES))
    key = content.get("key") if isinstance(content, dict) else None
    if not isinstance(key, str) or not key.strip():
        raise Invalid('the body must be {"key": "…"}, with the text of $HEIMDALL_HOME/api-key')
    caller = await try_key(request, parts, key.strip())
    if caller is None:
        raise Refused(403, "the key is unknown or has expired: use the text of $HEIMDALL_HOME/api-key")
    if "read" not in caller.scopes:
        raise Refused(403, f"{caller.name} may not read: the scope 'read' is needed")
    answer = answer_json({"success": True, "message": f"Session of {caller.name} begun"})
    _set_cookie(request, parts, answer, await parts.auth.open_session(caller.name, ("read",), caller.expires_at))
    return answer


@router.delete("/sessions", response_model=SessionAnswer, summary="End the session")
async def end_session(request: Request, parts: PartsOf) -> Response:
    """Ends the session of the cookie that came, on the server too."""
    token = request.cookies.get(parts.cookie)
    if token:
        check_same_origin(request, must_be_said=True)
        await parts.auth.end_session(token)
    answer = answer_json({"success": True, "message": "Session ended"})
    answer.delete_cookie(parts.cookie, httponly=True, samesite="strict")
    return answer


def _set_cookie(request: Request, parts: Parts, answer: Response, token: str) -> None:
    answer.set_cookie(
        parts.cookie, token, max_age=SESSION_DAYS * 86_400, httponly=True, samesite="strict",
        secure=request.scope["scheme"] == "https",
    )  # fmt: skip
