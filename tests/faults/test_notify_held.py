"""People are told when they want to be: what is held is watched all the while, and told when the hold ends."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from faults_site import Site
from judged import Judged, judging
from people import Person
from pretended_hosts import pretended_hosts
from waiting import wait_until

from core.clock import utc_now

pytestmark = pytest.mark.mosquitto
ROUTER = '[behind.router-1]\nhosts = ["host-*"]\n'


def write_rules(here: Site, person: Person, more: str = "") -> None:
    channel = f'[notify.ops]\nurl = "{person.url}"\nallow_private = true\ngroup_wait_seconds = 2\n'
    here.home.rules.write_text(channel + more)


@contextmanager
def telling(here: Site, person: Person, more: str = "") -> Iterator[Judged]:
    write_rules(here, person, more)
    with judging(here) as judged:
        yield judged


def command(here: Site, *words: str) -> str:
    """What a command of an operator on this machine prints."""
    done = subprocess.run(
        [sys.executable, "-m", "heimdall", *words], env=here.environment, capture_output=True, text=True, check=True
    )
    return done.stdout


def test_a_host_that_is_lost_in_a_silence_is_told_when_it_ends_and_one_that_was_told_before_when_it_is_back(
    here: Site,
) -> None:
    person, names = Person(), ["host-1", "host-2", "host-3"]
    with person.listening(), telling(here, person) as judged, pretended_hosts(here) as hosts:
        hosts.come(names)
        judged.becomes("host-3", "online")
        hosts.die(["host-1"])
        wait_until(lambda: person.said, "what is lost before is told")
        silence = command(here, "silence", "host-*", "--for", "2h").strip()
        hosts.die(["host-2", "host-3"])
        judged.becomes("host-3", "offline")
        hosts.come(["host-1"])
        wait_until(lambda: len(person.said) == 2, "that it is back is told also in a silence")
        hosts.come(["host-3"])
        judged.becomes("host-3", "online")
        time.sleep(3)
        assert [one.tone for one in person.said] == ["failure", "success"]
        here.judge.restart()
        command(here, "silence", "--end", silence)
        wait_until(lambda: len(person.said) == 3, "what is still lost is told")
        hosts.come(["host-2"])
        wait_until(lambda: len(person.said) == 4, "and when it is back")
        time.sleep(3)
    assert [(one.tone, one.hosts) for one in person.said] == [
        ("failure", {"host-1"}), ("success", {"host-1"}), ("failure", {"host-2"}), ("success", {"host-2"}),
    ]  # fmt: skip
    opened = here.rows("SELECT COUNT(*) FROM alerts WHERE source_host = 'host-3' AND resolved_at IS NOT NULL")
    assert opened == [(1,)], "it was watched all the while"


def test_twenty_hosts_behind_a_router_that_is_down_are_one_message_and_so_is_its_return(here: Site) -> None:
    person, names = Person(), ["router-1", *(f"host-{number:02}" for number in range(20))]
    with person.listening(), telling(here, person, ROUTER) as judged, pretended_hosts(here) as hosts:
        hosts.come(names)
        judged.becomes(names[-1], "online")
        hosts.die(names)
        wait_until(lambda: person.said, "it is told")
        hosts.come(names)
        wait_until(lambda: len(person.said) == 2, "the return is told")
        time.sleep(3)
    assert [one.tone for one in person.said] == ["failure", "success"]
    assert person.said[0].title.startswith("router-1 is offline: ")
    assert person.said[0].title.endswith(", and 20 hosts behind it")
    assert person.said[0].hosts == set(names)
    assert person.said[1].title.startswith("router-1 is back, after ")


def test_in_quiet_hours_nothing_is_told_not_even_what_could_not_be_told_before(here: Site) -> None:
    person, names = Person(), ["host-1", "host-2"]
    with telling(here, person) as judged, pretended_hosts(here) as hosts:
        hosts.come(names)
        judged.becomes("host-2", "online")
        hosts.die(["host-1"])
        wait_until(lambda: "could not be told, trying again" in here.judge.said(), "nobody listens")
        now = utc_now()
        quiet = f"{now - timedelta(hours=1):%H:%M}-{now + timedelta(hours=1):%H:%M}"
        write_rules(here, person, f'quiet = "{quiet}"\n')
        wait_until(lambda: "the rules have changed" in here.judge.said(), "they are quiet hours")
        with person.listening():
            hosts.die(["host-2"])
            judged.becomes("host-2", "offline")
            time.sleep(8)  # by then both would have been told
            assert person.tried == 0
            write_rules(here, person)
            wait_until(lambda: len(person.said) == 2, "both are told")
    assert [one.hosts for one in person.said] == [{"host-1"}, {"host-2"}]
