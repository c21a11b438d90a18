"""People are told: once, soon, in order, whoever is killed and whatever the service answers."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from faults_site import Site
from judged import SILENT_AGENT, Judged, judging
from people import Person, Said, mailbox
from pretended_hosts import pretended_hosts
from waiting import wait_until

pytestmark = pytest.mark.mosquitto
Often = Callable[[int], int]


def write_rules(here: Site, *channels: tuple[str, str], wait_seconds: float = 1) -> None:
    tables = [
        f'[notify.{name}]\nurl = "{url}"\nallow_private = true\ngroup_wait_seconds = {wait_seconds}\n'
        for name, url in channels
    ]
    here.home.rules.write_text("\n".join(tables))


@contextmanager
def telling(here: Site, person: Person, wait_seconds: float = 1) -> Iterator[Judged]:
    write_rules(here, ("ops", person.url), wait_seconds=wait_seconds)
    with judging(here) as judged:
        yield judged


def missed(here: Site, hosts: list[str]) -> list[str]:
    """Those of `hosts` of which an alert is open."""
    found = {host for (host,) in here.rows("SELECT source_host FROM alerts WHERE resolved_at IS NULL")}
    return [host for host in hosts if host in found]


def tones(said: list[Said]) -> list[str]:
    return [one.tone for one in said]


def test_a_lost_host_and_its_return_are_told_once_each_by_web_and_by_mail(here: Site) -> None:
    person = Person()
    with person.listening(), mailbox() as (port, mails):
        mail = f"mailto://127.0.0.1:{port}?from=heimdall@example.com&to=ops@example.com"
        write_rules(here, ("ops", person.url), ("mail", mail))
        with judging(here) as judged:
            agent = here.start_agent("alpha", 0, **SILENT_AGENT)
            judged.becomes("alpha", "online")
            agent.kill()
            wait_until(lambda: person.said and mails, "both are told")
            agent.start()
            wait_until(lambda: len(person.said) == len(mails) == 2, "both are told of the return")
            time.sleep(3)
    assert tones(person.said) == ["failure", "success"]
    assert person.said[0].title == "alpha is offline: its connection broke and did not come back"
    assert person.said[1].title.startswith("alpha is back, after ")
    assert [one.title for one in mails] == [one.title for one in person.said]
    assert "crashed from " in person.said[1].body


def test_two_hundred_hosts_lost_at_once_are_one_message_and_their_return_another(here: Site) -> None:
    person, names = Person(), [f"host-{number:03}" for number in range(200)]
    with person.listening(), telling(here, person, 2) as judged, pretended_hosts(here) as hosts:
        hosts.come(names)
        judged.becomes(names[-1], "online")
        hosts.die(names)
        wait_until(lambda: person.said, "it is told")
        hosts.come(names)
        wait_until(lambda: len(person.said) == 2, "their return is told")
        time.sleep(3)
    assert tones(person.said) == ["failure", "success"]
    assert person.said[0].title.startswith("200 hosts missed: host-000, host-001, host-002 and 197 more")
    assert person.said[1].title.startswith("200 hosts back: ")


def test_a_watch_killed_again_and_again_tells_of_every_host_at_most_twice_and_in_order(
    here: Site, chance: random.Random, often: Often
) -> None:
    person, names = Person(), [f"host-{number:02}" for number in range(40)]
    with person.listening(), telling(here, person, 0.2) as judged, pretended_hosts(here) as hosts:
        hosts.come(names)
        judged.becomes(names[-1], "online")
        for _ in range(often(12)):
            gone, names = names[:2], names[2:]
            hosts.die(gone)
            wait_until(lambda gone=gone: len(missed(here, gone)) == 2, "both are missed")
            time.sleep(chance.uniform(0, 1.5))  # at most the wait, and what it takes to tell
            here.judge.restart()
            hosts.come(gone)
            wait_until(lambda gone=gone: not missed(here, gone), "both are back")
            time.sleep(chance.uniform(0, 1.5))
            here.judge.restart()
        wait_until(
            lambda: not here.rows("SELECT id FROM notices WHERE ended_at IS NULL"), "nothing is left to say", 120
        )
        wait_until(lambda: not here.rows("SELECT alert_id FROM told WHERE done = 0"), "every return is told", 120)
    assert here.rows("SELECT id FROM alerts WHERE id NOT IN (SELECT alert_id FROM told)") == []
    query = "SELECT source_host FROM alerts JOIN told ON alert_id = alerts.id WHERE opened_by > 0"
    told = [host for (host,) in here.rows(query)]
    assert told
    for host in told:
        heard = [one.tone for one in person.said if host in one.hosts]
        assert 1 <= heard.count("failure") <= 2, (host, person.said)
        assert heard.count("success") <= 2, (host, person.said)
        assert heard == sorted(heard), f"first that it is missed, then that it is back: {person.said}"


@pytest.mark.parametrize("trouble", ["down", "500", "429", "hangs"])
def test_a_service_that_fails_for_a_while_is_told_later_all_of_it_and_in_order(here: Site, trouble: str) -> None:
    person = Person()
    if trouble.isdigit():
        person.status = int(trouble)
    person.delay_seconds = 3_600 if trouble == "hangs" else 0
    with telling(here, person) as judged, pretended_hosts(here) as hosts:
        hosts.come(["host-1", "host-2"])
        judged.becomes("host-2", "online")
        if trouble == "down":
            lose_one_after_the_other(here, hosts.die)
        else:
            with person.listening():
                lose_one_after_the_other(here, hosts.die)
                wait_until(lambda: person.tried, "it is tried")
        assert person.said == []
        person.status, person.delay_seconds = 200, 0
        with person.listening():
            wait_until(lambda: len(person.said) == 2, "both are told", 120)
    assert [one.hosts for one in person.said] == [{"host-1"}, {"host-2"}]


def lose_one_after_the_other(here: Site, die: Callable[[list[str]], None]) -> None:
    for number, name in enumerate(["host-1", "host-2"], 1):
        die([name])
        wait_until(lambda number=number: len(here.rows("SELECT id FROM notices")) == number, f"{name} is to be told")


def test_the_rules_are_read_again_and_those_that_are_wrong_change_nothing(here: Site) -> None:
    person = Person()
    with person.listening(), judging(here) as judged, pretended_hosts(here) as hosts:
        hosts.come(["host-1", "host-2"])
        judged.becomes("host-2", "online")
        hosts.die(["host-1"])
        judged.becomes("host-1", "offline")
        write_rules(here, ("ops", person.url))
        wait_until(lambda: "the rules have changed: 1 channels: ops" in here.judge.said(), "they are read")
        here.home.rules.write_text("[notify.ops]\nurl = 3\n")
        wait_until(lambda: "rules.toml:2: [notify.ops] url: Expected `str`" in here.judge.said(), "it is said")
        hosts.die(["host-2"])
        wait_until(lambda: person.said, "the channel still works")
    assert person.said[0].hosts == {"host-2"}, "what was before there was a channel is not told"
