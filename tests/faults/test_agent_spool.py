"""The agent's spool is full: its disk, or up to its own limit."""

from __future__ import annotations

import itertools
import random
import re
import signal
import time
from collections.abc import Callable

import pytest
from faults_site import Site
from observed import expect_beats, stands_still, stored_numbers, take_alerts
from small_disk import small_disk
from waiting import wait_until

pytestmark = pytest.mark.mosquitto
Often = Callable[[int], int]
ROOM_ENOUGH = 1_000  # so many events further on a full disk, an agent goes on within the files that it has
DROPPED = re.compile(r"spool is full: (\d+) of the oldest .* dropped, (\d+) since the agent's start")


@pytest.mark.tmpfs
def test_a_full_disk_costs_nothing_but_time(here: Site, chance: random.Random, often: Often) -> None:
    host = here.hosts[0]
    with small_disk(here.agent_home(host).path) as disk:
        here.start()
        for each in here.hosts:
            agent = here.start_agent(each)
        agent = here.agents[host]
        noticed = 0
        for _ in range(often(8)):
            before, troubles = here.stored(), agent.said().count("beating on")
            wait_until(lambda before=before: here.stored() > before, "something is stored")
            time.sleep(chance.uniform(0, 0.2))
            filled = here.spooled(host)[0]
            disk.fill()
            # from now on its spool may be unreadable for us: what is stored tells how far it has read at least
            wait_until(
                lambda troubles=troubles, filled=filled: (
                    agent.said().count("beating on") > troubles or stored_of(here, host) > filled + ROOM_ENOUGH
                ),
                "the agent notices",
            )
            # a spool that is emptied as fast as it fills needs no more room than its files have
            if agent.said().count("beating on") > troubles:
                noticed += 1
                position, again = here.spooled(host)[0], agent.said().count("can be written again")
                expect_beats(here, host, chance.randrange(1, 4))
                if here.spooled(host)[0] != position:  # receipts make room within its files
                    wait_until(
                        lambda again=again: agent.said().count("can be written again") > again,
                        "it says that it can write: else it moved past what could not be kept",
                    )
                if chance.random() < 0.3:
                    agent.kill()
            disk.make_room()
            if not agent.alive:
                agent.start()
            # from now on: it may have moved before, and be waiting again; what goes on is not said twice
            position = here.spooled(host)[0]
            wait_until(lambda position=position: here.spooled(host)[0] > position, "it goes on")
        assert noticed > 0, "the disk was never too full"
        here.enough()
        here.expect_all_stored_once()
        agent.kill()


def stored_of(here: Site, host: str) -> int:
    return sum(events for (events,) in here.rows(f"SELECT events FROM activity WHERE source_host = '{host}'"))


@pytest.mark.parametrize("under_way", [False, True])
def test_what_a_full_spool_drops_is_counted_and_told(here: Site, chance: random.Random, under_way: bool) -> None:
    host = here.hosts[0]
    here.start()
    # with the ingestor stopped some batches are at the broker already when their events are dropped
    here.ingestor.send(signal.SIGSTOP) if under_way else here.broker.kill()
    agent = here.start_agent(host, TEST_SPOOL_LIMIT=str(chance.randrange(300_000, 600_000)), TEST_PAUSE="0.002")
    full = chance.randrange(4, 12)
    wait_until(lambda: len(DROPPED.findall(agent.said())) >= full, "the spool has been full several times")
    here.enough()
    wait_until(lambda: stands_still(here, host), "the agent reads no more")
    here.ingestor.send(signal.SIGCONT) if under_way else here.broker.start()
    wait_until(lambda: here.spooled(host)[1] == 0, "the spool is empty", 90)

    told = [int(total) for _, total in DROPPED.findall(agent.said())]
    alerts = take_alerts(here, host, "spool is full")
    assert max(int(total) for text in alerts for _, total in DROPPED.findall(text)) == told[-1], (
        "the last alert is kept"
    )
    made = here.spooled(host)[0] + len(told)
    stored = stored_numbers(here, host)
    lost = made - len(stored) - len(alerts)
    assert 0 < lost < told[-1] if under_way else lost == told[-1]
    here.forgiven = {text for number, text in enumerate(here.ids(host, made)) if number not in stored}
    if not under_way:
        expect_oldest_of_lowest_severity(set(range(here.spooled(host)[0])) - stored, stored)
    here.expect_all_stored_once()


def expect_oldest_of_lowest_severity(missing: set[int], stored: set[int]) -> None:
    """Of each severity the oldest are missing, and of a higher one none that is newer than what a lower one keeps."""
    newest_missing = [max((number for number in missing if number % 5 == rest), default=-1) for rest in range(5)]
    for rest in range(5):
        assert all(number > newest_missing[rest] for number in stored if number % 5 == rest)
    assert all(lower > higher - 5 for lower, higher in itertools.pairwise(newest_missing))
