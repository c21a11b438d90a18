"""The application: a value made of its parts, which a server or a test can start."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from fastapi import FastAPI
from starlette.types import Lifespan

from api import (
    agent_file,
    alerts,
    dead,
    documents,
    enroll,
    events,
    forget,
    health,
    heartbeat,
    heartbeats,
    histogram,
    hosts,
    ingest,
    keys,
    metrics,
    page,
    renewal,
    services,
    sessions,
    silences,
    status_page,
    stream,
    summary,
    tokens,
)
from api.access import Parts
from api.answers import PROBLEM
from api.auth import Authenticator
from api.bridge import Bridge
from api.coding import Coding
from api.envelope import Envelope
from api.feed import Feed
from api.gateway import Gateway
from api.problems import install_problems
from api.tries import Tries
from api.voices import Voices
from core.settings import Settings
from store import Store

_DESCRIPTION = "Which machines are alive right now, and what has happened on them? Times are RFC 3339 in UTC."


def create_app(settings: Settings, store: Store, bridge: Bridge, gateway: Gateway) -> FastAPI:
    """The application. Its lifespan starts `bridge` and `gateway` and stops them; the store is the caller's."""

    @asynccontextmanager
    async def run_parts(_app: FastAPI) -> AsyncIterator[None]:
        feed.start()
        gateway.start()
        bridge.start()
        try:
            yield
        finally:
            await gateway.stop()
            await bridge.stop()
            await feed.stop()

    feed = Feed(store, bridge.signs.stored)
    bridge.heard, bridge.connected = feed.hear, feed.reconnected
    app = _assemble(run_parts)
    voices = Voices(store.enrolled)
    app.state.parts = Parts(settings, store, bridge, gateway, feed, Authenticator(store), voices, Tries())
    return app


def describe() -> dict[str, Any]:
    """The OpenAPI document, without any part that runs: for the documentation."""
    return _assemble(None).openapi()


def _assemble(lifespan: Lifespan[FastAPI] | None) -> FastAPI:
    app = FastAPI(
        title="Heimdall",
        version=_find_version(),
        description=_DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,  # FastAPI's own pages fetch scripts from elsewhere; `documents` does not
        redoc_url=None,
        redirect_slashes=False,
        responses={"default": PROBLEM},
    )
    install_problems(app)
    for noun in (
        heartbeat,
        ingest,
        hosts,
        heartbeats,
        forget,
        alerts,
        silences,
        histogram,
        events,
        dead,
        summary,
        health,
        services,
        stream,
        metrics,
        keys,
        enroll,
        tokens,
        renewal,
        sessions,
        documents,
    ):
        app.include_router(noun.router)
    app.include_router(agent_file.make_router())
    app.include_router(status_page.make_router())
    app.include_router(page.make_router())
    app.add_middleware(Coding)
    app.state.answered = Counter()
    app.add_middleware(Envelope, answered=app.state.answered)
    return app


def _find_version() -> str:
    try:
        return version("heimdall-siem")
    except PackageNotFoundError:
        return "0"  # run from the checkout, not installed
