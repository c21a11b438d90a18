"""`GET /keys`, `POST /keys`, `DELETE /keys/{key}` and `GET /audit`: for administrators."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from api.access import Needs, PartsOf, check_query
from api.answers import KEY_BODY, AuditAnswer, KeysAnswer, MadeKeyAnswer, RevokedKeyAnswer
from api.auth import issue_key
from api.body import answer_json, answer_page, decode_json, read_body
from api.events import Cursor, read_cursor
from api.problems import Refused
from api.scopes import write_scopes
from core.clock import rfc3339, utc_now
from core.errors import Invalid
from core.settings import parse_days
from store import AuditEntry, Key, KeyRow, Store

MAX_BODY_BYTES = 16_384

Admin = Annotated[Key, Depends(Needs("admin"))]
router = APIRouter(tags=["keys"], dependencies=[Depends(Needs("admin")), Depends(check_query)])


@router.get("/keys", response_model=KeysAnswer, summary="Every API key, but for the key itself")
async def list_keys(parts: PartsOf) -> Response:
    """By name. Expired keys are in it until they are revoked."""
    found = await run_in_threadpool(parts.store.list_keys)
    return answer_json({"success": True, "keys": [describe_key(row) for row in found]})


def describe_key(row: KeyRow) -> dict[str, Any]:
    """A key as API and command line show it."""
    return {
        "id": row.id,
        "name": row.name,
        "scopes": write_scopes(row.scopes, row.host),
        "created_at": rfc3339(row.created_at),
        "expires_at": None if row.expires_at is None else rfc3339(row.expires_at),
        "last_used": None if row.last_used is None else rfc3339(row.last_used),
    }


@router.post(
    "/keys", response_model=MadeKeyAnswer, status_code=201, openapi_extra=KEY_BODY, summary="Make an API key"
)  # fmt: skip
async def make_key(request: Request, parts: PartsOf, caller: Admin) -> Response:
    """The answer has the key: it is kept nowhere else. 409 when the name is taken."""
    wanted = decode_json(await read_body(request, MAX_BODY_BYTES))
    if not isinstance(wanted, dict) or not isinstance(wanted.get("name"), str):
        raise Invalid('the body must be {"name": …, "scopes": […]}, and may have "expires", such as "90d"')
    scopes, expires = wanted.get("scopes"), wanted.get("expires")
    if not isinstance(scopes, list) or not all(isinstance(scope, str) for scope in scopes):
        raise Invalid('scopes must be a list of texts, such as ["read"]')
    if expires is not None and not isinstance(expires, str):
        raise Invalid('expires must be a text, such as "90d", or null')
    expires_at = None if expires is None else utc_now() + timedelta(days=parse_days("expires", expires))
    key = await run_in_threadpool(issue_key, parts.store, wanted["name"], scopes, expires_at, caller.name)
    return answer_json({"success": True, "name": wanted["name"], "key": key}, 201)


@router.delete("/keys/{key}", response_model=RevokedKeyAnswer, summary="Revoke an API key")
async def revoke_key(parts: PartsOf, caller: Admin, key: str) -> Response:
    """`key` is an id or a name. It ends within 5 s, at once on the API that is asked."""
    row = None if "\0" in key else await run_in_threadpool(parts.store.revoke_key, key, caller.name)
    if row is None:
        raise Refused(404, f"there is no key with the id or the name {key!r:.80}")
    parts.auth.forget_keys()
    return answer_json({"success": True, "revoked": describe_key(row)})


@router.get("/audit", response_model=AuditAnswer, summary="Who did what")
async def show_audit(
    parts: PartsOf,
    limit: Annotated[int, Query(ge=1, le=1000, description="Entries in a page.")] = 100,
    cursor: Cursor = None,
) -> Response:
    """A page of the audit trail, newest first. It is append-only: the database refuses to change it."""
    return await run_in_threadpool(_answer_audit, parts.store, limit, read_cursor(cursor))


def _answer_audit(store: Store, limit: int, before: int | None) -> Response:
    found = store.audit(limit + 1, before)
    return answer_page("entries", found, limit, describe_entry, lambda entry: str(entry.id))


def describe_entry(entry: AuditEntry) -> dict[str, Any]:
    """An entry of the audit trail as API and command line show it."""
    return {
        "id": str(entry.id),
        "at": rfc3339(entry.at),
        "who": entry.who,
        "action": entry.action,
        "target": entry.target,
        "detail": entry.detail,
    }
