"""Secrets and the authority change while all runs, and nobody goes to the hosts."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from heimdall_home import Running, outside, running_with_tls
from test_tls import only_enrol
from waiting import wait_until

from broker import certificates
from core.home import Home
from core.tls import split_certificates, trust

pytestmark = pytest.mark.mosquitto
# `heimdall agent` that comes by at once and then each second, not each day
AGENT = """
import sys
from agents import renewal
from heimdall.main import main
renewal.FIRST_SECONDS = renewal.EVERY_SECONDS = renewal.AGAIN_SECONDS = (0.3, 0.6)
sys.exit(main(["agent", "--interval", "1"]))
"""
SECRET = "a-secret-of-the-test-that-is-long-enough"


@pytest.fixture(scope="module")
def up() -> Iterator[Running]:
    with running_with_tls() as started:
        yield started


@contextlib.contextmanager
def agent(up: Running, folder: Path, host: str) -> Iterator[subprocess.Popen[bytes]]:
    """The agent of `host`, enrolled and alive; what it says is in `folder`/said.txt."""
    home = folder / host
    if not Home(home).credential_path("agent").exists():
        assert only_enrol(home, host, up.make_token(host))[0] == 0
    with (folder / "said.txt").open("ab") as said:
        process = subprocess.Popen(
            [sys.executable, "-c", AGENT], env={**outside(), "HEIMDALL_HOME": str(home)}, stderr=said
        )
    try:
        wait_until(lambda: up.host(host), "the host is alive")
        yield process
    finally:
        process.kill()
        process.wait()


def visit(up: Running, host: str, secret: str, **more: str) -> httpx.Response:
    body = {"host": host, "secret": secret, **more}
    return httpx.post(f"{up.url}/enroll/renewal", json=body, verify=up.trust, timeout=30)


def beats_on(up: Running, host: str) -> None:
    seen = up.host(host)["last_seen"]
    wait_until(lambda: up.host(host)["last_seen"] > seen, "the host goes on")


def test_a_host_takes_a_new_secret_when_it_is_asked_to_and_the_old_one_is_worth_nothing(
    up: Running, tmp_path: Path
) -> None:
    home = Home(tmp_path / "new-01")
    with agent(up, tmp_path, "new-01"):
        before = home.credential("agent")
        asked = up.run("rotate", "new-01")
        assert (asked.returncode, asked.stdout) == (0, "new-01\n")
        wait_until(lambda: home.credential("agent") != before, "it has a new secret")
        beats_on(up, "new-01")
    assert not home.credential_path("agent.new").exists()
    assert up.run("rotate").stdout == ""
    assert visit(up, "new-01", before.password).status_code == 403
    assert visit(up, "new-01", home.credential("agent").password).json()["renew"] is False
    said = (tmp_path / "said.txt").read_text()
    assert before.password not in said
    assert home.credential("agent").password not in said


@pytest.mark.parametrize("pause", [0.2, 0.35, 0.5, 0.8, 1.2])
def test_an_agent_killed_while_its_secret_changes_comes_back(up: Running, tmp_path: Path, pause: float) -> None:
    host = f"new-2-{pause}"
    home = Home(tmp_path / host)
    with agent(up, tmp_path, host) as process:
        before = home.credential("agent")
        assert up.run("rotate", host).returncode == 0
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(pause)
        process.send_signal(signal.SIGKILL)
        process.wait()
    with agent(up, tmp_path, host):
        wait_until(lambda: home.credential("agent") != before, "it has a new secret")
        beats_on(up, host)


def test_a_lost_answer_does_no_harm(up: Running, tmp_path: Path) -> None:
    home = Home(tmp_path / "new-03")
    assert only_enrol(home.path, "new-03", up.make_token("new-03"))[0] == 0
    assert up.run("rotate", "new-03").returncode == 0
    first = home.credential("agent").password
    for _ in range(2):
        answer = visit(up, "new-03", first, new_secret=SECRET)
        assert (answer.status_code, answer.json()["renewed"]) == (200, True)
    assert visit(up, "new-03", first, new_secret=SECRET + "x").status_code == 403


def test_who_has_a_secret_cannot_lock_the_host_out_with_another(up: Running, tmp_path: Path) -> None:
    home = Home(tmp_path / "new-04")
    assert only_enrol(home.path, "new-04", up.make_token("new-04"))[0] == 0
    secret = home.credential("agent").password
    answer = visit(up, "new-04", secret, new_secret=SECRET)
    assert (answer.status_code, answer.json()["renewed"], answer.json()["renew"]) == (200, False, False)
    assert visit(up, "new-04", secret).status_code == 200


def test_strangers_and_the_revoked_hear_nothing(up: Running, tmp_path: Path) -> None:
    home = Home(tmp_path / "new-05")
    assert only_enrol(home.path, "new-05", up.make_token("new-05"))[0] == 0
    assert visit(up, "new-05", SECRET).status_code == 403
    assert visit(up, "never-enrolled", SECRET).status_code == 403
    assert up.run("revoke", "new-05").returncode == 0
    assert visit(up, "new-05", home.credential("agent").password).status_code == 403
    refused = up.run("rotate", "new-05", "never-enrolled")
    assert (refused.returncode, "not enrolled: never-enrolled, new-05" in refused.stderr) == (2, True)


def test_the_authority_changes_and_the_hosts_follow(up: Running, tmp_path: Path) -> None:
    home = Home(tmp_path / "new-06")
    with agent(up, tmp_path, "new-06"):
        old = (up.home.tls / "ca.pem").read_text()
        begun = up.run("tls", "rotate")
        assert (begun.returncode, "learn of a new authority" in begun.stdout) == (0, True)
        wait_until(lambda: len(split_certificates(home.trusted.read_text())) == 2, "the host trusts both")
        early = up.run("tls", "rotate")
        # hosts of the other tests have no agent that would come by
        assert (early.returncode, "--anyway" in early.stderr) == (1, True)
        assert "new-06" not in early.stderr
        assert up.run("tls", "rotate", "--anyway").returncode == 0
        assert old not in (up.home.tls / "ca.pem").read_text()
        wait_until(up.answers, "the API shows a certificate of the new authority")
        wait_until(lambda: home.trusted.read_text() == (up.home.tls / "ca.pem").read_text(), "the host follows")
        beats_on(up, "new-06")
    with agent(up, tmp_path, "new-06"):
        beats_on(up, "new-06")
    assert only_enrol(tmp_path / "late", "new-07", up.make_token("new-07"))[0] == 0


def test_an_authority_is_changed_in_two_steps_each_of_which_may_come_again(tmp_path: Path) -> None:
    home = Home(tmp_path)
    certificates.init(home, ["127.0.0.1"])
    first = (home.tls / "ca.pem").read_text()
    certificates.rotate(home)
    both = (home.tls / "ca.pem").read_text()
    assert both.startswith(first)
    assert split_certificates((home.tls / "server.pem").read_text())[-1] == first.strip()
    certificates.rotate(home)
    assert (home.tls / "ca.pem").read_text() == both.removeprefix(first)
    assert certificates.rotation_began(home) is None
    certificates.renew(home)  # by the new one
    assert trust(home.tls / "ca.pem").get_ca_certs()
