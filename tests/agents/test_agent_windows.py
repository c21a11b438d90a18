"""Event logs followed from a bookmark on, over a stand-in for Windows' libraries: see `windows_calls`."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path

import pytest
from agent_process import AgentProcess, Receiver
from plain_mosquitto import Broker
from windows_calls import Windows

from agents import agent_windows
from agents.agent_windows import WindowsCollector
from agents.windows_log import WindowsEventLog
from core.messages import check_event

RECORDED = Path(__file__).parent / "recorded"


class Follower:
    """A collector, with the position that the spool would hold."""

    def __init__(self, windows: Windows, position: str | None = None) -> None:
        self.windows, self.position = windows, position
        self.start()

    def start(self) -> None:
        self.collector = WindowsCollector("win-01", WindowsEventLog(self.windows.calls))

    def read(self) -> list[str]:
        """The addresses of the logins that failed, and the other events' types."""
        reading = self.collector.read(self.position)
        self.position = reading.position
        for event in reading.events:
            check_event(event, "win-01")
        return [event.source_ip if event.event_type == "LOGIN_FAIL" else event.event_type for event in reading.events]

    def restart(self) -> None:
        self.collector.close()
        self.start()


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Windows:
    monkeypatch.setattr(agent_windows, "LOOK_AGAIN_SECONDS", 0)
    caplog.set_level(logging.INFO)
    return Windows()


def addresses(*numbers: int) -> list[str]:
    return [f"192.0.2.{number}" for number in numbers]


def test_a_first_start_begins_at_the_end(windows: Windows) -> None:
    windows.logs["Security"] = [1, 2]
    follower = Follower(windows)
    assert follower.read() == []
    windows.logs["Security"] += [3, 4]
    assert follower.read() == addresses(3, 4)
    assert follower.read() == []


def test_all_that_comes_into_an_empty_log_is_new_also_after_a_restart(windows: Windows) -> None:
    follower = Follower(windows)
    assert follower.read() == []
    follower.restart()
    windows.logs["Security"] = [1]
    assert follower.read() == addresses(1)


def test_what_came_while_the_agent_was_away_is_read_once(windows: Windows) -> None:
    windows.logs["Security"] = [1]
    follower = Follower(windows)
    follower.read()
    windows.logs["Security"] += [2]
    assert follower.read() == addresses(2)
    follower.restart()
    windows.logs["Security"] += list(range(3, 90))
    assert follower.read() == addresses(*range(3, 90))
    assert follower.read() == []


def test_a_large_backlog_comes_in_parts(windows: Windows) -> None:
    follower = Follower(windows)
    follower.read()
    windows.logs["Security"] = list(range(1, 1_000))
    parts = []
    while part := len(follower.read()):
        parts.append(part)
    assert sum(parts) == 999
    assert max(parts) < 300


def test_a_log_that_may_not_be_read_is_said_once_and_the_others_go_on(
    windows: Windows, caplog: pytest.LogCaptureFixture
) -> None:
    windows.errors["Security", "EvtQuery"] = 5
    follower = Follower(windows)
    follower.read()
    windows.logs["System"] = [1]
    assert follower.read() == addresses(1)
    follower.read()
    assert caplog.text.count("the log Security cannot be read (access is denied: ") == 1
    windows.logs["Security"] = [2]
    del windows.errors["Security", "EvtQuery"]
    follower.read()
    windows.logs["Security"] += [3]
    assert follower.read() == addresses(3)
    assert caplog.text.count("reading the log Security") == 1


def test_a_log_that_may_not_be_read_any_more_goes_on_where_it_was(windows: Windows) -> None:
    windows.logs["Security"] = [1]
    follower = Follower(windows)
    follower.read()
    windows.errors["Security", "EvtSubscribe"] = 5
    follower.restart()
    windows.logs["Security"] += [2]
    assert follower.read() == []
    del windows.errors["Security", "EvtSubscribe"]
    assert follower.read() == addresses(2)


def test_a_log_that_is_not_there_is_said_once(windows: Windows, caplog: pytest.LogCaptureFixture) -> None:
    follower = Follower(windows)
    follower.read()
    follower.read()
    assert caplog.text.count("Defender/Operational cannot be read (there is no such log on this machine)") == 1


def test_a_log_that_was_cleared_while_the_agent_was_away_is_an_alert_and_read_from_its_oldest(windows: Windows) -> None:
    windows.logs["Security"] = [1]
    follower = Follower(windows)
    follower.read()
    follower.restart()
    windows.logs["Security"] = [7, 8]
    assert follower.read() == ["SYSTEM_ALERT"]
    follower.restart()
    assert follower.read() == addresses(7, 8)
    assert follower.read() == []


def test_a_bookmark_that_windows_does_not_take_is_as_one_that_is_gone(windows: Windows) -> None:
    windows.logs["Security"] = [1]
    follower = Follower(windows, '{"Security": "<nonsense>"}')
    assert follower.read() == ["SYSTEM_ALERT"]
    assert follower.read() == addresses(1)


@pytest.mark.parametrize("position", ["", "nonsense", "[]", "null", "7"])
def test_a_position_that_is_none_begins_at_the_end(windows: Windows, position: str) -> None:
    windows.logs["Security"] = [1]
    follower = Follower(windows, position)
    assert follower.read() == []
    windows.logs["Security"] += [2]
    assert follower.read() == addresses(2)


def test_a_subscription_that_ends_is_begun_again_behind_what_was_read(windows: Windows) -> None:
    windows.logs["Security"] = [1]
    follower = Follower(windows)
    follower.read()
    windows.errors["Security", "EvtNext"] = 1722
    windows.logs["Security"] += [2]
    assert follower.read() == []
    del windows.errors["Security", "EvtNext"]
    assert follower.read() == addresses(2)


def test_events_that_are_too_large_together_are_read_one_by_one(windows: Windows) -> None:
    windows.logs["Security"] = [1]
    follower = Follower(windows)
    follower.read()
    windows.errors["Security", "EvtNext"] = 1734
    windows.logs["Security"] += [2, 3]
    assert follower.read() == []
    del windows.errors["Security", "EvtNext"]
    windows.batches.clear()
    assert follower.read() == addresses(2, 3)
    assert windows.batches.count(1) == 3


def test_an_event_that_windows_cannot_give_ends_nothing(windows: Windows, caplog: pytest.LogCaptureFixture) -> None:
    follower = Follower(windows)
    follower.read()
    windows.errors["Security", "EvtRender"] = 15005
    windows.logs["Security"] = [12, 13, 14]
    assert follower.read() == addresses(12, 14)
    assert "left out: error 15005" in caplog.text


def test_everything_that_windows_gave_is_given_back(windows: Windows) -> None:
    follower = Follower(windows)
    follower.read()
    windows.logs["Security"] = list(range(1, 300))
    windows.errors["System", "EvtNext"] = 1722
    for _ in range(3):
        follower.read()
    follower.collector.close()
    assert windows.open == {}


def test_any_other_system_says_that_it_is_no_windows(start_agent: Callable[..., AgentProcess]) -> None:
    agent = start_agent(1, "--kind", "windows")
    assert agent.finish() == 1
    assert "this is no Windows: give it a log with --read" in agent.said()


@pytest.mark.mosquitto
def test_a_given_log_is_read_stored_and_confirmed(
    broker: Broker, receiver: Receiver, start_agent: Callable[..., AgentProcess]
) -> None:
    expected = 0
    for log in RECORDED.glob("windows-*.xml"):
        counts = json.loads(log.with_suffix(".json").read_text())
        agent = start_agent(broker.port, "--kind", "windows", "--read", str(log), "--once", "--json")
        assert agent.finish() == 0
        assert json.loads(agent.output)["by_type"] == counts
        expected += sum(counts.values())
    assert len(receiver.ids()) == expected
    assert {event["os_type"] for event in receiver.events()} == {"WINDOWS"}
