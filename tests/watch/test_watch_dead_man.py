"""The call of the dead man's switch: to an address that was checked, and to no other."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from watch.dead_man import call


@contextmanager
def answering(status: int, location: str = "") -> Iterator[tuple[int, list[str]]]:
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(f"{self.headers['Host']} {self.path}")
            self.send_response(status)
            if location:
                self.send_header("Location", location)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port, asked
        server.shutdown()


def test_an_address_inside_the_network_is_called_only_when_that_is_allowed() -> None:
    with answering(200) as (port, asked):
        assert "lies inside the network" in call(f"http://127.0.0.1:{port}/ping", allow_private=False)
        assert "lies inside the network" in call(f"http://localhost:{port}/ping", allow_private=False)
        assert asked == []
        assert call(f"http://localhost:{port}/ping?id=7", allow_private=True) == ""
    assert asked == [f"localhost:{port} /ping?id=7"]


@pytest.mark.parametrize("status", [302, 404, 500])
def test_another_answer_is_no_success_and_no_redirect_is_followed(status: int) -> None:
    with answering(200) as (other, not_asked), answering(status, f"http://127.0.0.1:{other}/") as (port, asked):
        assert call(f"http://127.0.0.1:{port}", allow_private=True) == f"127.0.0.1 answers {status}"
        assert (len(asked), not_asked) == (1, [])


def test_who_is_not_there_or_speaks_no_tls_is_told() -> None:
    with answering(200) as (port, _):
        pass
    assert "refused" in call(f"http://127.0.0.1:{port}/", allow_private=True)
    with answering(200) as (port, asked):
        assert "SSL" in call(f"https://127.0.0.1:{port}/", allow_private=True)
        assert asked == []
