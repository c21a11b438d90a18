"""The ingestor is broken: killed in mid-batch, between commit and PUBACK, stopped for longer than its keep alive."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable

import pytest
from dying_ingestor import STEPS
from faults_site import Site
from ingestors import replace_ingestor
from middleman import Middleman
from waiting import wait_until
from witness import Evidence

pytestmark = pytest.mark.mosquitto
Often = Callable[[int], int]


def test_an_ingestor_killed_again_and_again_in_mid_batch_loses_nothing(
    here: Site, chance: random.Random, often: Often
) -> None:
    here.start()
    for host in here.hosts:
        here.start_agent(host)
    for _ in range(often(20)):
        before = here.stored()
        wait_until(lambda before=before: here.stored() > before, "the ingestor stores")
        time.sleep(chance.uniform(0, 0.05))
        here.ingestor.restart()
    here.enough()
    here.expect_all_stored_once()


def test_an_ingestor_killed_between_commit_and_receipt_stores_nothing_twice(
    here: Site, chance: random.Random, often: Often
) -> None:
    here.start_broker()
    evidence = Evidence(here)
    kills = often(20)
    with Middleman(here.mqtt_port, evidence.make_witness) as middleman:
        url = f"mqtt://127.0.0.1:{middleman.port}"
        ingestor = replace_ingestor(here, "import dying_ingestor", HEIMDALL_BROKER_URL=url)
        for host in here.hosts:
            here.start_agent(host)
        for kill in range(kills):
            ingestor.environment["TEST_DIES"] = f"{STEPS[kill % len(STEPS)]}:{chance.randint(1, 20)}"
            ingestor.start()
            wait_until(lambda: not ingestor.alive, "the ingestor has killed itself")
        assert all(step in ingestor.said() for step in STEPS)
        del ingestor.environment["TEST_DIES"]
        ingestor.start()
        here.enough()
        here.expect_all_stored_once()
    # whatever had no receipt when its ingestor died came again
    assert evidence.repeated >= kills
    evidence.expect_no_false_word()


def test_an_ingestor_stopped_for_longer_than_its_keep_alive_goes_on(
    here: Site, chance: random.Random, often: Often
) -> None:
    here.start_broker()
    replace_ingestor(here, "session.KEEP_ALIVE_SECONDS = 2")
    here.start_ingestor()
    for host in here.hosts:
        here.start_agent(host)
    for _ in range(often(4)):
        before, ended = here.stored(), here.broker.said().count("exceeded timeout")
        wait_until(lambda before=before: here.stored() > before, "the ingestor stores")
        time.sleep(chance.uniform(0, 0.05))
        here.ingestor.send(signal.SIGSTOP)
        wait_until(
            lambda ended=ended: here.broker.said().count("exceeded timeout") >= ended + 2,
            "the broker has given both of its sessions up",
        )
        assert all(here.spooled(host)[1] > 0 for host in here.hosts), "nothing waited"
        sessions = here.ingestor.said().count("is subscribed at")
        here.ingestor.send(signal.SIGCONT)
        wait_until(
            lambda sessions=sessions: here.ingestor.said().count("is subscribed at") >= sessions + 2, "it is back"
        )
    here.enough()
    here.expect_all_stored_once()
