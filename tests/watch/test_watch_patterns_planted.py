"""What is planted into the outages of 500 hosts over 90 days is found, with its hosts, and nothing else is."""

from __future__ import annotations

import pytest
from watch_planted import (
    BOTH,
    CLOCK,
    FLAPPING,
    NETWORK_HOSTS,
    NOW,
    PERIODS,
    SLOW,
    TAG_HOSTS,
    UNNAMED_HOSTS,
    WEEKDAY,
    plant_all,
)

from watch.patterns import Pattern, find_patterns


@pytest.fixture(scope="module", params=[1, 2])
def found(request: pytest.FixtureRequest) -> list[Pattern]:
    fleet = plant_all(request.param)
    beats = {host: fleet.beats(host, 2.5 if host in SLOW else 1.0) for host in fleet.names[:60]}
    return find_patterns(fleet.outages, fleet.hosts, NOW, beats=beats)


def of_kind(found: list[Pattern], kind: str) -> dict[str, Pattern]:
    return {pattern.hosts[0]: pattern for pattern in found if pattern.kind == kind}


def minutes(clock: object) -> int:
    hours, _, rest = str(clock).partition(":")
    return int(hours) * 60 + int(rest)


def apart(one: float, other: float) -> float:
    """Minutes between two times of day, around the clock."""
    return abs((one - other + 720) % 1440 - 720)


def test_all_that_was_planted_is_found_and_nothing_else(found: list[Pattern]) -> None:
    planted = {("time_of_day", (host,)) for host in CLOCK}
    planted |= {("day_of_week", (host,)) for host in [*WEEKDAY, *BOTH]}
    planted |= {("period", (host,)) for host in PERIODS}
    planted |= {("latency_before", (host,)) for host in SLOW}
    planted |= {("flapping", (host,)) for host in FLAPPING}
    planted |= {("together", hosts) for hosts in (NETWORK_HOSTS, TAG_HOSTS, UNNAMED_HOSTS)}
    assert {(pattern.kind, pattern.hosts) for pattern in found} == planted
    assert len(found) == len(planted)


def test_a_time_of_day_is_said_to_the_minutes_also_about_midnight(found: list[Pattern]) -> None:
    for host, hours in CLOCK.items():
        data = of_kind(found, "time_of_day")[host].data
        assert apart(minutes(data["from"]), hours * 60) <= 10
        assert apart(minutes(data["to"]), hours * 60 + 25) <= 10


def test_days_of_the_week_are_said_and_their_time_when_there_is_one(found: list[Pattern]) -> None:
    patterns = of_kind(found, "day_of_week")
    names = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
    for host, days in WEEKDAY.items():
        assert patterns[host].data["days"] == [names[day] for day in days]
        assert "from" not in patterns[host].data
    for host, (day, hours) in BOTH.items():
        # what begins before midnight may be said of the day after, from midnight on
        (name,) = patterns[host].data["days"]
        said = names.index(name) * 1440 + minutes(patterns[host].data["from"])
        assert 0 <= said - (day * 24 + hours) * 60 + 5 <= 20


def test_a_period_is_said_to_a_fiftieth(found: list[Pattern]) -> None:
    for host, pattern in of_kind(found, "period").items():
        assert pattern.data["period_seconds"] == pytest.approx(PERIODS[host] * 60, rel=0.02)


def test_hosts_that_fall_together_are_named_by_what_they_share(found: list[Pattern]) -> None:
    together = {pattern.hosts: pattern for pattern in found if pattern.kind == "together"}
    assert together[NETWORK_HOSTS].words.startswith("10 hosts of 10.1.10.0/24 fall together: 7 times in 90 days, last ")
    assert together[TAG_HOSTS].words.startswith("8 hosts with tag rack-7 fall together: 5 times in 90 days, last on 20")
    assert together[UNNAMED_HOSTS].words.startswith(f"these 4 hosts ({', '.join(UNNAMED_HOSTS)}) fall together: ")


def test_latency_before_an_outage_is_told_as_a_multiple_of_the_usual(found: list[Pattern]) -> None:
    for pattern in of_kind(found, "latency_before").values():
        assert pattern.data["ratio"] == pytest.approx(2.5, rel=0.3)


def test_a_spell_of_flapping_counts_its_outages(found: list[Pattern]) -> None:
    for pattern in of_kind(found, "flapping").values():
        assert pattern.data["times"] == 2
        assert pattern.data["outages"] >= 20


def test_what_chance_gives_to_each_is_below_a_thousandth(found: list[Pattern]) -> None:
    assert all(0 <= float(str(pattern.data["chance"])) < 0.001 for pattern in found)
