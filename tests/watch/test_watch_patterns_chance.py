"""Where there is only chance, nothing is said: of 100 fleets at most one has any pattern."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import pytest
from watch_fleet import DAYS, NOW, Fleet

from watch import patterns
from watch.patterns import find_patterns

SEEDS = 100 if int(os.environ.get("HEIMDALL_REPETITIONS", "1")) > 1 else 10
WRONG = SEEDS // 100


def steady(fleet: Fleet) -> None:
    for host in fleet.names:
        fleet.fall_by_chance(host, 20 / DAYS)


def of_all_rates(fleet: Fleet) -> None:
    """From an outage in two years to 20 a day."""
    for host in fleet.names:
        fleet.fall_by_chance(host, min(10 / DAYS * fleet.chance.lognormvariate(0, 1.4), 20))


def with_an_outage_of_the_server(fleet: Fleet) -> None:
    of_all_rates(fleet)
    fleet.fall_all(fleet.any_time())


@pytest.mark.timeout(1500)
@pytest.mark.parametrize("fall", [steady, of_all_rates, with_an_outage_of_the_server])
def test_chance_shows_no_pattern_in_500_hosts(fall: Callable[[Fleet], None]) -> None:
    said = []
    for seed in range(SEEDS):
        fleet = Fleet(seed)
        fall(fleet)
        if found := find_patterns(fleet.outages, fleet.hosts, NOW):
            said.append((seed, [pattern.words for pattern in found]))
    assert len(said) <= WRONG, said


@pytest.mark.timeout(1500)
def test_latency_that_varies_by_chance_shows_no_pattern() -> None:
    for seed in range(SEEDS // 6):
        fleet = Fleet(seed, 60)
        steady(fleet)
        beats = {host: fleet.beats(host) for host in fleet.names}
        assert find_patterns(fleet.outages, fleet.hosts, NOW, beats=beats) == []


def test_asked_for_less_the_same_chance_shows_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """What keeps the other tests quiet is the limit, not that nothing is looked at."""
    monkeypatch.setattr(patterns, "CHANCE", 500.0)
    fleet = Fleet(1)
    of_all_rates(fleet)
    kinds = {pattern.kind for pattern in find_patterns(fleet.outages, fleet.hosts, NOW)}
    assert {"time_of_day", "day_of_week"} <= kinds


def test_the_time_grows_with_the_outages_and_not_with_their_square() -> None:
    def measure(size: int) -> float:
        """The least of three, in seconds of CPU for an outage."""
        fleet = Fleet(1, size)
        steady(fleet)
        seconds = []
        for _ in range(3):
            began = time.process_time()
            find_patterns(fleet.outages, fleet.hosts, NOW)
            seconds.append(time.process_time() - began)
        return min(seconds) / len(fleet.outages)

    assert measure(800) < 4 * measure(100)
