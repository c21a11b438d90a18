"""Three ingestors share the load, and the same events reach several of them at once: killed, stopped, started again."""

from __future__ import annotations

import random
import re
import signal
from collections.abc import Callable

import pytest
from disorder import Disorder
from faults_site import Site
from ingestors import add_ingestor, replace_ingestor, wait_for_sessions
from middleman import Middleman
from part import Part
from waiting import wait_until

pytestmark = pytest.mark.mosquitto
COUNTS_OFTEN = "from ingestor import main as process; process.COUNTS_SECONDS = 0.2"


def stored_by(part: Part) -> int:
    """How many events `part` says that it has stored."""
    return sum(map(int, re.findall(r"(\d+) events stored", part.said())))


def start_again(part: Part) -> None:
    sessions = part.said().count("is subscribed at")
    part.start()
    wait_for_sessions(part, sessions)


def wait_until_each_stores(parts: list[Part]) -> None:
    before = {part.name: stored_by(part) for part in parts}
    wait_until(lambda: all(stored_by(part) > before[part.name] for part in parts), "each ingestor stores its share")


def test_of_three_ingestors_on_one_subscription_any_may_be_killed_or_stopped(
    here: Site, chance: random.Random, often: Callable[[int], int]
) -> None:
    here.start_broker()
    first = replace_ingestor(here, COUNTS_OFTEN)
    here.start_ingestor()
    ingestors = [first, *(add_ingestor(here, name, COUNTS_OFTEN) for name in ("second", "third"))]
    for part in ingestors[1:]:
        wait_for_sessions(part)
    with Middleman(here.mqtt_port, Disorder(chance).make_rule) as middleman:
        for host in here.hosts:
            here.start_agent(host, port=middleman.port, TEST_PATIENCE="0.3")
        for _ in range(often(4)):
            wait_until_each_stores(ingestors)
            killed, stopped, left = chance.sample(ingestors, 3)
            killed.kill()
            wait_until_each_stores([stopped, left])
            start_again(killed)
            assert stopped.stop(signal.SIGTERM) == 0
            wait_until_each_stores([killed, left])
            start_again(stopped)
        # one stays away: what the broker keeps for it is sent again for want of a receipt
        wait_until_each_stores(ingestors)
        chance.choice(ingestors).kill()
        here.enough()
        here.expect_all_stored_once()
    said = "".join(part.said() for part in ingestors)
    assert "cannot commit" not in said, "a deadlock, or a wait that was too long"
    assert {slot for (slot,) in here.rows("SELECT slot FROM leases")} == {1, 2, 3}


def test_an_ingestor_that_leaves_takes_its_part_along_only_when_no_other_stays(here: Site) -> None:
    here.start()
    second = add_ingestor(here, "second")
    wait_for_sessions(second)
    assert here.ingestor.stop(signal.SIGTERM) == 0
    for session in ("@ingestor-1", "@ingestor-1-presence"):
        assert f"Client {session} disconnected.\n" in here.broker.said(), "the broker has read its goodbye"
    # nothing is sent again while this test lasts: what came for the one that has left would be missing
    here.start_agent("alpha", 2_000, TEST_PATIENCE="1000")
    here.expect_all_stored_once()
    assert second.stop(signal.SIGTERM) == 0
    here.start_agent("beta", 2_000, TEST_PATIENCE="1000")
    wait_until(lambda: here.spooled("beta")[0] >= 200, "events are published that nobody takes")
    here.start_ingestor()
    start_again(second)
    here.expect_all_stored_once()
