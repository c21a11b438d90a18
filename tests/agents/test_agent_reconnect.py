"""After a broker's restart the agents come back spread over a window, by the real back-off and over real sessions."""

from __future__ import annotations

import os
import random
import re
from collections import Counter
from pathlib import Path

import pytest
from plain_mosquitto import Broker
from waiting import wait_until

from agents import link_mqtt
from agents.kinds import KINDS
from agents.link import Backoff
from agents.link_mqtt import RECONNECT_SECONDS, SOON_SECONDS, MqttLink
from core.home import Credential
from core.messages import Info
from core.settings import BrokerAddress
from core.spool import Spool

AGENTS = 10_000


@pytest.fixture
def seed() -> None:
    made = int(os.environ.get("HEIMDALL_SEED") or random.randrange(1 << 32))
    print("HEIMDALL_SEED", made)
    random.seed(made)


def per_second(moments: list[float]) -> Counter[int]:
    return Counter(int(moment) for moment in moments)


def test_of_ten_thousand_agents_no_second_has_more_than_its_share(seed: None) -> None:
    backoffs = [make_backoff() for _ in range(AGENTS)]
    # a broker that was never away: who is cut off has no way to know that all the others were
    first = per_second([backoff.next_seconds() for backoff in backoffs])
    assert sorted(first) == [0, 1, 2], "the whole window is used"
    second = per_second([backoff.next_seconds() for backoff in backoffs])
    fair = AGENTS / RECONNECT_SECONDS
    assert sorted(second) == list(range(int(RECONNECT_SECONDS)))
    # seven standard deviations of a share: none in as many runs as there will ever be
    assert max(second.values()) < fair + 7 * fair**0.5
    assert max(first.values()) < AGENTS / SOON_SECONDS + 7 * (AGENTS / SOON_SECONDS) ** 0.5


def make_backoff() -> Backoff:
    return Backoff(RECONNECT_SECONDS, soon_seconds=SOON_SECONDS)


def test_after_a_long_absence_they_are_spread_over_a_minute(seed: None) -> None:
    backoffs = [Backoff(RECONNECT_SECONDS) for _ in range(AGENTS)]
    for backoff in backoffs:
        for _ in range(5):
            backoff.next_seconds()
    later = per_second([backoff.next_seconds() for backoff in backoffs])
    fair = AGENTS / 60
    assert sorted(later) == list(range(60))
    assert max(later.values()) < fair + 7 * fair**0.5


def test_who_is_asked_to_wait_waits_and_does_not_come_with_all_the_others(seed: None) -> None:
    asked = per_second([Backoff(10.0).next_seconds(at_least=30.0) for _ in range(AGENTS)])
    assert sorted(asked) == list(range(30, 40))


def test_who_was_cut_off_alone_comes_back_within_a_second_and_slower_when_it_goes_on(seed: None) -> None:
    alone = make_backoff()
    assert alone.next_seconds(alone=True) <= 1
    again = per_second([_again(6) for _ in range(AGENTS)])
    assert sorted(again) == list(range(60))


def _again(times: int) -> float:
    backoff = Backoff(RECONNECT_SECONDS)
    for _ in range(times):
        backoff.next_seconds(alone=True)
    return backoff.next_seconds(alone=True)


def test_everybody_is_back_within_the_shortest_interval() -> None:
    assert min(kind.interval_seconds for kind in KINDS.values()) > RECONNECT_SECONDS


@pytest.mark.mosquitto
def test_many_sessions_come_back_and_not_at_once(
    seed: None, broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    window = 2.0
    monkeypatch.setattr(link_mqtt, "RECONNECT_SECONDS", window)  # as the window, but for a test's patience
    address = BrokerAddress("mqtt", "127.0.0.1", broker.port)
    spool = Spool(tmp_path / "spool.db")  # there is nothing in it: all may look into the same
    links = [MqttLink(name, address, lambda: [Credential("", "")], Info("LINUX", "1"), spool) for name in names(100)]
    for link in links:
        link.start()
    try:
        wait_until(lambda: all(link.connections for link in links), "all are connected")
        caplog.clear()
        broker.kill()
        wait_until(lambda: len(delays(caplog)) >= len(links), "all have noticed")
        first = Counter(int(delay / window * 10) for delay in delays(caplog)[: len(links)])
        assert max(first.values()) <= 30, "in a tenth of the window"
        broker.start()
        wait_until(lambda: all(link.connections > 1 for link in links), "all are back")
    finally:
        for link in links:
            link._stopping.set()
        for link in links:
            link.stop()


def names(count: int) -> list[str]:
    return [f"web-{number}" for number in range(count)]


def delays(caplog: pytest.LogCaptureFixture) -> list[float]:
    """What the links wait after they were cut off, in seconds."""
    found = [re.search(r"trying again in ([\d.]+) s", record.getMessage()) for record in list(caplog.records)]
    return [float(one[1]) for one in found if one]
