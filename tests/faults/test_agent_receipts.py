"""A receipt deletes what it names in the spool that it names, and nothing else, whenever and however often it comes."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable

import pytest
from faults_site import Site
from repeated_receipts import receipts
from waiting import wait_until

pytestmark = pytest.mark.mosquitto
Often = Callable[[int], int]


def test_a_second_receipt_after_the_spool_ran_empty_deletes_nothing(
    here: Site, chance: random.Random, often: Often
) -> None:
    host = here.hosts[0]
    here.start()
    with receipts(here) as heard:
        here.start_agent(host, TEST_PAUSE="0.05")
        empty = 0
        for _ in range(often(80)):
            before = len(heard.heard[host])
            wait_until(lambda before=before: len(heard.heard[host]) > before, "another receipt has come")
            empty += here.spooled(host)[1] == 0
            time.sleep(chance.uniform(0, 0.1))
            heard.say_again(host)
        assert empty > 0, "the spool never ran empty"
        here.enough()
        here.expect_all_stored_once()


def _kill_when_empty(here: Site, host: str) -> int:
    """Kill the agent of `host` with nothing in its spool; returns how far it has read."""
    agent = here.agents[host]
    for _ in range(20):
        wait_until(lambda: here.spooled(host)[1] == 0, "the spool is empty")
        agent.kill()
        position, waiting = here.spooled(host)
        if waiting == 0:
            return position
        # what it was reading when it saw that it is enough came into the spool between the look and the kill
        agent.start()
    raise AssertionError("the agent was never killed with an empty spool")


def test_a_receipt_of_an_earlier_spool_deletes_nothing_from_the_new_one(here: Site, chance: random.Random) -> None:
    host = here.hosts[0]
    here.start()
    with receipts(here) as heard:
        agent = here.start_agent(host, TEST_AT_ONCE="100")
        most = chance.randrange(6_000, 9_000)
        wait_until(lambda: here.spooled(host)[0] > most, "many positions are used")
        (here.agent_home(host).path / "enough").touch()
        position = _kill_when_empty(here, host)
        spool = here.agent_home(host).agent_spool
        for file in spool.parent.glob(spool.name + "*"):
            file.unlink()
        (here.agent_home(host).path / "enough").unlink()

        here.ingestor.send(signal.SIGSTOP)
        connected = agent.said().count("connected to")
        here.start_agent(host, TEST_AT_ONCE="100", TEST_BEGIN=str(position))
        wait_until(lambda: here.spooled(host)[1] > 5_000, "events wait at positions that old receipts name")
        here.enough()
        waiting = here.spooled(host)[1]
        assert heard.say_again(host) > 0
        wait_until(lambda: agent.said().count("connected to") > connected, "the agent hears them")
        assert here.spooled(host)[1] >= waiting
        here.ingestor.send(signal.SIGCONT)
        heard.say_again(host)
        here.expect_all_stored_once()


def test_agents_over_mqtt_and_http_under_one_name_delete_nothing_of_each_other(
    here: Site, chance: random.Random, often: Often
) -> None:
    host, other = here.hosts[0], "over-http"
    here.names[other] = host
    here.start(api=True)
    with receipts(here) as heard:
        here.start_agent(host)
        here.start_http_agent(other, HEIMDALL_HOST=host, TEST_NAME=other)
        for _ in range(often(12)):
            before = here.stored()
            wait_until(lambda before=before: here.stored() > before + 200, "something is stored")
            time.sleep(chance.uniform(0, 0.2))
            heard.say_again(host)
            chance.choice([here.agents[host], here.agents[other], here.api, here.ingestor]).restart()
        wait_until(
            lambda: len({correlation[:16] for correlation in heard.heard[host]}) == 2,
            "both spools have their receipts on one topic",
        )
        here.enough()
        here.expect_all_stored_once()
    # the gateway's spool is emptied by its own receipts alone
    assert {name for (name,) in here.rows("SELECT DISTINCT source_host FROM logs")} == {host}
