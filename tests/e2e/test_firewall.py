"""From a firewall's syslog to `GET /events`: an enrolled agent that listens, and a Heimdall that stores."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from heimdall_home import Running, outside, running
from waiting import free_port, wait_until

LOG = Path(__file__).parents[1] / "agents" / "recorded" / "firewall" / "pfsense-2.7.log"
BLOCK = (
    b"<134>filterlog[1]: 4,,,1000000103,igb0,match,block,in,4,0x0,,242,1,0,none,6,tcp,40,"
    b"%s,198.51.100.2,51514,%d,0,S,1,,1024,,"
)
LOGIN = b"<38>sshd[77120]: Failed password for root from 203.0.113.9 port 40122 ssh2"


@pytest.fixture(scope="module")
def up() -> Iterator[Running]:
    with running("mosquitto") as started:
        yield started


@contextlib.contextmanager
def firewall_agent(up: Running, folder: Path, host: str, *words: str, **more: str) -> Iterator[subprocess.Popen[bytes]]:
    """An agent in a home of its own, so that it must be enrolled; what it says is in `folder/agent.err`."""
    with (folder / "agent.err").open("ab") as errors:
        process = subprocess.Popen(
            up.command("agent", "--kind", "firewall", "--host", host, *words),
            env={**outside(), "HEIMDALL_HOME": str(folder / "home"), **more}, stdout=errors, stderr=errors,
        )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def token(up: Running, host: str) -> dict[str, str]:
    made = up.run("enroll", host, "--kind", "firewall", "--json")
    assert made.returncode == 0, made.stderr
    return {"HEIMDALL_ENROLL_TOKEN": json.loads(made.stdout)["token"]}


@pytest.mark.mosquitto
def test_a_datagram_and_a_message_over_tcp_become_events(up: Running, tmp_path: Path) -> None:
    port = free_port()
    with firewall_agent(up, tmp_path, "fw-01", "--listen", f"127.0.0.1:{port}", **token(up, "fw-01")) as agent:
        wait_until(lambda: "listening for syslog" in (tmp_path / "agent.err").read_text(), "the agent listens")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(BLOCK % (b"203.0.113.7", 22), ("127.0.0.1", port))
        with socket.create_connection(("127.0.0.1", port)) as sender:
            sender.sendall(b"%d %s" % (len(LOGIN), LOGIN))
            for number in range(1, 16):
                message = BLOCK % (b"203.0.113.8", number)
                sender.sendall(b"%d %s" % (len(message), message))

        def stored() -> dict[str, list[str]]:
            found: dict[str, list[str]] = {}
            for event in up.get("/events", source_host="fw-01", limit=100)["events"]:
                found.setdefault(event["event_type"], []).append(event["source_ip"])
            return found

        wait_until(lambda: sum(map(len, stored().values())) == 18, "all are stored")
        assert stored() == {
            "CONNECTION_BLOCKED": ["203.0.113.8"] * 15 + ["203.0.113.7"],
            "LOGIN_FAIL": ["203.0.113.9"],
            "PORT_SCAN": ["203.0.113.8"],
        }
        host = up.host("fw-01")
        assert (host["os_type"], host["total_events"]) == ("FIREWALL", 18)

        agent.send_signal(signal.SIGINT)
        assert agent.wait(30) == 130
    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
        with socket.socket(socket.AF_INET, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))


@pytest.mark.mosquitto
def test_a_firewalls_log_is_read_once_and_needs_no_port(up: Running, tmp_path: Path) -> None:
    enrolment = token(up, "fw-02")
    for _ in range(2):
        with firewall_agent(up, tmp_path, "fw-02", "--read", str(LOG), "--once", **enrolment) as agent:
            assert agent.wait(100) == 0, (tmp_path / "agent.err").read_text()
    assert "listening" not in (tmp_path / "agent.err").read_text()
    expected = sum(json.loads(LOG.with_suffix(".json").read_text()).values())
    assert len(up.get("/events", source_host="fw-02", limit=100)["events"]) == expected


@pytest.mark.mosquitto
def test_a_port_that_is_taken_is_said_and_ends_the_agent(up: Running, tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{other.getsockname()[1]}"
        with firewall_agent(up, tmp_path, "fw-03", "--listen", address, **token(up, "fw-03")) as agent:
            assert agent.wait(60) == 1
    said = (tmp_path / "agent.err").read_text()
    assert f"--listen {address}: another program listens there" in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["--kind", "firewall", "--listen", "5514"], "--listen '5514': use ADDRESS:PORT"),
        (["--kind", "linux", "--listen", "127.0.0.1:5514"], "--listen belongs to --kind firewall"),
    ],
)
def test_a_wrong_use_is_said(words: list[str], error: str, tmp_path: Path) -> None:
    with running(start=False) as up:
        done = up.run("agent", *words)
    assert done.returncode != 0
    assert error in done.stderr
