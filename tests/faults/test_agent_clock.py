"""The agent's clock is wrong: a day behind, three days ahead, set while it works. The server's clock governs."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from faults_site import Site
from host_status import read_status
from observed import expect_beats
from waiting import wait_until

from core.clock import parse_time, utc_now

pytestmark = pytest.mark.mosquitto
Often = Callable[[int], int]
DAY = 86_400


def test_a_wrong_clock_moves_timestamps_and_no_sign_of_life(here: Site, chance: random.Random, often: Often) -> None:
    here.start()
    offsets = chance.sample([-DAY, 3 * DAY, -3 * 365 * DAY, 0], 4) * often(4)
    for offset in offsets:
        for host in here.hosts:
            # the clock is set while the agent works, at one of its first beats
            here.start_agent(host, TEST_CLOCK_OFFSET=str(offset), TEST_CLOCK_BEATS=str(chance.randrange(3)))
        before = here.stored()
        wait_until(lambda before=before: here.stored() > before + 200, "something is stored")
        for host in here.hosts:
            expect_beats(here, host, 1)
        status = read_status(here.store, 1, utc_now())
        assert {known.hostname for known in status.active} == set(here.hosts)
        assert all(known.last_seen is not None and known.last_seen <= utc_now() for known in status.active)
        for agent in here.agents.values():
            agent.kill()
    # no timestamp keeps a host alive that says nothing any more
    status = read_status(here.store, 1, utc_now() + timedelta(minutes=2))
    assert {known.hostname for known in status.inactive} == set(here.hosts)
    for host in here.hosts:
        here.start_agent(host)
    here.enough()
    here.expect_all_stored_once()
    told = {datetime.fromtimestamp(here.ms / 1000 + offset, UTC) for offset in offsets}
    times = {parse_time(str(time)) for (time,) in here.rows("SELECT DISTINCT timestamp FROM logs")}
    assert times == told, "events are stored with the agents' timestamps"
