"""Clients that say nothing, too little or too much, while others are served."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from heimdall_home import Running
from heimdall_home import running as running_site
from mqtt_packets import connect
from waiting import free_port, wait_until

PROGRAM = """
import sys
from api import body, patience
from api.main import run
from core.settings import load
patience.HEAD_SECONDS, body.BODY_SECONDS = float(sys.argv[1]), float(sys.argv[2])
sys.exit(run(load()))
"""
CONNECTIONS = 10_000
LONG_SECONDS = 60.0
SHORT_SECONDS = 1.0
MQTT_CONNECTIONS = 2_000


@contextlib.contextmanager
def running(home: Path, head_seconds: float = LONG_SECONDS, body_seconds: float = LONG_SECONDS) -> Iterator[int]:
    """An API with this much patience; its port."""
    port = free_port()
    environment = os.environ | {
        "HEIMDALL_HOME": str(home), "HEIMDALL_HTTP_PORT": str(port), "HEIMDALL_MQTT_PORT": str(free_port()),
        "SIEM_API_KEY": "a-key-of-the-test",
    }  # fmt: skip
    command = [sys.executable, "-c", PROGRAM, str(head_seconds), str(body_seconds)]
    api = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: serves(port), "the API answers")
        yield port
        api.send_signal(signal.SIGTERM)
        assert api.wait(15) == 0
    finally:
        api.kill()
        api.wait()


def serves(port: int) -> bool:
    with contextlib.suppress(httpx.HTTPError):
        return httpx.get(f"http://127.0.0.1:{port}/livez", timeout=10).status_code == 200
    return False


@contextlib.contextmanager
def connected(port: int, count: int) -> Iterator[list[socket.socket]]:
    with contextlib.ExitStack() as cleanup:
        yield [cleanup.enter_context(socket.create_connection(("127.0.0.1", port), timeout=30)) for _ in range(count)]


def said(client: socket.socket) -> bytes:
    """All that the server says until it closes the connection."""
    client.settimeout(30)
    heard = b""
    with contextlib.suppress(ConnectionResetError):
        while part := client.recv(65_536):
            heard += part
    return heard


@pytest.fixture
def many_files() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert before[1] >= CONNECTIONS + 500, f"this machine allows {before[1]} open files: raise it (ulimit -Hn)"
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.usefixtures("many_files")
def test_ten_thousand_connections_that_say_nothing_keep_nobody_out_and_are_closed(tmp_path: Path) -> None:
    with running(tmp_path, head_seconds=10) as port, connected(port, CONNECTIONS) as clients:
        assert serves(port)
        answer = httpx.post(
            f"http://127.0.0.1:{port}/ingest", headers={"api-key": "a-key-of-the-test"}, json=[], timeout=30
        )
        assert answer.status_code == 200
        with selectors.DefaultSelector() as selector:
            for client in clients:
                selector.register(client, selectors.EVENT_READ)
            wait_until(lambda: len(selector.select(1)) == CONNECTIONS, "the server has closed every one")
        assert said(clients[0]).startswith(b"HTTP/1.1 408")


@pytest.mark.parametrize("before", [b"", b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n"])
def test_a_head_that_comes_drop_by_drop_is_given_up(tmp_path: Path, before: bytes) -> None:
    with running(tmp_path, head_seconds=SHORT_SECONDS) as port, connected(port, 1) as [client]:
        client.sendall(before + b"GET /livez HTTP/1.1\r\n")
        begun = time.monotonic()
        with contextlib.suppress(ConnectionError):
            while time.monotonic() - begun < 30:
                client.sendall(b"x: 1\r\n")
                time.sleep(0.1)
        heard = said(client)
        assert time.monotonic() - begun < 30
        assert heard.count(b"HTTP/1.1 200") == (1 if before else 0)
        assert serves(port)


def test_a_body_that_does_not_come_is_408(tmp_path: Path) -> None:
    with running(tmp_path, body_seconds=SHORT_SECONDS) as port, connected(port, 1) as [client]:
        head = "POST /ingest HTTP/1.1\r\nhost: x\r\napi-key: a-key-of-the-test\r\ncontent-length: 1000\r\n\r\n["
        client.sendall(head.encode())
        heard = said(client)
        assert heard.startswith(b"HTTP/1.1 408")
        assert b"/docs/problems#too-slow" in heard


@pytest.mark.parametrize(
    "head",
    [b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\n\r\n", b"GET /livez HTTP/1.1\r\n" + b"a: b\r\n" * 40_000 + b"\r\n"],
)
def test_a_head_without_end_is_refused(tmp_path: Path, head: bytes) -> None:
    with running(tmp_path) as port, connected(port, 1) as [client]:
        with contextlib.suppress(ConnectionError):
            client.sendall(head)
        assert b"HTTP/1.1 200" not in said(client)
        assert serves(port)


def test_a_slow_request_that_comes_in_time_is_answered(tmp_path: Path) -> None:
    with running(tmp_path, head_seconds=5) as port, connected(port, 1) as [client]:
        for part in (b"GET /livez HT", b"TP/1.1\r\nhost: x\r\nconnec", b"tion: close\r\n\r\n"):
            client.sendall(part)
            time.sleep(0.2)
        assert said(client).startswith(b"HTTP/1.1 200")


@contextlib.contextmanager
def beating(site: Running, home: Path, host: str) -> Iterator[None]:
    """A real agent, enrolled as `host`, that has been heard."""
    token = json.loads(site.run("enroll", host, "--json").stdout)["token"]
    environment = {name: value for name, value in site.environment.items() if not name.startswith("HEIMDALL_")}
    agent = subprocess.Popen(
        [*site.command("agent"), "--host", host, "--interval", "1"], stderr=subprocess.DEVNULL,
        env=environment | {"HEIMDALL_HOME": str(home), "HEIMDALL_ENROLL_TOKEN": token},
    )  # fmt: skip
    try:
        wait_until(lambda: site.host(host), f"{host} is alive")
        yield
    finally:
        agent.kill()
        agent.wait()


@pytest.mark.mosquitto
@pytest.mark.usefixtures("many_files")
def test_two_thousand_connections_to_the_broker_that_say_nothing_or_half_keep_no_agent_out(tmp_path: Path) -> None:
    half = connect(b"web-01", b"web-01", b"a password")[:20]
    with (
        running_site("mosquitto") as site,
        beating(site, tmp_path / "first", "web-01"),
        connected(site.mqtt_port, MQTT_CONNECTIONS) as clients,
    ):
        for client in clients[::2]:
            client.sendall(half)
        open_files = Path(f"/proc/{site.children()['broker']}/fd")
        wait_until(lambda: len([*open_files.iterdir()]) > MQTT_CONNECTIONS, "the broker has accepted every one")
        for _ in range(3):
            seen = site.host("web-01")["last_seen"]
            wait_until(lambda seen=seen: site.host("web-01")["last_seen"] > seen, "it beats on")
        with beating(site, tmp_path / "second", "web-02"):
            assert site.host("web-02")["last_seen"]
