"""What is planted into a fleet: every kind of pattern, each in hosts of its own, over outages by chance."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from watch_fleet import DAYS, MIDNIGHT, NOW, SINCE, Fleet

A_DAY = 20 / DAYS
CLOCK = {"host-000": 2.0, "host-001": 23.75, "host-002": 9.5, "host-003": 17.25}  # hours after midnight
WEEKDAY = {"host-010": (6,), "host-011": (5, 6), "host-012": (0, 1, 2, 3, 4)}
BOTH = {"host-020": (6, 3.0), "host-021": (2, 23.9)}
PERIODS = {"host-030": 6 * 60, "host-031": 45, "host-032": 36 * 60, "host-033": 12 * 60, "host-034": 7 * 60}  # minutes
SLOW = [f"host-04{number}" for number in range(5)]
FLAPPING = [f"host-05{number}" for number in range(5)]
NETWORK = "10.1.10.0/24"  # host-100 to host-109
NETWORK_HOSTS = tuple(f"host-10{number}" for number in range(10))
TAG = "rack-7"
TAG_HOSTS = tuple(f"host-{number}" for number in range(205, 500, 40))
UNNAMED_HOSTS = ("host-117", "host-244", "host-301", "host-388")
EARLIEST = MIDNIGHT.replace(month=8, day=29)


def plant_all(seed: int) -> Fleet:
    """A fleet with everything in it."""
    fleet = Fleet(seed)
    for host in fleet.names:
        # of 13 Sundays little is seen beside many others, and of latency before few outages neither
        fleet.fall_by_chance(host, A_DAY * (0.25 if host in WEEKDAY else 1.5 if host in SLOW else 1))
    plant_times(fleet)
    for host, minutes in PERIODS.items():
        at = SINCE + timedelta(minutes=fleet.chance.uniform(0, minutes))
        while (at := at + timedelta(minutes=minutes)) < NOW:
            if fleet.chance.random() < 0.95:
                fleet.fall(host, at + timedelta(minutes=minutes * fleet.chance.uniform(-0.01, 0.01)), 60)
    for host in FLAPPING:
        for days in (20, 60):
            at = SINCE + timedelta(days=days + fleet.chance.uniform(0, 20))
            for _ in range(10):
                fleet.fall(host, at := at + timedelta(seconds=fleet.chance.uniform(90, 500)), 60)
    plant_groups(fleet)
    return fleet


def plant_times(fleet: Fleet) -> None:
    """Times of day with a jitter of 25 minutes, days of the week, and both."""
    for day in range(DAYS + 1):
        midnight = EARLIEST + timedelta(days=day)
        for host, hours in CLOCK.items():
            fleet.fall_at([host], midnight + timedelta(hours=hours), 1500, 0.5)
        for host, days in WEEKDAY.items():
            if midnight.weekday() in days:
                fleet.fall_at([host], midnight, 86_399)
        for host, (weekday, hours) in BOTH.items():
            if midnight.weekday() == weekday:
                fleet.fall_at([host], midnight + timedelta(hours=hours), 1500, 0.9)


def plant_groups(fleet: Fleet) -> None:
    """Hosts that fall together within a minute: of a network, with a tag, and with nothing in common."""
    for host in TAG_HOSTS:
        known = fleet.hosts[host]
        fleet.hosts[host] = replace(known, tags=[*known.tags, TAG])
    for hosts, times, part in ((NETWORK_HOSTS, 7, 0.9), (TAG_HOSTS, 5, 1.0), (UNNAMED_HOSTS, 9, 0.95)):
        for _ in range(times):
            fleet.fall_at(hosts, fleet.any_time(), 60, part)
