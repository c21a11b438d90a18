"""`heimdall api`: opens the store, starts the bridge and serves until it is told to stop."""

from __future__ import annotations

import asyncio
import ctypes
import logging
import re
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from types import FrameType

import uvicorn

from api.app import create_app
from api.auth import register_keys
from api.bridge import Bridge
from api.certificate import Certificate
from api.gateway import Gateway
from api.patience import PatientProtocol
from core.errors import HeimdallError
from core.home import Home
from core.listening import listen
from core.process import allow_many_connections
from core.settings import Settings, in_url
from core.spool import Spool
from store import Store, open_store

GRACE_SECONDS = 5  # for requests under way when the API is told to stop
_M_MMAP_THRESHOLD = -3  # of mallopt(3)

log = logging.getLogger("api")


def run(settings: Settings) -> int:
    """Serve on `settings.bind`:`settings.http_port`; returns the exit code: 0 told to stop, 1 could not start."""
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)  # it tells each step of its start
    try:
        home = Home(settings.home)
        home.prepare()
        allow_many_connections()
        _give_memory_back()
        with listen(settings.bind, settings.http_port, "HEIMDALL_HTTP_PORT") as listener:
            store = open_store(settings.database_url, keep_days=settings.keep_days)
            try:
                register_keys(settings, store)
                _serve(settings, store, Spool(home.gateway_spool), listener)
            finally:
                store.close()
    except HeimdallError as error:
        log.error("%s", error)
        return 1
    return 0


def _give_memory_back() -> None:
    """Have glibc give blocks from 1 MiB on back to the system when they are freed.

    Otherwise each thread keeps what the largest answer took: after a few whole lists of 100,000 hosts some 50 MB.
    """
    if sys.platform == "linux":
        set_option = getattr(ctypes.CDLL(None), "mallopt", None)  # other C libraries have none
        if set_option is not None:
            set_option(_M_MMAP_THRESHOLD, 1 << 20)


def _serve(settings: Settings, store: Store, spool: Spool, listener: socket.socket) -> None:
    bridge = Bridge(settings, spool, name_instance(settings))
    app = create_app(settings, store, bridge, Gateway(spool, bridge.wake))
    config = uvicorn.Config(
        app, log_config=None, access_log=False, server_header=False, proxy_headers=False, lifespan="on",
        http=PatientProtocol, timeout_graceful_shutdown=GRACE_SECONDS,
        ssl_certfile=Home(settings.home).tls / "server.pem" if settings.tls_name else None,
    )  # fmt: skip
    server = _Server(config, app.state.parts.feed.end)
    # uvicorn raises the signal again when it has stopped: with these an ordered stop is no death by signal
    for one in (signal.SIGTERM, signal.SIGINT):
        signal.signal(one, server.handle_exit)
    log.info(
        "listening on %s://%s:%d", "https" if settings.tls_name else "http", in_url(settings.bind), settings.http_port
    )
    try:
        server.run(sockets=[listener])
    finally:
        spool.close()
    log.info("stopped")


class _Server(uvicorn.Server):
    """Waits to be told to stop; uvicorn's own looks ten times a second whether it was. Renews its certificate."""

    def __init__(self, config: uvicorn.Config, let_go: Callable[[], None]) -> None:
        super().__init__(config)
        self._let_go = let_go  # who listens without end
        config.load()
        self._certificate = Certificate(config) if config.ssl is not None else None
        self._told = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def main_loop(self) -> None:
        self._loop = asyncio.get_running_loop()
        # a tick of number 0 renews the Date header, which counts seconds
        while not await self.on_tick(0):
            with suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await self._told.wait()
            if self._certificate is not None:
                self._certificate.look()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._let_go()
        await super().shutdown(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        super().handle_exit(sig, frame)
        if self._loop is not None:
            with suppress(RuntimeError):  # closed: all has stopped already
                self._loop.call_soon_threadsafe(self._told.set)


def name_instance(settings: Settings) -> str:
    """What tells this API from others at the broker: the same after a restart, for its sign is retained."""
    return f"{re.sub('[^A-Za-z0-9._-]', '-', socket.gethostname())}-{settings.http_port}"
