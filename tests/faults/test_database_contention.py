"""Others use the same rows: deadlocks, serialization failures, locks and statements that time out."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from broken_database import admin, expect_no_receipts, setting, start, survived, unwritable, wait_until_unready
from faults_site import Site
from postgresql_server import database
from psycopg.errors import DeadlockDetected, SerializationFailure
from waiting import wait_until

pytestmark = [pytest.mark.mosquitto, pytest.mark.postgresql]
Often = Callable[[int], int]


@pytest.fixture
def database_url() -> Iterator[str]:
    with database() as url:
        yield url


def waits_for_a_lock(here: Site) -> bool:
    with admin(here, autocommit=True) as other:
        query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'heimdall' AND wait_event_type = 'Lock'"
        return bool(other.execute(f"{query} AND datname = current_database()").fetchone()[0])


def test_deadlocks_with_another_program_lose_nothing(here: Site, chance: random.Random, often: Often) -> None:
    start(here)
    known = "SELECT source_host FROM heartbeats"
    wait_until(lambda: {host for (host,) in here.rows(known)} >= {*here.hosts}, "each host has a row to be locked")
    times = often(20)
    # the ingestor notices it first, if the other program asks soon enough, and is the one who has to give way
    with survived(here), setting(here, "deadlock_timeout", "200ms"):
        for _ in range(times):
            time.sleep(chance.uniform(0, 0.1))
            host = chance.choice(here.hosts)
            with admin(here) as other, contextlib.suppress(DeadlockDetected):
                other.execute("SET deadlock_timeout = '2s'")
                # in the other order: the ingestor writes activity first
                other.execute("SELECT FROM heartbeats WHERE source_host = %s FOR UPDATE", [host])
                wait_until(lambda: waits_for_a_lock(here), "the ingestor waits for the other program")
                other.execute("SELECT FROM activity WHERE source_host = %s FOR UPDATE", [host])
    deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    wait_until(lambda: here.rows(deadlocks)[0][0] >= times, "every deadlock is counted")
    assert "deadlock detected" in here.ingestor.said()
    here.enough()
    here.expect_all_stored_once()


@pytest.mark.parametrize("isolation", ["repeatable read", "serializable"])
def test_serialization_failures_lose_nothing(here: Site, chance: random.Random, often: Often, isolation: str) -> None:
    start(here)
    second = here.make_ingestor(name="ingestor-2")
    here.parts.append(second)
    second.start()
    wait_until(lambda: "is subscribed at" in second.said(), "the second ingestor is subscribed")
    enough = threading.Event()

    def change_rows() -> None:
        with admin(here) as other:
            # with pauses: against somebody who never stops no transaction could be finished
            while not enough.wait(chance.uniform(0, 0.1)):
                try:
                    other.execute("UPDATE activity SET os_type = os_type")
                    # whoever begins now and wants one of the rows waits, and is refused
                    time.sleep(chance.uniform(0, 0.05))
                    other.commit()
                except SerializationFailure:
                    other.rollback()  # an ingestor was first: this time it is the other program that has to give way

    def failures() -> int:
        return (here.ingestor.said() + second.said()).count("could not serialize access")

    other = threading.Thread(target=change_rows)
    with survived(here), setting(here, "default_transaction_isolation", isolation):
        other.start()
        try:
            wait_until(lambda: failures() >= often(20), "transactions cannot be serialized", 90)
        finally:
            enough.set()
            other.join(60)
    assert second.alive
    here.enough()
    here.expect_all_stored_once()


@pytest.mark.parametrize(
    ("name", "says"),
    [("lock_timeout", "due to lock timeout"), ("statement_timeout", "due to statement timeout")],
    ids=["lock", "statement"],
)
def test_locks_and_statements_that_time_out_lose_nothing(
    here: Site, chance: random.Random, often: Often, name: str, says: str
) -> None:
    start(here)
    for _ in range(often(8)):
        time.sleep(chance.uniform(0, 0.1))
        with survived(here), setting(here, name, f"{chance.randrange(20, 200)}ms"), unwritable(here):
            expect_no_receipts(here)
            wait_until_unready(here, says)
    here.enough()
    here.expect_all_stored_once()
