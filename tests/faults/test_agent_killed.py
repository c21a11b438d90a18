"""The agent is broken: killed at each step from reading to the deleted receipt, and at any moment."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable

import dying
import pytest
from faults_site import Site
from waiting import wait_until

pytestmark = pytest.mark.mosquitto
Often = Callable[[int], int]


def die_at_each(
    steps: dict[str, dying.Step], times: int, start: Callable[..., object], here: Site, chance: random.Random
) -> None:
    """Each agent dies of its own hand at each step so many times, in any order; then it runs on."""
    order = chance.sample([*steps] * times, len(steps) * times)
    for name in order:
        for host in here.hosts:
            start(host, TEST_DIES=f"{name}:{chance.randrange(1, 6)}")
        for host in here.hosts:
            agent = here.agents[host]
            wait_until(lambda agent=agent: not agent.alive, f"{host}'s agent dies {name}")
            assert agent.process is not None
            assert agent.process.returncode == -signal.SIGKILL, agent.said()[-2000:]
            assert f"dies {name}\n" in agent.said()
            if name not in ("before spooling", "after deleting"):
                assert here.spooled(host)[1] > 0, f"what was in hand {name} is in the spool"
    for host in here.hosts:
        start(host, TEST_DIES="")


def test_an_agent_killed_at_each_step_of_its_work_loses_nothing(
    here: Site, chance: random.Random, often: Often
) -> None:
    here.start()
    die_at_each(dying.MQTT, often(4), here.start_agent, here, chance)
    here.enough()
    here.expect_all_stored_once()


def test_an_agent_over_http_killed_at_each_step_of_its_work_loses_nothing(
    here: Site, chance: random.Random, often: Often
) -> None:
    here.start(api=True)
    die_at_each(dying.HTTP, often(4), here.start_http_agent, here, chance)
    here.enough()
    here.expect_all_stored_once()


def test_an_agent_killed_at_any_moment_loses_nothing(here: Site, chance: random.Random, often: Often) -> None:
    here.start()
    for host in here.hosts:
        here.start_agent(host)
    waited = 0
    for _ in range(often(20)):
        before = here.stored()
        wait_until(lambda before=before: here.stored() > before, "something is stored")
        time.sleep(chance.uniform(0, 0.2))
        host = chance.choice(here.hosts)
        here.agents[host].kill()
        waited += here.spooled(host)[1]
        here.agents[host].start()
    assert waited > 0, "no kill met an event under way"
    here.enough()
    here.expect_all_stored_once()
