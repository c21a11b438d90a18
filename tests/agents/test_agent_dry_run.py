"""`heimdall agent --dry-run` prints what would be sent, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import pytest
from agent_process import LAUNCH, ROOT, AgentProcess, Receiver, failed_logins
from plain_mosquitto import Broker
from waiting import wait_until

Start = Callable[..., AgentProcess]
HOSTILE = "Nov 23 06:55:01 web-01 sshd[5]: Failed password for \x1b[31mroot\u202e\x9b from 192.0.2.7 port 5 ssh2\n"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "auth.log"
    path.write_text(failed_logins(2) + "Nov 23 06:56:00 web-01 cron[9]: nothing of note\n" + HOSTILE)
    return path


def test_a_file_is_printed_as_events_and_nothing_is_kept(start_agent: Start, log: Path, tmp_path: Path) -> None:
    agent = start_agent(None, "--dry-run", "--read", str(log), "--once")
    assert agent.finish() == 0
    lines = agent.output.decode().splitlines()
    assert len(lines) == 3
    assert " web-01 LOGIN_FAIL (severity 3, user root, from 192.0.2.7): Nov 23 06:55:01" in lines[0]
    assert all(line.isprintable() for line in lines)
    assert "4 lines, 3 events (3 LOGIN_FAIL)" in agent.said()
    assert not (tmp_path / "home").exists()


def test_as_json_each_line_is_an_event_that_a_terminal_can_take(start_agent: Start, log: Path) -> None:
    agent = start_agent(None, "--dry-run", "--read", str(log), "--once", "--json")
    assert agent.finish() == 0
    assert agent.output.isascii()
    events = [json.loads(line) for line in agent.output.splitlines()]
    assert [event["raw_message"] for event in events] == [*failed_logins(2).splitlines(), HOSTILE.rstrip("\n")]
    assert {event["source_host"] for event in events} == {"web-01"}
    assert all(UUID(event["event_id"]) for event in events)


@pytest.mark.mosquitto
def test_what_happens_from_now_on_is_printed_beside_the_running_agent(
    broker: Broker, receiver: Receiver, start_agent: Start, log: Path, tmp_path: Path
) -> None:
    agent = start_agent(broker.port)
    wait_until(lambda: "first start" in agent.said(), "the agent reads the log")
    look = start_agent(broker.port, "--dry-run", "--json")
    wait_until(lambda: "first start" in look.said(), "the other one too")
    with log.open("a") as file:
        file.write(failed_logins(3, first=100))
    wait_until(lambda: len(receiver.events()) == 3, "the agent sends")
    assert look.process.stdout is not None
    printed = [json.loads(look.process.stdout.readline()) for _ in range(3)]
    assert [event["raw_message"] for event in printed] == failed_logins(3, first=100).splitlines()
    assert look.end(signal.SIGINT) == 130
    assert agent.process.poll() is None
    assert len(receiver.of("status")) == 1, "of the agent alone"
    assert {event["event_id"] for event in printed}.isdisjoint(receiver.ids())
    assert agent.end() == 0


def test_who_reads_no_further_is_no_fault(log: Path, tmp_path: Path) -> None:
    log.write_text(failed_logins(5_000))
    words = [sys.executable, "-W", "error", "-c", LAUNCH, "--dry-run", "--read", str(log), "--once"]
    with subprocess.Popen(
        words, cwd=ROOT, env={**os.environ, "HEIMDALL_HOME": str(tmp_path / "home"), "HEIMDALL_HOST": "web-01"},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stderr is not None
        assert b"LOGIN_FAIL" in process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(30) == 0


def test_nor_is_who_reads_nothing_of_a_check(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    ended = subprocess.run(
        [sys.executable, "-m", "heimdall", "agent", "--check"], cwd=ROOT, stdout=writing, stderr=subprocess.PIPE,
        env={**os.environ, "HEIMDALL_HOME": str(tmp_path / "home"), "HEIMDALL_HOST": "web-01"}, timeout=60, check=False,
    )  # fmt: skip
    os.close(writing)
    assert (ended.returncode, b"Traceback" in ended.stderr) == (0, False)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--dry-run", "--check"), "not both"),
        (("--dry-run", "--enroll", "hmd_x"), "leave it out"),
        (("--check", "--only-enroll"), "leave it out"),
        (("--check", "--read", "FILE"), "one of them"),
        (("--dry-run", "--host", "a b"), "cannot be a host name"),
    ],
)
def test_wrong_use_is_said(words: tuple[str, ...], why: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "heimdall", "agent", *words], cwd=ROOT, capture_output=True, text=True, timeout=60,
        env={**os.environ, "HEIMDALL_HOME": str(tmp_path / "home")}, check=False,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert why in done.stderr
    assert not (tmp_path / "home").exists()
