"""A host is forgotten: cut off, nowhere to be found, not brought back by anybody, and a new one when it is enrolled."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from heimdall_home import Running, outside, running, running_with_tls
from waiting import wait_until

pytestmark = pytest.mark.mosquitto


@pytest.fixture(scope="module")
def up() -> Iterator[Running]:
    with running("mosquitto") as started:
        wait_until(lambda: "connected to the broker" in log_of(started, "keeper"), "the keeper has connected")
        yield started


def log_of(up: Running, name: str) -> str:
    path = up.home.logs / f"{name}.log"
    return path.read_text() if path.exists() else ""


@contextlib.contextmanager
def agent(up: Running, folder: Path, host: str) -> Iterator[None]:
    """The agent of `host`, enrolled anew; what it says is in a file of the folder."""
    with (folder / "said").open("ab") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "heimdall", "agent", "--host", host, "--interval", "1"],
            env={**outside(), "HEIMDALL_HOME": str(folder / "home"), "HEIMDALL_ENROLL_TOKEN": up.make_token(host)},
            stdin=subprocess.DEVNULL, stderr=said,
        )  # fmt: skip
    try:
        yield
    finally:
        process.kill()
        process.wait()


def retained(up: Running, host: str) -> list[str]:
    user, password = up.credential("ops")
    command = ["mosquitto_sub", "-p", str(up.mqtt_port), "-u", user, "-P", password, "-V", "5", "-W", "1"]
    topic = ["--retained-only", "-F", "%t", "-t", f"heimdall/v1/hosts/{host}/+"]
    found = subprocess.run([*command, *topic], capture_output=True, text=True, check=False).stdout.splitlines()
    return sorted(line.rpartition("/")[2] for line in found)


def status_of(up: Running, host: str) -> int:
    return httpx.get(f"{up.url}/hosts/{host}", headers={"api-key": up.key}, verify=up.trust).status_code


def test_a_forgotten_host_is_cut_off_and_gone_until_it_is_enrolled_anew(up: Running, tmp_path: Path) -> None:
    with agent(up, tmp_path, "web-21"):
        wait_until(lambda: (up.host("web-21") or {}).get("state") == "online", "it is judged")
        wait_until(lambda: up.get("/hosts/web-21")["metrics"]["total"] > 3, "it has a history")
        assert retained(up, "web-21") == ["info", "status", "verdict"]
        done = up.run("forget", "web-21", "--json")
        assert (done.returncode, json.loads(done.stdout)) == (0, [{"host": "web-21", "events_deleted": 0}]), done.stderr
        wait_until(lambda: "enrol the host again" in (tmp_path / "said").read_text(), "its agent is refused")
        wait_until(lambda: "web-21 is forgotten" in log_of(up, "watch"), "the watch has heard of it")
        wait_until(lambda: retained(up, "web-21") == [], "the broker retains nothing of it")
        assert status_of(up, "web-21") == 404
        assert up.host("web-21") is None
    assert up.run("forget", "web-21").returncode == 2
    newest = json.loads(up.run("audit", "--json").stdout)[:2]
    assert [entry["action"] for entry in newest] == ["host.forget", "host.revoked"]
    assert newest[0]["who"].startswith("local:")
    (tmp_path / "anew").mkdir()
    with agent(up, tmp_path / "anew", "web-21"):
        wait_until(lambda: (up.host("web-21") or {}).get("state") == "online", "it is there again")
        host = up.get("/hosts/web-21")
        assert (host["outages"], host["total_events"]) == ([], up.host("web-21")["total_events"])
        assert host["metrics"]["began_at"] > newest[0]["at"]


def test_a_host_that_goes_on_speaking_over_http_is_a_new_one(up: Running) -> None:
    name = "over-http"
    headers = {"api-key": up.key, "source-host": name, "os-type": "LINUX"}
    assert httpx.post(f"{up.url}/heartbeat", headers=headers).status_code == 200
    wait_until(lambda: (up.host(name) or {}).get("state") == "online", "it is judged")
    assert up.run("forget", name, "--yes").returncode == 0
    assert up.host(name) is None
    assert httpx.post(f"{up.url}/heartbeat", headers=headers).status_code == 200
    wait_until(lambda: (up.host(name) or {}).get("state") == "online", "it is there again")
    assert up.get(f"/hosts/{name}")["metrics"]["total"] == 1


def test_somebody_at_a_terminal_is_asked_first(up: Running) -> None:
    for answer, code in (("n\n", 1), ("y\n", 2)):
        mine, its = pty.openpty()
        process = subprocess.Popen(up.command("forget", "nobody-01"), env=up.environment, stdin=its, stderr=its)
        os.close(its)
        os.write(mine, answer.encode())
        assert process.wait(60) == code
        said = os.read(mine, 65_536).decode()
        assert "Forget nobody-01, but for their events? [y/N]" in said
        os.close(mine)


def test_over_tls_it_is_asked_of_who_proves_to_be_this_server() -> None:
    with running_with_tls() as started:
        headers = {"api-key": started.key, "source-host": "over-http", "os-type": "LINUX"}
        httpx.post(f"{started.url}/heartbeat", headers=headers, verify=started.trust)
        wait_until(lambda: started.host("over-http"), "it is there")
        assert started.run("forget", "over-http", "--events").returncode == 0
        assert started.host("over-http") is None
