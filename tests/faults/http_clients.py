"""Clients of `POST /ingest`, each in a thread and with habits of its own; they note what they made and was answered."""

from __future__ import annotations

import contextlib
import http.client
import os
import random
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from faults_site import Site
from numbered_agent import numbered_event
from waiting import wait_until

from core.messages import encode

RUN_API = """
import sys
from core import forwarder
from heimdall.main import main
forwarder.PATIENCE_SECONDS = 1.0
sys.exit(main(["api"]))
"""


class HttpClient:
    """Posts events of `host` until told to end. What it does with a request depends on its class."""

    def __init__(self, here: Site, host: str, seed: int) -> None:
        self.host, self.port, self.key = host, here.http_port, here.home.make_api_key()
        self.chance = random.Random(seed)
        self.made: set[str] = set()
        self.answered: set[str] = set()
        self.unanswered = 0  # requests that were sent whole and had no answer
        self._next = 0
        self._ending = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name=host)

    def _run(self) -> None:
        while not self._ending.is_set():
            events = [numbered_event(self.host, self._next + place) for place in range(self.chance.randrange(1, 30))]
            self._next += len(events)
            ids = {str(event.event_id) for event in events}
            self.made |= ids
            self.send(ids, b'{"events":[' + b",".join(map(encode, events)) + b"]}")
            self._ending.wait(self.chance.uniform(0, 0.02))

    def send(self, ids: set[str], body: bytes) -> None:
        """Once, whatever comes of it."""
        self.post(ids, body)

    def post(self, ids: set[str], body: bytes) -> bool:
        """One request on a connection of its own; whether it was answered 200."""
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)) as connection:
            try:
                connection.request("POST", "/ingest", body, {"api-key": self.key, "content-type": "application/json"})
            except OSError:
                return False
            try:
                answer = connection.getresponse()
                answer.read()
            except (OSError, http.client.HTTPException):
                with self._lock:
                    self.unanswered += 1
                return False
        if answer.status == 200:
            with self._lock:
                self.answered |= ids
        return answer.status == 200

    def post_until_answered(self, ids: set[str], body: bytes) -> None:
        while not self.post(ids, body):
            self._ending.wait(0.05)

    def break_off(self, body: bytes, sent: int) -> None:
        """Send `sent` bytes of the body, then break the connection without waiting for an answer."""
        head = f"POST /ingest HTTP/1.1\r\nhost: h\r\napi-key: {self.key}\r\ncontent-length: {len(body)}\r\n\r\n"
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=20) as connection:
            connection.sendall(head.encode() + body[:sent])

    def start(self) -> None:
        self._thread.start()

    def end(self) -> None:
        self._ending.set()

    def join(self) -> None:
        self._thread.join(100)
        assert not self._thread.is_alive(), f"{self.host} waits for an answer that never comes"


class Persistent(HttpClient):
    """Repeats each request until it is answered 200."""

    def send(self, ids: set[str], body: bytes) -> None:
        self.post_until_answered(ids, body)


class Doubling(HttpClient):
    """Sends each request at once on two connections, each until it is answered 200."""

    def send(self, ids: set[str], body: bytes) -> None:
        other = threading.Thread(target=self.post_until_answered, args=(ids, body))
        other.start()
        self.post_until_answered(ids, body)
        other.join()


class Breaking(HttpClient):
    """Breaks off in mid-body or behind it; then sends some requests again, until they are answered."""

    def __init__(self, here: Site, host: str, seed: int) -> None:
        super().__init__(here, host, seed)
        self.never_whole: set[str] = set()

    def send(self, ids: set[str], body: bytes) -> None:
        whole = self.chance.random() < 0.5
        self.break_off(body, len(body) if whole else self.chance.randrange(len(body)))
        if self.chance.random() < 0.5:
            self.post_until_answered(ids, body)
        elif not whole:
            self.never_whole |= ids


@contextmanager
def http_clients(here: Site, chance: random.Random) -> Iterator[list[HttpClient]]:
    """One client of each habit, at work until the end of the block."""
    os.environ["TEST_MS"] = str(here.ms)
    kinds = (HttpClient, Persistent, Doubling, Breaking)
    clients = [kind(here, f"{kind.__name__.lower()}-client", chance.randrange(1 << 32)) for kind in kinds]
    for client in clients:
        client.start()
    try:
        yield clients
        breaking = [client for client in clients if isinstance(client, Breaking)]
        wait_until(lambda: all(client.never_whole for client in breaking), "a request has been broken off in mid-body")
    finally:
        for client in clients:
            client.end()
    for client in clients:
        client.join()


def shorten_patience(here: Site) -> None:
    """A receipt that the API lost shall cost a test a second, not ten."""
    here.api.command = [sys.executable, "-c", RUN_API]
