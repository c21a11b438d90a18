"""PostgreSQL goes away: restarted in each way that there is, its processes killed, connections ended at random."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Iterator

import pytest
from broken_database import admin, expect_no_receipts, start, survived, terminate, wait_until_unready
from faults_site import Site, site
from postgresql_server import Server, database
from waiting import wait_until

pytestmark = [pytest.mark.mosquitto, pytest.mark.postgresql]
Often = Callable[[int], int]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server that a test may stop: others share theirs."""
    made = Server()
    yield made
    made.remove()


@pytest.fixture
def there(server: Server) -> Iterator[Site]:
    with database(running=server) as url, site(url) as made:
        yield made


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT, signal.SIGKILL], ids=["fast", "immediate", "killed"])
def test_a_postgresql_restarted_again_and_again_loses_nothing(
    there: Site, server: Server, chance: random.Random, often: Often, number: signal.Signals
) -> None:
    start(there)
    for _ in range(often(8)):
        before = there.stored()
        wait_until(lambda before=before: there.stored() > before, "the ingestor stores")
        time.sleep(chance.uniform(0, 0.1))
        with survived(there):
            server.stop(number)
            expect_no_receipts(there)
            wait_until_unready(there, "is unavailable")
            start_again(server)
    there.enough()
    there.expect_all_stored_once()


def start_again(server: Server) -> None:
    def started() -> bool:
        try:
            server.start()
        except RuntimeError:
            return False  # processes of the one that was killed are still ending
        return True

    wait_until(started, "PostgreSQL runs again")


def test_a_killed_backend_which_takes_all_others_along_loses_nothing(
    there: Site, chance: random.Random, often: Often
) -> None:
    start(there)
    for _ in range(often(20)):
        with survived(there):
            time.sleep(chance.uniform(0, 0.1))
            os.kill(writing_backend(there), signal.SIGKILL)
    assert "cannot commit, trying again" in there.ingestor.said()
    there.enough()
    there.expect_all_stored_once()


def writing_backend(there: Site) -> int:
    """The process of the server that is writing for the ingestor just now."""

    def find() -> int:
        with admin(there, autocommit=True) as other:
            row = other.execute(
                "SELECT pid FROM pg_stat_activity WHERE application_name = 'heimdall' AND state <> 'idle'"
                " AND datname = current_database() AND query ~ 'heimdall_staging|logs|activity|heartbeats'"
                " AND pid <> pg_backend_pid() LIMIT 1"
            ).fetchone()
        return int(row[0]) if row else 0

    return wait_until(find, "a transaction of the ingestor's is under way")


def test_connections_ended_at_random_lose_nothing(there: Site, chance: random.Random, often: Often) -> None:
    start(there)
    with survived(there):
        for _ in range(often(80)):
            time.sleep(chance.uniform(0, 0.2))
            terminate(there)
        # and until one of them was in a transaction: idle ones are noticed before they are used
        wait_until(lambda: terminate(there) and "cannot commit" in there.ingestor.said(), "a transaction was ended")
    there.enough()
    there.expect_all_stored_once()
