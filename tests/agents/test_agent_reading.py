"""`--read FILE --once`: a log from its start, counted, confirmed, and nothing doubled."""

from __future__ import annotations

import gzip
import json
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from agent_process import AgentProcess, Receiver, failed_logins
from plain_mosquitto import Broker
from sqlite_file import opened
from waiting import wait_until

pytestmark = pytest.mark.mosquitto
Start = Callable[..., AgentProcess]


def test_every_event_of_a_log_is_sent_confirmed_and_counted(
    broker: Broker, receiver: Receiver, start_agent: Start, tmp_path: Path
) -> None:
    sample = tmp_path / "sample.log"
    sample.write_text(
        failed_logins(3_000) + "Nov 23 07:00:00 web-01 sshd[9]: Connection closed by 192.0.2.7 [preauth]\n"
    )
    agent = start_agent(broker.port, "--kind", "linux", "--read", str(sample), "--once", "--json")
    assert agent.finish() == 0
    assert json.loads(agent.output) == {
        "file": str(sample), "lines": 3_001, "events": 3_000, "by_type": {"LOGIN_FAIL": 3_000}, "sent": True,
    }  # fmt: skip
    assert len(receiver.ids()) == 3_000


def test_the_same_file_again_adds_nothing_also_copied_and_compressed(
    broker: Broker, receiver: Receiver, start_agent: Start, tmp_path: Path
) -> None:
    text = failed_logins(40).encode()
    (tmp_path / "a.log").write_bytes(text)
    (tmp_path / "b.log").write_bytes(text)
    (tmp_path / "c.log.gz").write_bytes(gzip.compress(text))
    for name in ("a.log", "a.log", "b.log", "c.log.gz"):
        assert start_agent(broker.port, "--read", str(tmp_path / name), "--once").finish() == 0
    assert len(receiver.events()) == 160
    assert len(receiver.ids()) == 40
    bodies = Counter(json.dumps(event, sort_keys=True) for event in receiver.events())
    assert set(bodies.values()) == {4}, "the same id with another body would be refused as a conflict"


def test_another_file_at_the_same_path_is_not_taken_for_the_first(
    broker: Broker, receiver: Receiver, start_agent: Start, tmp_path: Path
) -> None:
    sample = tmp_path / "sample.log"
    for first in (1, 101):
        sample.write_text(failed_logins(20, first))
        assert start_agent(broker.port, "--read", str(sample), "--once").finish() == 0
    assert len(receiver.ids()) == 40


def test_equal_lines_in_one_file_are_events_of_their_own(
    broker: Broker, receiver: Receiver, start_agent: Start, tmp_path: Path
) -> None:
    sample = tmp_path / "sample.log"
    sample.write_text(failed_logins(1) * 5)
    assert start_agent(broker.port, "--read", str(sample), "--once").finish() == 0
    assert len(receiver.ids()) == 5


def test_a_running_agent_of_the_same_home_sends_what_is_read(
    broker: Broker, receiver: Receiver, start_agent: Start, tmp_path: Path
) -> None:
    (tmp_path / "auth.log").write_text("")
    running = start_agent(broker.port)
    wait_until(lambda: "connected" in running.said(), "connected")
    sample = tmp_path / "sample.log"
    sample.write_text(failed_logins(1_500))
    reader = start_agent(broker.port, "--read", str(sample), "--once")
    assert reader.finish() == 0
    assert "connected" not in reader.said()
    assert "1,500 events (1,500 LOGIN_FAIL)" in reader.said()
    assert len(receiver.ids()) == 1_500
    assert len({status["session"] for status in receiver.bodies("status")}) == 1
    assert running.end() == 0


def test_a_reader_takes_over_when_the_running_agent_dies(
    broker: Broker, receiver: Receiver, start_agent: Start, tmp_path: Path
) -> None:
    receiver.answers = False
    (tmp_path / "auth.log").write_text("")
    running = start_agent(broker.port)
    wait_until(lambda: "connected" in running.said(), "connected")
    sample = tmp_path / "sample.log"
    sample.write_text(failed_logins(30))
    reader = start_agent(broker.port, "--read", str(sample), "--once")
    wait_until(lambda: len(receiver.ids()) == 30, "the agent sends")
    running.end(signal.SIGKILL)
    receiver.answers = True
    assert reader.finish() == 0
    assert "connected" in reader.said()


def waiting(tmp_path: Path) -> int:
    with opened(tmp_path / "home" / "spool" / "agent.db") as db:
        return int(db.execute("SELECT count(*) FROM spool").fetchone()[0])


def test_an_interrupted_reader_leaves_what_is_spooled_and_says_so(start_agent: Start, tmp_path: Path) -> None:
    sample = tmp_path / "sample.log"
    sample.write_text(failed_logins(30))
    reader = start_agent(1, "--read", str(sample), "--once")
    wait_until(lambda: "no connection" in reader.said(), "it tries")
    wait_until(lambda: waiting(tmp_path) == 30, "all of it is spooled")
    assert reader.end(signal.SIGINT) == 130
    assert "30 events wait in" in reader.said()


def test_read_without_once_goes_on_as_the_agent(
    broker: Broker, receiver: Receiver, start_agent: Start, tmp_path: Path
) -> None:
    (tmp_path / "auth.log").write_text("")
    sample = tmp_path / "sample.log"
    sample.write_text(failed_logins(30))
    agent = start_agent(broker.port, "--read", str(sample))
    wait_until(lambda: "first start" in agent.said(), "it goes on")
    with (tmp_path / "auth.log").open("a") as file:
        file.write(failed_logins(2, first=500))
    wait_until(lambda: len(receiver.ids()) == 32, "both")
    assert agent.end() == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--read", "/nonexistent/x.log", "--once"), "/nonexistent/x.log: cannot be read: No such file or directory"),
        (("--once",), "--once belongs to --read FILE"),
        (("--kind", "toaster"), "--kind 'toaster' is unknown: use one of linux"),
        (("--interval", "0"), "--interval 0.0: use 1 to 86400 seconds"),
        (("--host", "no host"), "--host 'no host' cannot be a host name"),
    ],
)
def test_wrong_use_is_a_clear_error(start_agent: Start, arguments: tuple[str, ...], said: str) -> None:
    agent = start_agent(1, *arguments)
    assert agent.finish() == 1
    assert said in agent.said()
