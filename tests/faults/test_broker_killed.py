"""The broker is broken while its queue holds what nobody has stored: killed, started again without its store."""

from __future__ import annotations

import random
import shutil
import signal
import time
from collections.abc import Callable

import pytest
from faults_site import Site
from service_client import service_client
from waiting import wait_until

from core.topics import EVENTS, every_host

pytestmark = pytest.mark.mosquitto
Often = Callable[[int], int]


def kill_broker_with_a_queue(here: Site, chance: random.Random) -> None:
    """Take the ingestor away, killed or only paused; kill the broker when it holds events for it; bring it back."""
    before = here.stored()
    wait_until(lambda: here.stored() > before, "the ingestor stores")
    with service_client(here, "ops", every_host(EVENTS)) as ears:
        paused = chance.random() < 0.5
        if paused:
            here.ingestor.send(signal.SIGSTOP)
        else:
            here.ingestor.kill()
        passed = len(ears.heard)
        wait_until(lambda: len(ears.heard) > passed, "the broker has taken events that no ingestor has")
        time.sleep(chance.uniform(0, 0.05))
        here.broker.kill()
    assert any(here.spooled(host)[1] > 0 for host in here.hosts), "what the broker took waits for its receipt"
    if paused:
        here.ingestor.send(signal.SIGCONT)
    else:
        here.ingestor.start()


def test_a_broker_killed_with_queued_events_loses_none(here: Site, chance: random.Random, often: Often) -> None:
    here.start()
    for host in here.hosts:
        here.start_agent(host)
    for _ in range(often(5)):
        kill_broker_with_a_queue(here, chance)
        here.broker.start()
        here.wait_for_broker()
    here.enough()
    here.expect_all_stored_once()


def test_a_broker_that_comes_back_empty_loses_none(here: Site, chance: random.Random, often: Often) -> None:
    here.start()
    store = here.home.broker / "data"
    for host in here.hosts:
        here.start_agent(host)
    for _ in range(often(5)):
        wait_until(lambda: any(store.iterdir()), "the broker has saved its queue")
        kill_broker_with_a_queue(here, chance)
        shutil.rmtree(store)
        store.mkdir()
        here.broker.start()
        here.wait_for_broker()
    here.enough()
    here.expect_all_stored_once()
