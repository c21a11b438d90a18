"""Heartbeats are counted in the transaction that records them: a killed ingestor counts none twice and misses none."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

import pytest
from dying_ingestor import OF_BEATS
from faults_site import Site
from ingestors import replace_ingestor
from service_client import ServiceClient, service_client
from waiting import wait_until

from core.clock import utc_now
from core.messages import Heartbeat, encode
from core.topics import HEARTBEAT, host_topic

pytestmark = pytest.mark.mosquitto
HOSTS = ("gamma", "delta", "epsilon")


class Beating:
    """Publishes heartbeats of several hosts, leaves some out, and knows what must have been counted."""

    def __init__(self, client: ServiceClient, chance: random.Random) -> None:
        self._client, self._chance = client, chance
        self._seq = dict.fromkeys(HOSTS, -1)
        self.sent = dict.fromkeys(HOSTS, 0)
        self.left_out = dict.fromkeys(HOSTS, 0)

    def send(self, host: str) -> None:
        self._seq[host] += 1
        while self.sent[host] and self._chance.random() < 0.1:
            self._seq[host] += 1
            self.left_out[host] += 1
        self.sent[host] += 1
        beat = Heartbeat("LINUX", utc_now(), self._seq[host], f"the boot of {host}")
        self._client.publish(host_topic(host, HEARTBEAT), encode(beat))

    def send_many(self) -> None:
        for _ in range(self._chance.randint(30, 120)):
            self.send(self._chance.choice(HOSTS))


def test_heartbeats_are_counted_once_each_however_often_the_ingestor_is_killed(
    here: Site, chance: random.Random, often: Callable[[int], int]
) -> None:
    here.start_broker()
    ingestor = replace_ingestor(here, "import dying_ingestor")
    here.start_ingestor()
    with service_client(here, "api") as client:
        beating = Beating(client, chance)
        for kill in range(often(8)):
            beating.send_many()
            if kill % 2:
                time.sleep(chance.uniform(0, 0.1))
                ingestor.kill()
            else:
                ingestor.kill()
                beating.send_many()
                ingestor.environment["TEST_DIES"] = f"{OF_BEATS}:{chance.randint(1, 2)}"
                ingestor.start()
                while ingestor.alive:
                    beating.send(chance.choice(HOSTS))
                del ingestor.environment["TEST_DIES"]
            here.start_ingestor()
        for host in HOSTS:
            beating.send(host)
        assert f"dies {OF_BEATS}" in ingestor.said()

        def counted() -> dict[str, tuple[int, int]]:
            found = {host: here.store.read_beats(host, utc_now()) for host in HOSTS}
            return {host: (figures.total, figures.lost) for host, figures in found.items() if figures is not None}

        expected = {host: (beating.sent[host], beating.left_out[host]) for host in HOSTS}
        wait_until(lambda: counted() == expected, f"{expected} are counted, not {counted()}")
    here.expect_all_stored_once()
