"""A service over HTTP on this machine, and what was asked of it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple


class Asked(NamedTuple):
    """One request, as it came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@contextmanager
def http_service(status: int = 200, location: str = "") -> Iterator[tuple[int, list[Asked]]]:
    """Its port and its requests; each is answered with `status` and, when it redirects, the `location`."""
    asked: list[Asked] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"] or 0))
            asked.append(Asked(self.command, self.path, dict(self.headers), body))
            self.send_response(status)
            if location:
                self.send_header("Location", location)
            if status != 204:
                self.send_header("Content-Length", "0")
            self.end_headers()

        do_POST = do_GET

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port, asked
        server.shutdown()
