"""Others use the same rows: deadlocks, serialization failures, locks and statements that time out."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable, Iterator

import pytest
from broken_database import admin, expect_no_receipts, setting, start, survived, unwritable, wait_until_unready
from faults_site import Site
from ingestors import add_ingestor, wait_for_sessions
from postgresql_server import database
from psycopg.errors import DeadlockDetected
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
    deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    # the ingestor notices it first, if the other program asks soon enough, and is the one who has to give way
    with survived(here), setting(here, "deadlock_timeout", "200ms"):
        # the ingestor may have waited for something else: then that round made none
        while here.rows(deadlocks)[0][0] < times:
            time.sleep(chance.uniform(0, 0.1))
            host = chance.choice(here.hosts)
            with admin(here) as other, contextlib.suppress(DeadlockDetected):
                other.execute("SET deadlock_timeout = '2s'")
                # in the other order: the ingestor writes activity first
                other.execute("SELECT FROM heartbeats WHERE source_host = %s FOR UPDATE", [host])
                wait_until(lambda: waits_for_a_lock(here), "the ingestor waits for the other program")
                other.execute("SELECT FROM activity WHERE source_host = %s FOR UPDATE", [host])
    assert "deadlock detected" in here.ingestor.said()
    here.enough()
    here.expect_all_stored_once()


def test_serialization_failures_lose_nothing(here: Site, chance: random.Random, often: Often) -> None:
    start(here)
    times = often(20)
    with survived(here), refusing(here, chance.uniform(0.2, 0.5)) as refused:
        wait_until(lambda: refused() >= times, "transactions cannot be serialized")
    assert "could not serialize" in here.ingestor.said()
    here.enough()
    here.expect_all_stored_once()


@contextlib.contextmanager
def refusing(here: Site, share: float) -> Iterator[Callable[[], int]]:
    """Meanwhile this share of the transactions that write `activity` fails as one that cannot be serialized does; how
    many have."""
    refuse = "RAISE EXCEPTION 'could not serialize access' USING ERRCODE = '40001'"
    # what a sequence has counted stays counted when the transaction is undone
    body = f"$$ BEGIN IF random() < {share} THEN PERFORM nextval('refused'); {refuse}; END IF; RETURN NULL; END $$"
    with admin(here, autocommit=True) as other:
        other.execute("CREATE SEQUENCE refused MINVALUE 0")
        other.execute("GRANT USAGE ON SEQUENCE refused TO PUBLIC")
        other.execute(f"CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS {body}")
        trigger = "AFTER INSERT OR UPDATE ON activity FOR EACH STATEMENT EXECUTE FUNCTION refuse()"
        other.execute(f"CREATE TRIGGER refuse {trigger}")
        yield lambda: int(other.execute("SELECT last_value FROM refused").fetchone()[0])
        other.execute("DROP TRIGGER refuse ON activity")


@pytest.mark.parametrize("isolation", ["repeatable read", "serializable"])
def test_a_database_that_isolates_more_strictly_is_written_like_any_other(
    here: Site, chance: random.Random, isolation: str
) -> None:
    with admin(here, autocommit=True) as other:
        other.execute(f"ALTER DATABASE {other.info.dbname} SET default_transaction_isolation = '{isolation}'")
        start(here)
        wait_for_sessions(add_ingestor(here, "ingestor-2"))
        before = here.stored()
        for _ in range(20):
            # the rows that both ingestors write, too
            other.execute("UPDATE activity SET os_type = os_type")
            time.sleep(chance.uniform(0, 0.1))
        wait_until(lambda: here.stored() > before, "events are stored")
    here.enough()
    here.expect_all_stored_once()
    assert "could not serialize" not in "".join(part.said() for part in here.parts)


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
