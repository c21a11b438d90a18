"""Hosts that fall together: when it is said, and what they are named by."""

from __future__ import annotations

from datetime import timedelta

import pytest
from watch_fleet import MIDNIGHT, NOW, SINCE, Fleet

from watch.patterns import Pattern, find_patterns

MORNING = SINCE + timedelta(days=3, hours=7)
MANY = "host-020", "host-021", "host-022", "host-023", "host-024", "host-025", "host-026", "host-027"


@pytest.fixture
def fleet() -> Fleet:
    """100 hosts with some outages by chance."""
    fleet = Fleet(5, 100)
    for host in fleet.names:
        fleet.fall_by_chance(host, 10 / 90)
    return fleet


def together(fleet: Fleet) -> list[Pattern]:
    return [pattern for pattern in find_patterns(fleet.outages, fleet.hosts, NOW) if pattern.kind == "together"]


def test_an_incident_of_all_hosts_is_a_pattern_when_it_comes_the_third_time(fleet: Fleet) -> None:
    for times in (1, 2):
        fleet.fall_all(MORNING + timedelta(days=11 * times))
        assert together(fleet) == [], times
    fleet.fall_all(MORNING + timedelta(days=40, hours=5))
    (pattern,) = together(fleet)
    assert pattern.words.startswith("all 100 hosts fall together: 3 times in 90 days, last on 2026-10-")
    assert pattern.hosts == tuple(fleet.names)


def test_what_comes_again_within_the_hour_is_one_incident(fleet: Fleet) -> None:
    for minutes in (0, 15, 30, 45):
        fleet.fall_at(MANY, MORNING + timedelta(minutes=minutes), 30)
    assert together(fleet) == []


def test_a_network_that_falls_is_not_called_by_a_tag_that_most_of_it_has(fleet: Fleet) -> None:
    for number in range(24):
        name = fleet.names[16 + number]
        known = fleet.hosts[name]
        fleet.hosts[name] = type(known)(known.since, ["web"], known.network)
    network = tuple(fleet.names[20:30])
    for days in (0, 20, 50, 70):
        fleet.fall_at(network, MORNING + timedelta(days=days), 60)
    (pattern,) = together(fleet)
    assert pattern.hosts == network
    assert pattern.words.startswith("10 hosts of 10.1.2.0/24 fall together: 4 times in 90 days")


def test_a_network_that_falls_with_all_and_also_alone_is_said_for_when_it_was_alone(fleet: Fleet) -> None:
    for days in (0, 20, 50):
        fleet.fall_all(MORNING + timedelta(days=days))
    for days in (10, 30, 60, 70):
        fleet.fall_at(fleet.names[20:30], MORNING + timedelta(days=days), 60)
    assert {(pattern.data["name"], pattern.data["times"]) for pattern in together(fleet)} == {
        ("", 3),
        ("10.1.2.0/24", 4),
    }


def test_two_hosts_that_restart_at_the_same_time_of_day_are_no_group(fleet: Fleet) -> None:
    for day in range(85):
        for host in ("host-010", "host-077"):
            fleet.fall_at([host], MIDNIGHT + timedelta(days=day, hours=2), 600)
    assert together(fleet) == []


def test_hosts_of_which_nothing_is_known_are_called_by_their_names(fleet: Fleet) -> None:
    fleet.hosts.clear()
    for days in (0, 9, 19, 31, 50, 55, 70):
        at = MORNING + timedelta(days=days, hours=3 * days % 24)
        fleet.fall_at(["host-010", "host-050", "host-090"], at, 60)
    (pattern,) = together(fleet)
    assert pattern.words.startswith("these 3 hosts (host-010, host-050, host-090) fall together: 7 times in 90 days")
