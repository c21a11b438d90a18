"""The last words of an agent: what the machine is about to do, as systemd tells it, and an upgrade that was announced.

`systemctl` is a script on PATH, for no test can reboot: it prints jobs as systemd does of a machine that goes down.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from agent_process import AgentProcess, Receiver
from plain_mosquitto import Broker
from waiting import wait_until

from agents.farewell import LONGEST_SECONDS, SHUT_DOWN, STOPPED, announce_upgrade, find_farewell
from agents.stop import INTERRUPTED, Stop
from core.clock import parse_time, utc_now
from core.errors import Invalid
from core.home import Home

Start = Callable[..., AgentProcess]

ORDINARY = "  731 nginx.service             restart running\n"
REBOOT = """\
 4711 systemd-reboot.service    start   waiting
 4707 reboot.target             start   waiting
 4710 shutdown.target           start   waiting
 4733 heimdall-agent.service    stop    running
"""
POWEROFF = REBOOT.replace("reboot", "poweroff")


def fake_systemctl(folder: Path, script: str) -> str:
    """A PATH on which `systemctl` is `script`, and the rest as it is."""
    folder.mkdir(exist_ok=True)
    program = folder / "systemctl"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"


def says(jobs: str) -> str:
    return f"cat <<'END'\n{jobs}END"


def last_status(port: int) -> dict[str, str]:
    """What somebody hears of the host who comes later."""
    late = Receiver(port, "@late")
    try:
        wait_until(lambda: late.of("status"), "a retained status")
        assert late.of("status")[0].retain
        return late.bodies("status")[0]
    finally:
        late.close()


@pytest.mark.mosquitto
def test_before_a_reboot_a_host_is_away_and_says_until_when(
    broker: Broker, receiver: Receiver, start_agent: Start, tmp_path: Path
) -> None:
    agent = start_agent(broker.port, PATH=fake_systemctl(tmp_path / "bin", says(ORDINARY + REBOOT)))
    wait_until(lambda: receiver.of("status"), "a birth")
    before = utc_now()
    assert agent.end() == 0
    status = last_status(broker.port)
    assert (status["state"], status["reason"]) == ("away", "reboot")
    assert before < parse_time(status["back_by"]) <= utc_now() + timedelta(minutes=10)
    assert status["session"] == receiver.bodies("status")[0]["session"]
    assert "is away (reboot) until" in agent.said()

    agent = start_agent(broker.port)
    wait_until(lambda: "connected" in agent.said(), "the agent is back")
    wait_until(lambda: receiver.bodies("status")[-1]["state"] == "online", "a birth")
    assert last_status(broker.port)["state"] == "online"


@pytest.mark.mosquitto
@pytest.mark.parametrize(
    ("script", "reason"),
    [(says(POWEROFF), "shutdown"), (says(ORDINARY), "stop"), ("exit 1", "stop"), ("exec tail -f /dev/null", "stop")],
    ids=["power-off", "other-jobs", "no-systemd", "hangs"],
)
def test_a_host_that_does_not_come_back_by_itself_is_offline(
    script: str, reason: str, broker: Broker, receiver: Receiver, start_agent: Start, tmp_path: Path
) -> None:
    agent = start_agent(broker.port, PATH=fake_systemctl(tmp_path / "bin", script))
    wait_until(lambda: receiver.of("status"), "a birth")
    assert agent.end() == 0
    status = last_status(broker.port)
    assert (status["state"], status["reason"], status.get("back_by")) == ("offline", reason, None)


@pytest.mark.mosquitto
def test_a_kill_leaves_the_will_and_the_next_birth_replaces_it(
    broker: Broker, receiver: Receiver, start_agent: Start, tmp_path: Path
) -> None:
    agent = start_agent(broker.port, PATH=fake_systemctl(tmp_path / "bin", says(REBOOT)))
    wait_until(lambda: receiver.of("status"), "a birth")
    agent.end(signal.SIGKILL)
    wait_until(lambda: len(receiver.of("status")) == 2, "the will")
    assert (last_status(broker.port)["state"], last_status(broker.port)["reason"]) == ("offline", "lost")
    start_agent(broker.port)
    wait_until(lambda: len(receiver.of("status")) == 3, "the next birth")
    assert (last_status(broker.port)["state"], last_status(broker.port)["reason"]) == ("online", "start")


@pytest.mark.mosquitto
def test_an_announced_upgrade_is_said_once(
    broker: Broker, receiver: Receiver, start_agent: Start, tmp_path: Path
) -> None:
    home = Home(tmp_path / "home")
    agent = start_agent(broker.port)
    wait_until(lambda: receiver.of("status"), "a birth")
    announce_upgrade(home, 120)
    assert agent.end() == 0
    status = last_status(broker.port)
    assert (status["state"], status["reason"]) == ("away", "upgrade")
    assert status["back_by"] == home.back_by.read_text().strip()

    agent = start_agent(broker.port)
    wait_until(lambda: "connected" in agent.said(), "the agent is back")
    assert not home.back_by.exists()
    assert agent.end() == 0
    assert last_status(broker.port)["reason"] == "stop"


def test_what_cannot_be_kept_is_not_announced(tmp_path: Path) -> None:
    home = Home(tmp_path)
    for seconds in (0, -1, LONGEST_SECONDS + 1):
        with pytest.raises(Invalid, match="away for"):
            announce_upgrade(home, seconds)
    for text in ("", "tomorrow", "2000-01-01T00:00:00Z", "9000-01-01T00:00:00Z", "\xff"):
        home.back_by.write_text(text, encoding="latin-1")
        assert find_farewell(Stop(), home) == STOPPED


def test_a_service_of_windows_says_that_the_machine_goes_down(tmp_path: Path) -> None:
    stop = Stop()
    stop.ask(shutting_down=True)
    assert stop.event.is_set()
    assert find_farewell(stop, Home(tmp_path)) == SHUT_DOWN


def test_a_person_who_ends_the_agent_is_believed(tmp_path: Path) -> None:
    announce_upgrade(Home(tmp_path), 60)
    stop = Stop()
    stop.code = INTERRUPTED
    assert find_farewell(stop, Home(tmp_path)) == STOPPED


def test_windows_gets_its_answer_when_the_agent_has_ended() -> None:
    stop = Stop()
    answers: list[int] = []
    with stop:
        console = threading.Thread(target=lambda: answers.append(stop.end_console(6)))
        console.start()
        assert stop.event.wait(30)
        assert answers == []
    console.join()
    assert (answers, stop.shutting_down, stop.end_console(0)) == ([1], True, 0)
