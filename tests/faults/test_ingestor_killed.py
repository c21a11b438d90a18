"""The ingestor is broken: killed in mid-batch, between commit and PUBACK, stopped for longer than its keep alive."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

import pytest
from faults_site import Site, wait_until

pytestmark = pytest.mark.mosquitto
Often = Callable[[int], int]


def test_an_ingestor_killed_again_and_again_in_mid_batch_loses_nothing(
    here: Site, chance: random.Random, often: Often
) -> None:
    here.start()
    for host in here.hosts:
        here.start_agent(host)
    for _ in range(often(20)):
        before = here.stored()
        wait_until(lambda before=before: here.stored() > before, "the ingestor stores")
        time.sleep(chance.uniform(0, 0.05))
        here.ingestor.restart()
    here.enough()
    here.expect_all_stored_once()
