"""The embedded broker, which forgets everything when it is killed: the receipts keep the promise alone."""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable, Iterator

import pytest
from faults_site import Site, site
from ingestors import wait_for_sessions
from part import Part
from waiting import wait_until

from broker.handshake import wait_ready
from core.settings import BrokerAddress

HOST = "alpha"


@pytest.fixture
def here(database_url: str) -> Iterator[Site]:
    """One host, whose own broker it is: the embedded one knows the services and its machine's agent."""
    with site(database_url, hosts=(HOST,)) as made:
        made.environment["HEIMDALL_HOST"] = HOST
        command = [sys.executable, "-m", "heimdall", "broker", "--broker", "embedded"]
        made.broker.command, made.broker.environment = command, made.environment
        made.ingestor = made.make_ingestor("--unshared")
        made.parts.append(made.ingestor)
        yield made


def wait_for_broker(here: Site) -> None:
    here.wait_for_broker()
    wait_ready(BrokerAddress("mqtt", "127.0.0.1", here.mqtt_port), here.home.credential("ops"))


def start_agent(here: Site) -> Part:
    user, password = here.home.credential("agent")
    return here.start_agent(HOST, HEIMDALL_BROKER_USER=user, HEIMDALL_BROKER_PASSWORD=password)


def test_an_embedded_broker_killed_again_and_again_loses_nothing(
    here: Site, chance: random.Random, often: Callable[[int], int]
) -> None:
    here.broker.start()
    wait_for_broker(here)
    here.ingestor.start()
    wait_for_sessions(here.ingestor)
    start_agent(here)
    for _ in range(often(10)):
        before = here.stored()
        wait_until(lambda before=before: here.stored() > before, "the ingestor stores")
        # without the ingestor, what the broker has is lost with it for certain
        kills_both = chance.random() < 0.5
        if kills_both:
            here.ingestor.kill()
        time.sleep(chance.uniform(0, 0.05))
        wait_until(lambda: here.spooled(HOST)[1] > 0, "events wait in the spool")
        here.broker.restart()
        wait_for_broker(here)
        if kills_both:
            here.ingestor.start()
    here.enough()
    here.expect_all_stored_once()
