"""`heimdall broker check`, at real brokers."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from api_parts import Broker
from heimdall_home import outside
from waiting import free_port, wait_until

from broker.check import TRIALS
from broker.handshake import wait_ready
from core.home import Credential, Home
from core.settings import BrokerAddress

NAMES = {trial.name for trial in TRIALS}


def check(home: Path, *words: str, **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "heimdall", "broker", "check", *words],
        env={**outside(), "HEIMDALL_HOME": str(home), **settings}, capture_output=True, text=True, check=False,
    )  # fmt: skip


def missing(done: subprocess.CompletedProcess[str]) -> set[str]:
    findings = json.loads(done.stdout)["findings"]
    assert {one["name"] for one in findings} == NAMES
    assert all(one["without"] for one in findings if not one["works"])
    return {one["name"] for one in findings if not one["works"]}


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[tuple[BrokerAddress, Credential]]:
    home, port = Home(tmp_path / "home"), free_port()
    environment = {**outside(), "HEIMDALL_HOME": str(home.path), "HEIMDALL_MQTT_PORT": str(port)}
    command = [sys.executable, "-m", "heimdall", "broker", "--broker", "embedded"]
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as process:
        try:
            wait_until(lambda: home.credential_path("api").exists(), "the credentials are written")
            address, credential = BrokerAddress("mqtt", "127.0.0.1", port), home.credential("api")
            wait_ready(address, credential, 30)
            yield address, credential
        finally:
            process.terminate()


@pytest.mark.mosquitto
def test_mosquitto_has_it_all_and_that_it_lets_anyone_in_is_told(tmp_path: Path) -> None:
    broker = Broker(tmp_path)
    broker.start()
    try:
        done = check(tmp_path / "home", f"mqtt://127.0.0.1:{broker.port}", "--json")
        # it was asked without a user
        assert (done.returncode, missing(done)) == (1, {"strangers are refused"}), done.stderr
        login = {"HEIMDALL_BROKER_USER": "eva", "HEIMDALL_BROKER_PASSWORD": "swordfish"}
        done = check(tmp_path / "home", HEIMDALL_MQTT_PORT=str(broker.port), **login)
    finally:
        broker.kill()
    assert done.returncode == 1
    assert "NO   strangers are refused" in done.stdout
    assert "it lets in who has no password" in done.stdout
    assert done.stdout.count("\nyes  ") + done.stdout.startswith("yes  ") == len(TRIALS) - 1
    assert done.stdout.splitlines()[-1] == f"Heimdall does not work there: 1 of {len(TRIALS)} are missing."
    assert "swordfish" not in done.stdout + done.stderr


def test_the_embedded_broker_will_do_and_what_it_has_not_is_told(
    tmp_path: Path, embedded: tuple[BrokerAddress, Credential]
) -> None:
    address, credential = embedded
    login = {"HEIMDALL_BROKER_USER": credential.user, "HEIMDALL_BROKER_PASSWORD": credential.password}
    done = check(tmp_path / "home", str(address), "--json", **login)
    assert (done.returncode, missing(done)) == (
        0, {"Retain Handling", "shared, some away", "receive maximum", "$SYS"},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("mqtt://127.0.0.1:1",), 1, "nobody answers at mqtt://127.0.0.1:1"),
        (("http://127.0.0.1",), 2, "use mqtt://HOST:PORT"),
    ],
)
def test_what_cannot_be_asked_is_said(tmp_path: Path, words: tuple[str, ...], code: int, says: str) -> None:
    done = check(tmp_path / "home", *words)
    assert (done.returncode, says in done.stderr, done.stdout) == (code, True, "")
