"""The unified log followed across restarts, over a stand-in for `log`: nothing is missing, nothing there twice."""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from agent_process import AgentProcess, Receiver
from plain_mosquitto import Broker
from waiting import wait_until

from agents import unified_log
from agents.agent_macos import MacosCollector
from agents.unified_log import Place, UnifiedLog
from core.clock import utc_now
from core.messages import check_event

RECORDED = Path(__file__).parent / "recorded"
PROGRAM = Path(__file__).parent / "log_program.py"


class Mac:
    """A log that tests write to, and the agent's position in it."""

    def __init__(self, folder: Path) -> None:
        self.store = folder / "store"
        self.store.touch()
        self.position: str | None = None
        self.seen: list[str] = []
        self.start()

    def start(self) -> None:
        self.beside("follows").unlink(missing_ok=True)
        self.collector = MacosCollector("mac-01", UnifiedLog((sys.executable, str(PROGRAM), str(self.store))))

    def beside(self, name: str) -> Path:
        return self.store.with_name(f"store.{name}")

    def fail(self, *numbers: int, ago_seconds: float = 0) -> None:
        """Logins from these addresses fail now, or a while ago."""
        moment = f"{utc_now() - timedelta(seconds=ago_seconds):%Y-%m-%d %H:%M:%S.%f}+0000"
        with self.store.open("a") as file:
            for number in numbers:
                message = f"Failed password for alice from 192.0.2.{number} port 9 ssh2"
                path = "/usr/sbin/sshd"
                file.write(json.dumps({"timestamp": moment, "processImagePath": path, "eventMessage": message}) + "\n")

    def read(self) -> list[str]:
        reading = self.collector.read(self.position)
        self.position = reading.position
        for event in reading.events:
            check_event(event, "mac-01")
            self.seen.append(event.source_ip if event.event_type == "LOGIN_FAIL" else event.raw_message)
        return self.seen

    def expect(self, *numbers: int) -> None:
        expected = [f"192.0.2.{number}" for number in numbers]
        wait_until(lambda: self.read() == expected, f"{expected}, and not {self.seen}")

    def follow(self) -> None:
        """Read until `log stream` alone is read."""
        wait_until(lambda: (self.read(), self.collector._log._show is None)[1], "the gap is filled")
        wait_until(self.beside("follows").exists, "the stream follows")

    def restart(self) -> None:
        self.collector.close()
        self.start()


@pytest.fixture
def mac(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Iterator[Mac]:
    monkeypatch.setattr(unified_log, "RESTART_SECONDS", 0)
    caplog.set_level(logging.INFO)
    made = Mac(tmp_path)
    yield made
    made.collector.close()


def test_a_first_start_begins_at_the_end(mac: Mac) -> None:
    mac.fail(1, ago_seconds=3)
    mac.follow()
    mac.fail(2)
    mac.expect(2)


def test_what_came_while_the_agent_was_away_is_read_once(mac: Mac) -> None:
    mac.follow()
    mac.fail(1, 2)
    mac.expect(1, 2)
    mac.collector.close()
    mac.fail(3)
    mac.start()
    mac.expect(1, 2, 3)
    mac.follow()
    mac.fail(4)
    mac.expect(1, 2, 3, 4)


def test_entries_of_one_instant_are_told_apart(mac: Mac) -> None:
    mac.follow()
    mac.fail(1, 2, 3)
    mac.expect(1, 2, 3)
    mac.restart()
    mac.follow()
    assert mac.seen == ["192.0.2.1", "192.0.2.2", "192.0.2.3"]


def test_what_comes_while_the_gap_is_filled_is_read_once(mac: Mac) -> None:
    mac.follow()
    mac.fail(1)
    mac.expect(1)
    mac.restart()
    mac.fail(2)
    mac.beside("pause").touch()
    mac.read()
    wait_until(mac.beside("follows").exists, "the stream follows")
    mac.fail(3)  # both processes will tell it
    mac.beside("pause").unlink()
    mac.expect(1, 2, 3)
    mac.follow()
    mac.fail(4)
    mac.expect(1, 2, 3, 4)


def test_what_comes_after_the_gap_was_looked_at_is_read_behind_it(mac: Mac) -> None:
    mac.fail(1)
    mac.restart()
    mac.position = Place(utc_now() - timedelta(seconds=9)).dump()
    mac.beside("hold").touch()
    mac.read()
    wait_until(mac.beside("shown").exists, "the gap was looked at")
    wait_until(mac.beside("follows").exists, "the stream follows")
    mac.fail(2)
    wait_until(lambda: (mac.read(), any(b"192.0.2.2" in line for line in mac.collector._log._waiting))[1], "it waits")
    mac.beside("hold").unlink()
    mac.expect(1, 2)


def test_a_killed_stream_loses_nothing(mac: Mac) -> None:
    mac.follow()
    mac.fail(1)
    mac.expect(1)
    stream = mac.collector._log._stream
    assert stream is not None
    mac.beside("follows").unlink()
    os.kill(stream._process.pid, signal.SIGKILL)
    stream._process.wait()
    mac.fail(2)
    mac.expect(1, 2)
    mac.follow()
    mac.fail(3)
    mac.expect(1, 2, 3)


def test_an_entry_that_comes_late_is_read(mac: Mac) -> None:
    mac.follow()
    mac.fail(1)
    mac.expect(1)
    mac.fail(2, ago_seconds=30)
    mac.expect(1, 2)


def test_an_old_log_that_cannot_be_read_is_an_alert_and_the_new_one_is_followed(mac: Mac) -> None:
    mac.beside("broken").touch()
    wait_until(mac.read, "an alert")
    assert len(mac.seen) == 1
    assert "cannot be read (log: Could not open local log store: Operation not permitted)" in mac.seen[0]
    mac.follow()
    mac.fail(1)
    wait_until(lambda: mac.read()[1:] == ["192.0.2.1"], "the new one")


def test_a_machine_without_the_program_is_said_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unified_log, "RESTART_SECONDS", 0)
    collector = MacosCollector("mac-01", UnifiedLog(("/nonexistent/log",)))
    position = None
    for _ in range(3):
        reading = collector.read(position)
        position = reading.position
        assert reading.events == []
    collector.close()
    assert caplog.text.count("`log` cannot be started") == 1


@pytest.mark.parametrize("position", ["", "nonsense", "[]", '{"since": "x", "marks": []}'])
def test_a_position_that_is_none_begins_at_the_end(mac: Mac, position: str) -> None:
    mac.position = position
    mac.fail(1, ago_seconds=3)
    mac.follow()
    mac.fail(2)
    mac.expect(2)


def test_a_position_stays_small(mac: Mac) -> None:
    mac.follow()
    mac.fail(*range(250), *range(250), *range(250))
    mac.fail(*range(200))
    wait_until(lambda: len(mac.read()) >= 450, "all")
    assert mac.position is not None
    assert len(Place.load(mac.position).marks) <= unified_log.MOST_MARKS
    assert len(mac.position) < 8_000


def test_a_clock_that_was_set_back_does_not_move_the_position_into_the_future(mac: Mac) -> None:
    mac.follow()
    mac.fail(1, ago_seconds=-3_600)
    mac.expect(1)
    assert mac.position is not None
    assert Place.load(mac.position).since <= utc_now()


@pytest.mark.mosquitto
def test_a_given_log_is_read_stored_and_confirmed(
    broker: Broker, receiver: Receiver, start_agent: Callable[..., AgentProcess]
) -> None:
    log = RECORDED / "macos-unified.ndjson"
    counts = json.loads(log.with_suffix(".json").read_text())
    agent = start_agent(broker.port, "--kind", "macos", "--read", str(log), "--once", "--json")
    assert agent.finish() == 0
    assert json.loads(agent.output)["by_type"] == counts
    assert len(receiver.ids()) == sum(counts.values())
    assert {event["os_type"] for event in receiver.events()} == {"MACOS"}
