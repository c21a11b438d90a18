"""Who is notified: receivers over HTTP and SMTP that keep what they are told, and fail or dawdle when asked to."""

from __future__ import annotations

import json
import re
import socketserver
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_string, policy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from waiting import free_port

_HOST = re.compile(r"[a-z]+-\d+")


class Said:
    """One message, as it came."""

    def __init__(self, tone: str, title: str, body: str) -> None:
        self.tone, self.title, self.body = tone, title, body
        self.hosts = set(_HOST.findall(body))

    def __repr__(self) -> str:
        return f"<{self.tone}: {self.title}>"


class Person:
    """Takes `json://`. `status` is what it answers from now on, after `delay_seconds`."""

    def __init__(self) -> None:
        self.said: list[Said] = []
        self.tried = 0
        self.status, self.delay_seconds = 200, 0.0
        self.port = free_port()
        self.url = f"json://127.0.0.1:{self.port}/hook"

    def answer(self, body: bytes) -> int:
        self.tried += 1
        time.sleep(self.delay_seconds)
        if self.status == 200:
            told = json.loads(body)
            self.said.append(Said(told["type"], told["title"], told["message"]))
        return self.status

    @contextmanager
    def listening(self) -> Iterator[None]:
        """There until the block ends; then its port is closed."""
        person = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.send_response(person.answer(self.rfile.read(int(self.headers["Content-Length"]))))
                self.end_headers()

            def log_message(self, *_: object) -> None: ...

        with ThreadingHTTPServer(("127.0.0.1", self.port), Handler) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            yield
            server.shutdown()


@contextmanager
def mailbox() -> Iterator[tuple[int, list[Said]]]:
    """An SMTP server (RFC 5321) and what was mailed to it."""
    mails: list[Said] = []

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.wfile.write(b"220 test\r\n")
            while line := self.rfile.readline():
                word = line[:4].upper().strip()
                if word == b"DATA":
                    self.wfile.write(b"354 go on\r\n")
                    lines = iter(self.rfile.readline, b".\r\n")
                    mail = message_from_string(b"".join(lines).decode(), policy=policy.default)
                    mails.append(Said("mail", str(mail["Subject"]), mail.get_body(("plain", "html")).get_content()))
                self.wfile.write(b"221 bye\r\n" if word == b"QUIT" else b"250 ok\r\n")
                if word == b"QUIT":
                    return

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1], mails
        server.shutdown()
