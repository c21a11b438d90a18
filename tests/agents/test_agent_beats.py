"""When an agent beats: at each connect, and an interval after every beat, whatever went before."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from agents import agent as shared_agent
from agents.agent import Agent
from agents.collector import Reading
from core.messages import Heartbeat, OsType
from core.spool import Spool

INTERVAL = 30.0


class Nothing:
    """A source without events."""

    name = "nothing"
    os_type: OsType = "LINUX"

    def read(self, position: str | None) -> Reading:
        return Reading([], position or "")

    def close(self) -> None:
        pass


class Heard:
    """A link that notes when it is given a beat."""

    spool_damaged = False
    beats_lost = 0

    def __init__(self, now: Callable[[], float]) -> None:
        self.connections = 0
        self.at: list[float] = []
        self._now = now

    def send_beat(self, beat: Heartbeat) -> bool:
        self.at.append(self._now())
        return True

    def start(self) -> None: ...
    def wake(self) -> None: ...
    def use_spool(self, spool: Spool) -> None: ...
    def stop(self) -> None: ...


class Time:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.seconds = 1_000.0

    def monotonic(self) -> float:
        return self.seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Time:
    made = Time()
    monkeypatch.setattr(shared_agent, "time", made)
    return made


@pytest.fixture
def link(clock: Time) -> Heard:
    return Heard(clock.monotonic)


def run(agent: Agent, clock: Time, seconds: float) -> None:
    """Ask as often as the agent does whether a beat is due."""
    until = clock.seconds + seconds
    while clock.seconds < until:
        agent.beat_when_due()
        clock.seconds += 0.5


def make(link: Heard, tmp_path: Path) -> Agent:
    return Agent("web-01", "boot", Nothing(), Spool(tmp_path / "spool.db"), link, INTERVAL)


def gaps(link: Heard) -> list[float]:
    return [later - earlier for earlier, later in zip(link.at, link.at[1:], strict=False)]


def test_the_second_beat_comes_an_interval_after_the_one_at_the_connect(
    clock: Time, link: Heard, tmp_path: Path
) -> None:
    agent = make(link, tmp_path)
    run(agent, clock, 2)
    link.connections += 1
    run(agent, clock, 200)
    assert link.at[0] == 1_002.0
    assert gaps(link) == [INTERVAL] * 6


@pytest.mark.parametrize("after", [1.0, 14.0, 29.0, 31.0, 47.5])
def test_after_a_reconnect_no_gap_is_longer_than_an_interval(
    clock: Time, link: Heard, tmp_path: Path, after: float
) -> None:
    agent = make(link, tmp_path)
    link.connections += 1
    run(agent, clock, after)
    link.connections += 1
    run(agent, clock, 200)
    assert max(gaps(link)) <= INTERVAL
    assert gaps(link)[-3:] == [INTERVAL] * 3


def test_beats_do_not_drift_and_missed_ones_are_not_made_up_for(clock: Time, link: Heard, tmp_path: Path) -> None:
    agent = make(link, tmp_path)
    link.connections += 1
    run(agent, clock, 100)
    clock.seconds += 7  # something kept the agent busy
    run(agent, clock, 60)
    clock.seconds += 600  # the machine slept
    run(agent, clock, 100)
    assert all(gap >= INTERVAL / 2 for gap in gaps(link))
    assert sum(gap < INTERVAL for gap in gaps(link)) <= 2, "one after each delay, to be on time again"
