"""What is found in events is found once, whoever is killed; and people are told of it."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable

import pytest
from faults_site import Site
from judged import judging
from part import ROOT
from people import Person
from service_client import ServiceClient, service_client
from waiting import wait_until

from core import topics
from core.clock import utc_now
from core.ids import uuid7
from core.messages import Event, EventType, encode

pytestmark = pytest.mark.mosquitto
Often = Callable[[int], int]


def happen(
    client: ServiceClient, host: str, event_type: EventType, address: str, times: int = 1, message: str = "planted"
) -> None:
    for _ in range(times):
        event = Event(uuid7(), utc_now(), host, "LINUX", event_type, 3, message, address, "root")
        client.publish(topics.host_topic(host, topics.EVENTS), encode(event))


def alerts(here: Site, kind: str) -> list[str]:
    """The subjects of the alerts of this kind."""
    return [subject for (subject,) in here.rows(f"SELECT subject FROM alerts WHERE kind = '{kind}' ORDER BY id")]


def test_a_watch_killed_again_and_again_finds_every_attack_once(
    here: Site, chance: random.Random, often: Often
) -> None:
    with judging(here), service_client(here, "api") as client:
        addresses = [f"203.0.113.{number}" for number in range(1, often(25) + 1)]
        for address in addresses:
            for _ in range(10):
                happen(client, chance.choice(here.hosts), "LOGIN_FAIL", address)
                if chance.random() < 0.1:
                    time.sleep(chance.uniform(0, 1.2))
                    here.judge.restart()
        wait_until(lambda: len(alerts(here, "brute_force")) >= len(addresses), "all attacks are found")
        for address in chance.sample(addresses, 3):
            happen(client, "alpha", "LOGIN_SUCCESS", address)
        wait_until(lambda: len(alerts(here, "login_after_failures")) == 3, "who came in is found")
        here.judge.restart()
        happen(client, "beta", "LOG_TAMPERING", "N/A")
        wait_until(lambda: alerts(here, "log_tampering") == ["beta"], "it goes on")
    assert sorted(alerts(here, "brute_force")) == sorted(addresses)


def test_rules_of_sigma_are_followed_once_they_are_added_and_by_a_watch_that_was_killed(here: Site) -> None:
    accepted = "Mar  2 09:16:02 h sshd[7]: Accepted password for root from 203.0.113.9 port 55112 ssh2"
    query = "SELECT source_host, text FROM alerts WHERE kind = 'sigma' ORDER BY id"
    with judging(here), service_client(here, "api") as client:
        happen(client, "alpha", "LOGIN_SUCCESS", "203.0.113.9", message=accepted)
        added = [sys.executable, "-m", "heimdall", "rules", "add", str(ROOT / "watch" / "sigma" / "own")]
        subprocess.run(added, env={**os.environ, **here.environment}, check=True, capture_output=True)

        def is_found() -> bool:
            happen(client, "beta", "LOGIN_SUCCESS", "203.0.113.9", message=accepted)
            return bool(here.rows(query))

        wait_until(is_found, "the rules are read and followed")
        here.judge.restart()
        happen(client, "beta", "LOGIN_SUCCESS", "203.0.113.9", message=accepted)
        happen(client, "alpha", "LOGIN_SUCCESS", "203.0.113.9", message=accepted)
        wait_until(lambda: len(here.rows(query)) == 2, "what is new is found")
    text = "root logged in by SSH with a password, from elsewhere"
    assert here.rows(query) == [("beta", f"{text}, on beta"), ("alpha", f"{text}, on alpha")]


def test_an_attack_is_told_once_and_what_it_leads_to(here: Site) -> None:
    person = Person()
    here.home.rules.write_text(
        f'[notify.ops]\nurl = "{person.url}"\nallow_private = true\ngroup_wait_seconds = 1\n'
        "[rule.brute_force]\ncount = 5\nwithin_minutes = 0.2\n"
    )
    with person.listening(), judging(here) as judged, service_client(here, "api") as client:
        happen(client, "alpha", "LOGIN_FAIL", "203.0.113.9", times=7)
        wait_until(lambda: len(person.said) == 1, "the attack is told")
        happen(client, "beta", "LOGIN_SUCCESS", "203.0.113.9")
        wait_until(lambda: len(person.said) == 2, "the login is told")
        wait_until(lambda: len(person.said) == 3, "and that the attack is over")
    assert [one.title for one in person.said] == [
        "many failed logins: 5 events within 0.2 minutes, from 203.0.113.9, on alpha",
        "a login after failed ones, from 203.0.113.9, on beta",
        "over: many failed logins: 5 events within 0.2 minutes, from 203.0.113.9, on alpha",
    ]
    assert [one.tone for one in person.said] == ["failure", "failure", "success"]
    said = [one for one in judged.alerts() if one.get("kind") == "brute_force"]
    assert [(one["subject"], one["severity"], one["source_host"]) for one in said] == [("203.0.113.9", 4, "alpha")]
