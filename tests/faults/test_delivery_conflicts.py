"""The same id with another body: the first stays, each other one that comes is a dead letter, and has its receipt."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest
from faults_site import Site
from service_client import ServiceClient, service_client
from waiting import wait_until

from core.clock import utc_now
from core.ids import uuid7
from core.messages import Event, encode
from core.topics import EVENTS, RECEIPT, every_host, host_topic

pytestmark = pytest.mark.mosquitto
HOST = "gamma"


def make_event(message: str) -> Event:
    return Event(uuid7(), utc_now(), HOST, "LINUX", "LOGIN_FAIL", 3, message)


def send(client: ServiceClient, *events: Event) -> None:
    """One message, with a receipt asked for; the next one may go before this one is stored."""
    payload = b"[" + b",".join(map(encode, events)) + b"]"
    answer_to = host_topic(HOST, RECEIPT)
    client.start_publish(host_topic(HOST, EVENTS), payload, ResponseTopic=answer_to, CorrelationData=b"any")


def test_of_two_bodies_with_one_id_the_first_stays_and_the_other_is_dead_each_time_it_comes(
    here: Site, chance: random.Random, often: Callable[[int], int]
) -> None:
    here.start()
    for host in here.hosts:
        here.start_agent(host)  # neighbours, whose events must not suffer
    conflicts: Counter[str] = Counter()
    firsts: list[Event] = []
    sent = 0
    with service_client(here, "api", every_host(RECEIPT)) as client:
        for number in range(often(80)):
            first, other = make_event(f"first {number}"), f"other {number}"
            firsts.append(first)
            # across messages, and so now in one transaction, now in several
            send(client, first)
            repetitions = chance.randint(1, 3)
            for _ in range(repetitions):
                send(client, *chance.sample([first, replace(first, raw_message=other), make_neighbour(here)], 3))
            conflicts[other] += repetitions
            sent += 1 + repetitions
            # in one message
            both, another = make_event(f"both {number}"), f"another {number}"
            firsts.append(both)
            send(client, both, replace(both, raw_message=another), both)
            conflicts[another] += 1
            sent += 1
        mine = host_topic(HOST, RECEIPT)
        wait_until(lambda: sum(heard.topic == mine for heard in client.heard) >= sent, "each has its receipt")
    for first in firsts:
        stored = here.store.get_event(str(first.event_id))
        assert stored is not None
        assert stored.raw_message == first.raw_message
    here.enough()
    here.exempt |= {str(event.event_id) for event in firsts}
    here.expect_all_stored_once(dead=conflicts.total())
    letters = here.rows("SELECT reason, source_host, payload FROM dead_letters")
    assert all(reason.startswith("conflict: event_id") and host == HOST for reason, host, _ in letters)
    buried = Counter(name for _, _, payload in letters for name in conflicts if f'"{name}"'.encode() in bytes(payload))
    assert buried == conflicts


def make_neighbour(here: Site) -> Event:
    neighbour = make_event("a neighbour")
    here.exempt.add(str(neighbour.event_id))
    return neighbour
