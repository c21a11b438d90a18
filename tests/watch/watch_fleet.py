"""A fleet with 90 days of outages by chance, into which patterns are planted."""

from __future__ import annotations

import random
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from store.rows import BeatHour, Outage
from watch.patterns import Known

NOW = datetime(2026, 11, 27, 13, 40, tzinfo=UTC)
DAYS = 90
SINCE = NOW - timedelta(days=DAYS)
MIDNIGHT = datetime(2026, 8, 30, tzinfo=UTC)  # a Sunday


class Fleet:
    """Hosts host-000 and so on, ten to a network; what they have in common is the seed's."""

    def __init__(self, seed: int, size: int = 500) -> None:
        self.chance = random.Random(seed)
        self.names = [f"host-{number:03}" for number in range(size)]
        self.hosts = {
            name: Known(SINCE - timedelta(days=200), [f"role-{self.chance.randrange(20)}"], f"10.1.{number // 10}.0/24")
            for number, name in enumerate(self.names)
        }
        self.outages: list[Outage] = []

    def fall(self, host: str, at: datetime, seconds: float = 300.0, cause: str = "crashed") -> None:
        if SINCE <= at <= NOW:
            self.outages.append(Outage(host, at, at + timedelta(seconds=seconds), cause))

    def fall_by_chance(self, host: str, a_day: float) -> None:
        """Outages that come at a steady rate, of lengths from a minute to hours."""
        at = SINCE
        while (at := at + timedelta(days=self.chance.expovariate(a_day))) < NOW:
            self.fall(host, at, self.chance.lognormvariate(6, 1.2))

    def fall_at(self, hosts: Iterable[str], at: datetime, jitter_seconds: float, part: float = 1.0) -> None:
        """One incident: each of the hosts, with this probability, within the jitter."""
        for host in hosts:
            if self.chance.random() < part:
                self.fall(host, at + timedelta(seconds=self.chance.uniform(0, jitter_seconds)))

    def fall_all(self, at: datetime) -> None:
        """One long outage of our own server, which is found for every host within the minute."""
        self.fall_at(self.names, at, 60)

    def any_time(self) -> datetime:
        return SINCE + (NOW - SINCE) * self.chance.random()

    def beats(self, host: str, slow: float = 1.0) -> list[BeatHour]:
        """Hourly latency that varies and has a daily course; `slow` times as much in the 3 hours before an outage."""
        begun = [outage.began_at for outage in self.outages if outage.source_host == host]
        hours = [at.replace(minute=0, second=0, microsecond=0) for at in begun]
        before = {hour - timedelta(hours=number) for hour in hours for number in (1, 2, 3)}
        rows = []
        for number in range(DAYS * 24):
            hour = SINCE.replace(minute=0) + timedelta(hours=number)
            mean = 0.02 * self.chance.lognormvariate(0, 0.4) * (2 if 9 <= hour.hour < 17 else 1)
            mean *= slow if hour in before else 1
            rows.append(BeatHour(host, hour, 60, 60.0, 0, mean * 60, (40, 20, 0)))
        return rows
