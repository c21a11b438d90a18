"""Messages come twice, in another order and over several connections at once: each event is stored once."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from disorder import Disorder
from faults_site import Site
from middleman import Middleman
from service_client import ServiceClient, service_client
from waiting import wait_until

from core.spool import Batch, Receipt, Spool
from core.topics import EVENTS, RECEIPT, every_host, host_topic

pytestmark = pytest.mark.mosquitto
Often = Callable[[int], int]


def test_events_and_receipts_repeated_and_reordered_change_nothing(
    here: Site, chance: random.Random, often: Often
) -> None:
    here.start()
    disorder = Disorder(chance)
    with Middleman(here.mqtt_port, disorder.make_rule) as middleman:
        for host in here.hosts:
            here.start_agent(host, port=middleman.port)
        wait_until(lambda: min(*disorder.repeated.values(), *disorder.reordered.values()) >= often(60), "disorder")
        here.enough()
        here.expect_all_stored_once()


def spool_without_sending(here: Site, host: str, count: int) -> None:
    """Let the agent of `host` fill its spool with `count` events while it has no broker."""
    agent = here.start_agent(host, count, port=1, TEST_PAUSE="0")
    wait_until(lambda: here.spooled(host) == (count, count), "all is in the spool")
    agent.stop()


def read_batches(here: Site, host: str) -> list[tuple[Batch, bytes]]:
    """What the spool of `host` has to send, in batches of some ten events, each with its correlation data."""
    spool = Spool(here.agent_home(host).agent_spool)
    batches, behind = [], 0
    while batch := spool.batch(behind, max_events=10):
        batches.append((batch, Receipt(spool.id, batch.first, batch.last).pack()))
        behind = batch.last
    return batches


def publish(client: ServiceClient, batches: list[tuple[Batch, bytes]]) -> None:
    for batch, correlation in batches:
        answer_to = host_topic(batch.host, RECEIPT)
        topic = host_topic(batch.host, EVENTS)
        client.start_publish(topic, batch.payload, ResponseTopic=answer_to, CorrelationData=correlation)


def test_the_same_batches_from_several_connections_at_once_are_stored_once_and_each_has_its_receipts(
    here: Site, chance: random.Random, often: Often
) -> None:
    here.start()
    count = often(2_000)
    for host in here.hosts:
        spool_without_sending(here, host, count)
    batches = [batch for host in here.hosts for batch in read_batches(here, host)]
    with (
        service_client(here, "api", every_host(RECEIPT)) as first,
        service_client(here, "api") as second,
        service_client(here, "api") as third,
    ):
        for client in (first, second, third):
            chance.shuffle(batches)
            publish(client, batches)
        wait_until(lambda: len(first.heard) >= 3 * len(batches), "each repetition has its receipt")
        wanted = sorted(3 * [correlation for _, correlation in batches])
        assert sorted(receipt.properties.CorrelationData for receipt in first.heard) == wanted
    assert here.stored() == count * len(here.hosts)
    for host in here.hosts:
        here.start_agent(host, count)
    here.expect_all_stored_once()
