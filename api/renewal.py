"""`POST /enroll/renewal`: an enrolled host comes by, hears whom to trust, and takes a new secret when asked to."""

from __future__ import annotations

import time
from typing import Any

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from api.access import PartsOf, expect_patience
from api.answers import RENEWAL_BODY, RenewalAnswer
from api.auth import hash_secret
from api.body import answer_json, decode_json, read_body
from api.enroll import MAX_BODY_BYTES, await_keeper, check_secret, expect_privacy, seal
from api.problems import Refused
from core.clock import utc_now
from core.errors import Invalid
from core.home import Home
from core.topics import check_host
from store import NewSecret

router = APIRouter(tags=["enrolment"])


@router.post(
    "/enroll/renewal", response_model=RenewalAnswer, openapi_extra=RENEWAL_BODY, summary="What is new for a host"
)
async def visit(request: Request, parts: PartsOf) -> Response:
    """`renew` asks for the same call with a `new_secret`, which is in force when that is answered with `renewed`.

    `ca` is whom to trust from now on. Over plain HTTP from this machine alone; 403 for a host that is not enrolled.
    """
    expect_privacy(request)
    host, secret, new_secret = _read(decode_json(await read_body(request, MAX_BODY_BYTES)))
    digest = hash_secret(secret)
    address = expect_patience(request, parts, digest)
    new = None if new_secret is None else NewSecret(hash_secret(new_secret), await seal(parts, new_secret))
    heard = await run_in_threadpool(parts.store.visit, host, digest, new, utc_now())
    if heard is None:
        parts.tries.was_wrong(address, digest, time.monotonic())
        raise Refused(403, f"{host} is not enrolled with this secret")
    if heard.order is not None:
        await await_keeper(parts, host, heard.order)
    authorities = await run_in_threadpool(Home(parts.settings.home).read_authorities) or None
    renewed = heard.order is not None
    return answer_json({"success": True, "host": host, "renew": heard.renew, "renewed": renewed, "ca": authorities})


def _read(body: Any) -> tuple[str, str, str | None]:
    if not isinstance(body, dict):
        raise Invalid('the body must be {"host": …, "secret": …}')
    host, secret = check_host(body.get("host"), "host"), check_secret("secret", body.get("secret"))
    new = body.get("new_secret")
    return host, secret, None if new is None else check_secret("new_secret", new)
