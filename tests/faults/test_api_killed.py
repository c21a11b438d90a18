"""The API is broken: killed while it answers `POST /ingest`, its broker away; clients repeat, double and break off."""

from __future__ import annotations

import http.client
import random
import time
from collections.abc import Callable
from contextlib import closing

import pytest
from faults_site import Site
from http_clients import Breaking, HttpClient, Persistent, http_clients, shorten_patience
from waiting import wait_until

pytestmark = pytest.mark.mosquitto
Often = Callable[[int], int]


def beat_status(here: Site) -> int:
    """What `POST /heartbeat` is answered with; 0 for no answer."""
    headers = {"api-key": here.home.make_api_key(), "source-host": "beating-client", "os-type": "LINUX"}
    with closing(http.client.HTTPConnection("127.0.0.1", here.http_port, timeout=20)) as connection:
        try:
            connection.request("POST", "/heartbeat", b"", headers)
            return connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return 0


def answered(clients: list[HttpClient]) -> int:
    return sum(len(client.answered) for client in clients)


def expect_answered_stored_once(here: Site, clients: list[HttpClient]) -> None:
    """What was answered is stored, what never came whole is not, nothing is twice."""
    for client in clients:
        here.exempt |= client.made
    here.expect_all_stored_once()
    stored = {str(event_id) for (event_id,) in here.rows("SELECT event_id FROM logs")}
    for client in clients:
        missing = client.answered - stored
        assert not missing, f"{len(missing)} of {len(client.answered)} events of {client.host} were answered and lost"
        assert client.answered
        if isinstance(client, Persistent):
            assert client.made == client.answered
        if isinstance(client, Breaking):
            assert client.never_whole
            assert not client.never_whole & stored


def test_what_a_killed_api_had_answered_is_stored_once(here: Site, chance: random.Random, often: Often) -> None:
    shorten_patience(here)
    here.start(api=True)
    with http_clients(here, chance) as clients:
        for _ in range(often(12)):
            before = answered(clients)
            wait_until(lambda before=before: answered(clients) > before + 100, "the API answers")
            time.sleep(chance.uniform(0, 0.1))
            here.api.restart()
        assert any(client.unanswered for client in clients), "no kill met a request under way"
        here.wait_for_api()
    expect_answered_stored_once(here, clients)


def test_the_api_takes_events_while_the_broker_is_away(here: Site, chance: random.Random, often: Often) -> None:
    shorten_patience(here)
    here.start(api=True)
    wait_until(lambda: beat_status(here) == 200, "heartbeats are taken")
    with http_clients(here, chance) as clients:
        for _ in range(often(8)):
            before = here.stored()
            wait_until(lambda before=before: here.stored() > before, "events are stored")
            time.sleep(chance.uniform(0, 0.2))
            here.broker.kill()
            wait_until(lambda: beat_status(here) == 503, "heartbeats are refused")
            for _ in range(2):
                before = answered(clients)
                wait_until(lambda before=before: answered(clients) > before + 300, "events are taken")
                # a killed API finds what it had answered in its spool, and the broker still away
                if chance.random() < 0.5:
                    here.api.restart()
            assert here.in_gateway() >= 300
            here.broker.start()
            wait_until(lambda: beat_status(here) == 200, "heartbeats are taken again")
    expect_answered_stored_once(here, clients)


def test_agents_over_http_lose_nothing_to_a_killed_api(here: Site, chance: random.Random, often: Often) -> None:
    shorten_patience(here)
    here.start(api=True)
    for host in here.hosts:
        here.start_http_agent(host)
    for _ in range(often(12)):
        before = here.stored()
        wait_until(lambda before=before: here.stored() > before, "something is stored")
        time.sleep(chance.uniform(0, 0.3))
        here.api.restart()
    assert sum(here.agents[host].said().count("no connection to http://") for host in here.hosts) > 0
    here.enough()
    here.expect_all_stored_once()
