"""`POST /tokens`: a token that lets hosts in, and the line for them, as `heimdall enroll` makes them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from pydantic import Field
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from api.access import Needs, PartsOf, check_query
from api.answers import Answer, Success, Time, describe_body
from api.auth import hash_secret, make_secret
from api.body import answer_json, decode_json, read_body
from api.enrol_line import KINDS, Line, check_kind, check_url, write_line
from api.enroll import expect_keeper, expect_privacy
from core.clock import parse_duration, rfc3339, utc_now
from core.errors import Invalid
from core.home import Home
from core.settings import Settings
from core.tls import signer_fingerprint
from core.token import Token, write_token
from core.topics import check_host, check_pattern
from store import Key, Store

MAX_BODY_BYTES = 8_192
MOST_USES = 100_000
GOOD_FOR = timedelta(hours=1)
LONGEST = timedelta(days=7)  # whoever finds a token may speak as one of its hosts: none is good for ever

Admin = Annotated[Key, Depends(Needs("admin"))]
router = APIRouter(tags=["enrolment"], dependencies=[Depends(check_query)])

_BODY = describe_body(
    {
        "type": "object",
        "required": ["host"],
        "properties": {
            "host": {
                "type": "string", "pattern": "^[A-Za-z0-9._*?-]{1,253}$",
                "description": "A name; with `uses` a pattern of names, such as web-*.",
            },
            "uses": {
                "type": ["integer", "null"], "minimum": 1, "maximum": MOST_USES,
                "description": "For how many hosts; without it for the one of that name.",
            },
            "kind": {"type": "string", "enum": list(KINDS), "description": "Of host; linux when absent."},
            "for": {
                "type": "string", "pattern": "^([1-9][0-9]{0,2}m|[1-9][0-9]?h|[1-7]d)$",
                "description": "How long it is good: 7d at most, 1h when absent.",
            },
            "replace": {"type": "boolean", "description": "Also when the name is enrolled or alive already."},
            "url": {
                "type": "string", "pattern": "^https?://[A-Za-z0-9.-]{1,200}(:[0-9]{1,5})?$",
                "description": "This API's address as the host sees it; as this machine sees it when absent.",
            },
        },
    },
    {"host": "web-01", "kind": "linux", "for": "1h"},
)  # fmt: skip


@dataclass(frozen=True)
class Wish:
    """What a token is to be: `host` is a name; with `uses` a pattern of names, for so many hosts."""

    host: str
    uses: int | None = None
    kind: str = "linux"
    good_for: timedelta = GOOD_FOR
    replaces: bool = False
    url: str = ""
    run: bool = False

    def check(self) -> None:
        """Raise `Invalid` when no token can be that."""
        if self.uses is None:
            check_host(self.host, "host")
        else:
            check_pattern(self.host, "host")
            if not 1 <= self.uses <= MOST_USES:
                raise Invalid(f"uses {self.uses}: use 1 to {MOST_USES:,}, for how many hosts the token is")
        if self.good_for > LONGEST:
            raise Invalid(f"for: a token is good for {LONGEST.days}d at most")


@dataclass(frozen=True)
class MadeToken:
    """A token, which is kept nowhere, and the line that a host types."""

    url: str
    token: str
    line: str
    expires_at: datetime


class MadeTokenAnswer(Answer):
    """The token, which is kept nowhere else, and the line for the host; that of many reads the token from a file."""

    success: Success
    host: Annotated[str, Field(examples=["web-01"])]
    token: Annotated[str, Field(examples=["hmd_…"])]
    command: Annotated[str, Field(examples=["python3 -c … && echo hmd_… | sudo python3 heimdall-agent.pyz install …"])]
    expires_at: Time


def issue_token(settings: Settings, store: Store, wish: Wish, who: str) -> MadeToken:
    """Make the token that is wished for, which is told once.

    Raises `Invalid`, `Conflict` (the name is taken) and `Unavailable`.
    """
    wish.check()
    url = check_url(wish.url, "url") if wish.url else settings.api_address
    authority = signer_fingerprint(Home(settings.home).read_authorities()) if settings.tls_name else ""
    secret, now = make_secret(), utc_now()
    token = write_token(Token(url, secret, authority))
    line = write_line(Line(url, wish.kind, token, wish.host if wish.uses is None else None, wish.run))
    expires_at = now + wish.good_for
    store.add_token(
        hash_secret(secret), wish.host, wish.uses or 1, expires_at, who, now, replaces=wish.replaces
    )  # fmt: skip
    return MadeToken(url, token, line, expires_at)


@router.post(
    "/tokens", response_model=MadeTokenAnswer, status_code=201, openapi_extra=_BODY,
    summary="Make a token that lets hosts in",
)  # fmt: skip
async def make_token(request: Request, parts: PartsOf, caller: Admin) -> Response:
    """201 with the token and the line that the host types, told once. 409 when the name is enrolled or alive already.

    Over plain HTTP from this machine alone.
    """
    expect_privacy(request)
    wish = _read(decode_json(await read_body(request, MAX_BODY_BYTES)))
    await expect_keeper(parts)
    made = await run_in_threadpool(issue_token, parts.settings, parts.store, wish, caller.name)
    told = {"host": wish.host, "token": made.token, "command": made.line, "expires_at": rfc3339(made.expires_at)}
    return answer_json({"success": True, **told}, 201)


def _read(body: Any) -> Wish:
    if not isinstance(body, dict) or not isinstance(body.get("host"), str):
        raise Invalid('the body must be {"host": …}, and may have "uses", "kind", "for", "replace" and "url"')
    unknown = sorted(set(body) - {"host", "uses", "kind", "for", "replace", "url"})
    if unknown:
        raise Invalid(f"{unknown[0]!r:.60} is unknown: use host, uses, kind, for, replace or url")
    uses, replaces = body.get("uses"), body.get("replace", False)
    if uses is not None and (not isinstance(uses, int) or isinstance(uses, bool)):
        raise Invalid("uses must be a whole number, or null: for how many hosts the token is")
    if not isinstance(replaces, bool):
        raise Invalid("replace must be true or false")
    wish = Wish(
        body["host"],
        uses,
        check_kind(body.get("kind", "linux"), "kind"),
        parse_duration(body["for"], "for") if "for" in body else GOOD_FOR,
        replaces,
        check_url(body["url"], "url") if "url" in body else "",
    )
    wish.check()
    return wish
