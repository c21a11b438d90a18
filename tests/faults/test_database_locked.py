"""Another program locks the database for longer than the ingestor waits."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

import pytest
from broken_database import (
    IMPATIENT,
    expect_no_receipts,
    resident_mb,
    start,
    survived,
    unwritable,
    wait_until_unready,
)
from faults_site import Site
from flood import long_events, publish
from waiting import wait_until

from core.topics import EVENTS, host_topic

pytestmark = pytest.mark.mosquitto
Often = Callable[[int], int]


def test_a_database_locked_by_another_program_is_tried_again_until_it_is_free(
    here: Site, chance: random.Random, often: Often
) -> None:
    soak = often(4) == 4
    # as it is shipped the ingestor waits 30 s for SQLite, and for PostgreSQL without end
    start(here, "" if soak else IMPATIENT)
    for _ in range(1 if soak else 2):
        time.sleep(chance.uniform(0, 0.1))
        with survived(here), unwritable(here):
            expect_no_receipts(here)
            wait_until_unready(here, "database is locked", "a commit has been under way")
            if soak:
                time.sleep(32)
                wait_until_unready(here, "database is locked", "a commit has been under way for 3")
    here.enough()
    here.expect_all_stored_once()


def test_while_the_database_is_locked_the_ingestor_holds_a_few_batches_and_the_broker_the_rest(here: Site) -> None:
    start(here, hosts=here.hosts[:1])
    host, count = here.hosts[1], 9_000
    ids, topic = here.ids(host, count), host_topic(host, EVENTS)
    here.exempt.update(ids)
    before = resident_mb(here.ingestor.pid)
    with survived(here), unwritable(here):
        expect_no_receipts(here)
        # 90 MB: all of it would come in, for it is fewer messages than the broker lets be out without a PUBACK
        batches = [long_events(host, ids[first : first + 90]) for first in range(0, count, 90)]
        publish(here, here.agent_home(host).credential("agent"), host, [(topic, batch) for batch in batches])
        wait_until_unready(here, "database is locked", "a commit has been under way")
        assert resident_mb(here.broker.pid) > 40, "the broker holds most of it"
        # four batches of 8 MiB are the bound: the one being written, two that wait, and the next
        assert resident_mb(here.ingestor.pid) - before < 60
    wait_until(lambda: here.rows(f"SELECT count(*) FROM logs WHERE source_host = '{host}'") == [(count,)], "all came")
    here.enough()
    here.expect_all_stored_once()
