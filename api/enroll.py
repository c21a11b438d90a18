"""`POST /enroll`: a host exchanges a token for the right to use a secret of its own making."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from fastapi import APIRouter, Request
from nacl.public import PublicKey, SealedBox
from starlette.concurrency import run_in_threadpool
from starlette.responses import PlainTextResponse, Response

from api.access import Parts, PartsOf, expect_patience
from api.answers import ENROLL_BODY, PROBLEM, EnrolledAnswer
from api.auth import hash_secret
from api.body import answer_json, decode_json, read_body
from api.problems import Refused
from core.clock import utc_now
from core.errors import Invalid, Unavailable
from core.home import Home
from core.settings import BrokerAddress, Settings, is_loopback
from core.topics import check_host

MAX_BODY_BYTES = 8_192
SHORTEST_SECRET, LONGEST_SECRET = 32, 256
WAIT_SECONDS = 15.0  # for the keeper; an agent waits 20 s
POLL_SECONDS = 0.05

router = APIRouter(tags=["enrolment"])


@router.post("/enroll", response_model=EnrolledAnswer, openapi_extra=ENROLL_BODY, summary="Enrol a host by a token")
async def enroll(request: Request, parts: PartsOf) -> Response:
    """200 when the broker lets the host in, also for the same token, host and secret again; for another one 409.

    Over plain HTTP from this machine alone.
    """
    expect_privacy(request)
    token, host, secret = _read(decode_json(await read_body(request, MAX_BODY_BYTES)))
    digest = hash_secret(token)
    address = expect_patience(request, parts, digest)
    sealed = await seal(parts, secret)
    number = await run_in_threadpool(parts.store.use_token, digest, host, hash_secret(secret), sealed, utc_now())
    if number is None:
        parts.tries.was_wrong(address, digest, time.monotonic())
        raise Refused(403, "the token is unknown or has expired: make a new one with `heimdall enroll`")
    await await_keeper(parts, host, number)
    return answer_json({"success": True, "host": host, "broker": _name_broker(request, parts.settings)})


@router.get(
    "/ca.pem",
    response_class=PlainTextResponse,
    responses={404: PROBLEM},
    summary="The authority that this server proves itself by",
)
def show_authority(parts: PartsOf) -> Response:
    """The certificate (PEM) to trust. It is public: who asks knows its fingerprint from elsewhere, such as a token.

    404 without one: there is no TLS here, or a certificate that every machine trusts.
    """
    text = Home(parts.settings.home).read_authorities()
    if not text:
        raise Refused(404, "this server has no authority of its own")
    return PlainTextResponse(text, media_type="application/x-pem-file")


def expect_privacy(request: Request) -> None:
    """Raise `Refused` when the request came from another machine unencrypted."""
    client = request.client.host if request.client else ""
    try:
        near = is_loopback(client)
    except ValueError:
        near = False
    if request.scope["scheme"] != "https" and not near:
        raise Refused(403, "a secret does not travel unencrypted: enrol over HTTPS")


def _read(body: Any) -> tuple[str, str, str]:
    if not isinstance(body, dict):
        raise Invalid('the body must be {"token": …, "host": …, "secret": …}')
    token, secret = body.get("token"), body.get("secret")
    if not isinstance(token, str) or not token:
        raise Invalid("token is missing: it is what `heimdall enroll` prints")
    return token, check_host(body.get("host"), "host"), check_secret("secret", secret)


def check_secret(name: str, secret: Any) -> str:
    """`secret`, which came as `name`. Raises `Invalid` when no broker would take it, or it is too short to be one."""
    fits = isinstance(secret, str) and secret.isascii() and secret.isprintable() and " " not in secret
    if not isinstance(secret, str) or not fits or not SHORTEST_SECRET <= len(secret) <= LONGEST_SECRET:
        raise Invalid(f"{name}: use {SHORTEST_SECRET} to {LONGEST_SECRET} printable ASCII characters without spaces")
    return secret


async def seal(parts: Parts, secret: str) -> bytes:
    """`secret` so that the keeper alone can read it. Raises `Unavailable` when there is no keeper."""
    return SealedBox(PublicKey(await expect_keeper(parts))).encrypt(secret.encode())


async def expect_keeper(parts: Parts) -> bytes:
    """The key that secrets are sealed with. Raises `Unavailable` when there is no keeper, who alone lets hosts in."""
    public_key = await run_in_threadpool(parts.store.read_keeper_key)
    if public_key is None:
        raise Unavailable("nobody can enrol here: no keeper has run yet (the embedded broker has none)")
    return public_key


async def await_keeper(
    parts: Parts, host: str, number: int, again: str = "with the same token, host and secret"
) -> None:
    """Return when the order about `host` is done. Raises `Unavailable` when it is not; `again` is how to try again."""
    deadline, pause = time.monotonic() + WAIT_SECONDS, POLL_SECONDS
    while True:
        order = await run_in_threadpool(parts.store.read_order, number)
        if order.error is not None:
            raise Unavailable(f"the broker did not take {host}: {order.error}")
        if order.done:
            return
        if time.monotonic() > deadline:
            raise Unavailable(f"the keeper has not answered yet: try again {again}".rstrip())
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, 1.0)  # a fleet that enrols at once waits longer, and asks less often


def _name_broker(request: Request, settings: Settings) -> str:
    """Where the broker is for the host that asks: under the name by which it reached us, if that is this machine."""
    broker, name = settings.broker, request.url.hostname
    if settings.tls_name and not settings.broker_set:
        return str(BrokerAddress("mqtts", name or settings.tls_name, settings.mqtts_port))
    here = broker.host in ("localhost", "127.0.0.1", "::1")
    return str(BrokerAddress(broker.scheme, (name or broker.host) if here else broker.host, broker.port, broker.path))
