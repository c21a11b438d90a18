from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from waiting import free_port, wait_until

PROGRAM = "import sys; from api.main import run; from core.settings import load; sys.exit(run(load()))"


@contextmanager
def process(home: Path, port: int, **more: str) -> Iterator[subprocess.Popen[str]]:
    environment = os.environ | {
        "HEIMDALL_HOME": str(home), "HEIMDALL_HTTP_PORT": str(port), "HEIMDALL_MQTT_PORT": str(free_port()), **more,
    }  # fmt: skip
    started = subprocess.Popen([sys.executable, "-c", PROGRAM], env=environment, stderr=subprocess.PIPE, text=True)
    try:
        yield started
    finally:
        started.kill()
        started.communicate()


def answers(port: int, host: str = "127.0.0.1") -> bool:
    try:
        return httpx.get(f"http://{host}:{port}/livez").status_code == 200
    except httpx.HTTPError:
        return False


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_in_order_when_it_is_told_to(tmp_path: Path, stop: signal.Signals) -> None:
    port = free_port()
    with process(tmp_path, port) as api:
        wait_until(lambda: answers(port), "it answers")
        api.send_signal(stop)
        assert api.wait(15) == 0


def test_a_port_that_is_taken_is_said_in_one_line_that_names_what_to_change(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with process(tmp_path, port) as api:
            _, said = api.communicate(timeout=20)
            assert api.returncode == 1
    assert f"HEIMDALL_HTTP_PORT={port} is in use on 127.0.0.1" in said
    assert "HEIMDALL_HTTP_PORT" in said
    assert len(said.strip().splitlines()) == 1


def test_it_serves_ipv6(tmp_path: Path) -> None:
    port = free_port()
    with process(tmp_path, port, HEIMDALL_BIND="::1"):
        wait_until(lambda: answers(port, "[::1]"), "it answers")


def test_a_database_that_is_none_is_said_without_its_password(tmp_path: Path) -> None:
    url = f"postgresql://user:a-secret-password@127.0.0.1:{free_port()}/none"
    with process(tmp_path, free_port(), HEIMDALL_DATABASE_URL=url) as api:
        _, said = api.communicate(timeout=30)
        assert api.returncode == 1
    assert "127.0.0.1" in said
    assert "a-secret-password" not in said
