"""From `heimdall enroll` to a host that speaks, and to one that is cut off: real processes, real Mosquitto."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from heimdall_home import Running, outside, running
from waiting import wait_until

from core.home import Home, read_secret
from core.token import read_token

pytestmark = pytest.mark.mosquitto
SECRET = "a-secret-of-the-test-that-is-long-enough"


@pytest.fixture(scope="module")
def up() -> Iterator[Running]:
    with running("mosquitto") as started:
        wait_until(lambda: "connected to the broker" in keeper_log(started), "the keeper has connected")
        yield started


def keeper_log(up: Running) -> str:
    path = up.home.logs / "keeper.log"
    return path.read_text() if path.exists() else ""


def ask(up: Running, token: str, host: str, secret: str = SECRET) -> httpx.Response:
    body = {"token": read_token(token).secret, "host": host, "secret": secret}
    return httpx.post(f"{up.url}/enroll", json=body, timeout=30)


@contextlib.contextmanager
def agent(up: Running, folder: Path, host: str, *words: str, **more: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "heimdall", "agent", "--host", host, "--interval", "1", *words],
        env={**outside(), "HEIMDALL_HOME": str(folder), **more}, stdin=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def read_printed(command: str) -> str:
    """The token in a command that was printed."""
    found = re.search(r"HEIMDALL_ENROLL_TOKEN=(hmd_\S+) ", command)
    assert found is not None, command
    return found[1]


@contextlib.contextmanager
def shell(command: str, folder: Path) -> Iterator[None]:
    """A shell that runs `command` in `folder`, with a home there and nothing of ours to import."""
    environment = {"PATH": os.environ["PATH"], "HEIMDALL_HOME": str(folder), "PYTHONSAFEPATH": "1"}
    process = subprocess.Popen(
        ["sh", "-c", command], cwd=folder, env=environment, start_new_session=True,
        stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_the_printed_command_makes_a_host_that_speaks_as_itself(up: Running, tmp_path: Path) -> None:
    printed = up.run("enroll", "web-10", "--run").stdout.strip()
    token = read_printed(printed)
    with shell(printed, tmp_path):
        wait_until(lambda: up.host("web-10"), "the enrolled host is alive")
    home = Home(tmp_path)
    assert home.credential("agent").user == "web-10"
    assert home.read_server()["broker"] == f"mqtt://127.0.0.1:{up.mqtt_port}"
    # with the token still in its environment, and without: it is enrolled, and asks nobody again
    for more in ({"HEIMDALL_ENROLL_TOKEN": token}, {}):
        seen = up.host("web-10")["last_seen"]
        with agent(up, tmp_path, "web-10", **more):
            wait_until(lambda seen=seen: up.host("web-10")["last_seen"] > seen, "it is alive again")


def test_a_token_from_standard_input_enrols_and_ends(up: Running, tmp_path: Path) -> None:
    with agent(up, tmp_path, "web-11", "--enroll", "-", "--only-enroll") as process:
        _, said = process.communicate(up.make_token("web-11") + "\n", timeout=30)
    assert (process.returncode, "enrolled as web-11" in said) == (0, True)
    assert Home(tmp_path).credential("agent").user == "web-11"


def test_neither_secret_stands_in_a_log_a_process_list_or_the_database(up: Running, tmp_path: Path) -> None:
    token = up.make_token("web-12")
    with agent(up, tmp_path, "web-12", HEIMDALL_ENROLL_TOKEN=token) as process:
        wait_until(lambda: up.host("web-12"), "the enrolled host is alive")
        listed = Path(f"/proc/{process.pid}/cmdline").read_text()
        process.terminate()
        _, said = process.communicate(timeout=30)
    secrets = (read_token(token).secret, Home(tmp_path).credential("agent").password)
    logs = "".join(path.read_text() for path in up.home.logs.iterdir())
    stored = b"".join(path.read_bytes() for path in up.home.path.glob("mini_siem.db*"))
    for secret in secrets:
        assert secret not in logs + listed + said
        assert secret.encode() not in stored
    assert read_secret(Home(tmp_path).credential_path("agent"))


def test_the_same_again_is_the_same_and_another_is_refused(up: Running) -> None:
    token = up.make_token("web-13")
    for _ in range(2):
        answer = ask(up, token, "web-13")
        assert (answer.status_code, answer.json()["host"]) == (200, "web-13")
    assert ask(up, token, "web-13", SECRET + "x").status_code == 409
    assert ask(up, token, "db-13").status_code == 409
    refused = up.run("enroll", "web-13")
    assert (refused.returncode, "--replace" in refused.stderr) == (1, True)
    assert ask(up, up.make_token("web-13", "--replace"), "web-13", SECRET + "x").status_code == 200


def test_a_token_nobody_made_is_403_and_many_are_429(up: Running) -> None:
    body = {"token": "guess", "host": "web-14", "secret": SECRET}
    with httpx.Client(base_url=up.url, transport=httpx.HTTPTransport(local_address="127.0.0.14")) as client:
        codes = [client.post("/enroll", json={**body, "token": f"guess-{n}"}).status_code for n in range(12)]
    assert codes == [403] * 10 + [429] * 2


@pytest.mark.parametrize(
    "change",
    [{"host": "a/b"}, {"host": ".."}, {"host": 5}, {"secret": "short"}, {"secret": "x" * 300}, {"token": ""},
     {"secret": "with a newline\n in it, and long enough"}],
)  # fmt: skip
def test_what_does_not_fit_is_422(up: Running, change: dict[str, object]) -> None:
    body = {"token": "x", "host": "web-15", "secret": SECRET, **change}
    assert httpx.post(f"{up.url}/enroll", json=body).status_code == 422


def test_a_fleet_enrols_by_one_token_as_often_as_it_says(up: Running) -> None:
    token = up.make_token("fleet-*", "--auto", "--uses", "2")
    assert ask(up, token, "fleet-1").status_code == 200
    assert ask(up, token, "fleet-2").status_code == 200
    assert ask(up, token, "fleet-3").status_code == 409
    assert ask(up, token, "other-1").status_code == 409


def test_a_revoked_agent_is_cut_off_within_a_second_and_stays_out(up: Running, tmp_path: Path) -> None:
    with agent(up, tmp_path, "web-16", HEIMDALL_ENROLL_TOKEN=up.make_token("web-16")) as process:
        wait_until(lambda: up.host("web-16"), "the enrolled host is alive")
        begun = time.monotonic()
        assert up.run("revoke", "web-16").returncode == 0
        # the command itself starts a Python; the cut is done when it returns
        assert time.monotonic() - begun < 10
        assert process.stderr is not None
        told = ""
        while "enrol the host again" not in told:
            told = process.stderr.readline()
            assert told, "the agent ended"
    broker = (up.home.logs / "broker.log").read_text()
    assert "web-16" in broker
    assert json.loads(up.run("audit", "--json").stdout)[0]["action"] == "host.revoked"


def test_a_killed_keeper_goes_on_where_it_was(up: Running) -> None:
    token = up.make_token("web-17")
    os.kill(up.children()["keeper"], 9)
    assert ask(up, token, "web-17").status_code == 200


def test_a_secret_is_not_sent_to_another_machine_unencrypted(up: Running, tmp_path: Path) -> None:
    token = up.make_token("web-18", "--url", "http://192.0.2.1:8010")
    with agent(up, tmp_path, "web-18", "--only-enroll", HEIMDALL_ENROLL_TOKEN=token) as process:
        _, said = process.communicate(timeout=30)
    assert (process.returncode, "HTTPS" in said) == (2, True)


def test_on_the_embedded_broker_nobody_can_be_enrolled_and_the_reason_is_said() -> None:
    with running("embedded") as embedded:
        answer = httpx.post(f"{embedded.url}/enroll", json={"token": "x", "host": "web-19", "secret": SECRET})
        assert (answer.status_code, "embedded broker" in answer.json()["detail"]) == (503, True)
