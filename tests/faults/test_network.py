"""The network is broken: cut, slow, half-open, torn amid a packet, on each of the ways that events take."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

import pytest
from faults_site import Site
from faulty_network import FaultyNetwork, faulty_network, trouble
from observed import expect_beats
from waiting import wait_until

pytestmark = pytest.mark.mosquitto
Often = Callable[[int], int]
KINDS = ["cut", "swallow", "tear", "slow"]
LASTING = [*KINDS, "break_all", "strand"]  # what only connections that last can meet


def met(network: FaultyNetwork, kind: str) -> int:
    """How much a fault of this kind has met so far."""
    return {
        "cut": network.broken + network.refused,
        "break_all": network.broken,
        "swallow": network.swallowed_bytes,
        "strand": network.taken,
        "tear": network.torn,
        "slow": network.passed_bytes // 4_096,
    }[kind]


def meets(network: FaultyNetwork, kind: str, before: int) -> bool:
    """Whether a fault has met something since it had met `before`."""
    if kind == "break_all" and met(network, kind) == before:
        # it breaks what is open now: that was nothing when the fault before had just ended every connection
        network.break_all()
    return met(network, kind) > before


def break_often(here: Site, network: FaultyNetwork, chance: random.Random, kinds: list[str], rounds: int) -> None:
    """Each kind of trouble meets bytes under way, `rounds` times, in any order."""
    for kind in chance.sample(kinds * rounds, len(kinds) * rounds):
        before = here.stored()
        wait_until(lambda before=before: here.stored() > before, f"something is stored before {kind}")
        before = met(network, kind)
        with trouble(network, kind, chance):
            wait_until(lambda kind=kind, before=before: meets(network, kind, before), f"{kind} meets something")
            time.sleep(chance.uniform(0, 0.2))


def expect_recovery(here: Site) -> None:
    for host in here.hosts:
        expect_beats(here, host, 2)
    here.enough()
    here.expect_all_stored_once()


def test_a_bad_network_between_agents_and_broker_loses_nothing(here: Site, chance: random.Random, often: Often) -> None:
    here.start()
    with faulty_network(here.mqtt_port) as network:
        for host in here.hosts:
            here.start_agent(host, port=network.port, TEST_KEEP_ALIVE="2")
        wait_until(lambda: here.stored() > 0, "something is stored")
        break_often(here, network, chance, LASTING, often(4))
        expect_recovery(here)


def test_a_bad_network_between_ingestor_and_broker_loses_nothing(
    here: Site, chance: random.Random, often: Often
) -> None:
    with faulty_network(here.mqtt_port) as network:
        url = f"mqtt://127.0.0.1:{network.port}"
        use_ingestor(here, patches="session.KEEP_ALIVE_SECONDS = 2", HEIMDALL_BROKER_URL=url)
        here.start()
        for host in here.hosts:
            here.start_agent(host)
        wait_until(lambda: here.stored() > 0, "something is stored")
        break_often(here, network, chance, LASTING, often(4))
        expect_recovery(here)
    assert "lost its session" in here.ingestor.said()


@pytest.mark.parametrize(
    "database_url", [pytest.param("postgresql", marks=pytest.mark.postgresql)], indirect=["database_url"]
)
def test_a_bad_network_between_ingestor_and_postgresql_loses_nothing(
    here: Site, chance: random.Random, often: Often
) -> None:
    before, colon, rest = here.database_url.rpartition(":")
    port, slash, name = rest.partition("/")
    with faulty_network(int(port)) as network:
        use_ingestor(here, HEIMDALL_DATABASE_URL=f"{before}{colon}{network.port}{slash}{name}")
        here.start()
        for host in here.hosts:
            here.start_agent(host)
        wait_until(lambda: here.stored() > 0, "something is stored")
        break_often(here, network, chance, [*KINDS, "break_all"], often(8))
        expect_recovery(here)
    assert "cannot commit" in here.ingestor.said()


def test_a_bad_network_between_agents_and_api_loses_nothing(here: Site, chance: random.Random, often: Often) -> None:
    here.start(api=True)
    with faulty_network(here.http_port) as network:
        for host in here.hosts:
            here.start_http_agent(host, port=network.port)
        wait_until(lambda: here.stored() > 0, "something is stored")
        break_often(here, network, chance, KINDS, often(8))
        expect_recovery(here)


def use_ingestor(here: Site, patches: str = "", **environment: str) -> None:
    """Let the site's ingestor be one with these settings."""
    here.parts.remove(here.ingestor)
    here.ingestor = here.make_ingestor(patches=patches, **environment)
    here.parts.append(here.ingestor)
