"""The server's certificate: read again when its file has changed, without losing a connection."""

from __future__ import annotations

import logging
import ssl
import time
from pathlib import Path

import uvicorn

LOOK_EVERY_SECONDS = 10.0

log = logging.getLogger("api")


class Certificate:
    """The file behind `config.ssl`, and when it was last looked at."""

    def __init__(self, config: uvicorn.Config) -> None:
        assert config.ssl is not None  # noqa: S101 -- the caller's promise
        self._context = config.ssl
        self._context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._path = Path(str(config.ssl_certfile))
        self._seen, self._next_look = self._stamp(), 0.0

    def look(self) -> None:
        """Use the file's new content for connections from now on, when it has one. Looks each 10 s at most."""
        now = time.monotonic()
        if now < self._next_look:
            return
        self._next_look = now + LOOK_EVERY_SECONDS
        stamp = self._stamp()
        if stamp in (self._seen, None):
            return
        self._seen = stamp
        try:
            self._context.load_cert_chain(self._path)
        except OSError as error:  # an SSLError is one
            log.error("%s cannot be read (%s): the certificate of before stays in use", self._path, error)
        else:
            log.info("the certificate in %s has been read again", self._path)

    def _stamp(self) -> tuple[int, int] | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns
