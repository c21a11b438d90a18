"""The database is there and refuses: read-only, a right revoked, a table renamed, each for a while."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator

import psycopg
import pytest
from broken_database import change, expect_no_receipts, setting, start, survived, wait_until_unready
from faults_site import Site, site
from postgresql_server import database, server
from waiting import wait_until

pytestmark = pytest.mark.mosquitto
Often = Callable[[int], int]


@pytest.fixture
def owned() -> Iterator[Site]:
    """A site on PostgreSQL as it should be: Heimdall's user owns the database and is no superuser."""
    with psycopg.connect(server().url("postgres"), autocommit=True) as admin:
        admin.execute("CREATE ROLE siem LOGIN")
    try:
        with database("OWNER siem") as url, site(url.replace("heimdall@", "siem@")) as made:
            yield made
    finally:
        with psycopg.connect(server().url("postgres"), autocommit=True) as admin:
            admin.execute("DROP ROLE siem")


@pytest.mark.postgresql
def test_a_database_that_is_read_only_for_a_while_loses_nothing(
    owned: Site, chance: random.Random, often: Often
) -> None:
    start(owned)
    for _ in range(often(8)):
        time.sleep(chance.uniform(0, 0.1))
        with survived(owned), setting(owned, "default_transaction_read_only", "on"):
            expect_no_receipts(owned)
            wait_until_unready(owned, "read-only transaction")
    owned.enough()
    owned.expect_all_stored_once()


@pytest.mark.postgresql
def test_a_right_revoked_for_a_while_loses_nothing(owned: Site, chance: random.Random, often: Often) -> None:
    start(owned)
    for _ in range(often(8)):
        table, right = chance.choice(["logs", "activity", "heartbeats"]), chance.choice(["INSERT", "ALL"])
        time.sleep(chance.uniform(0, 0.1))
        with survived(owned):
            change(owned, f"REVOKE {right} ON {table}, leases FROM siem")
            expect_no_receipts(owned)
            wait_until_unready(owned, f"permission denied for table {table}")
            change(owned, f"GRANT {right} ON {table}, leases TO siem")
    owned.enough()
    owned.expect_all_stored_once()


@pytest.mark.postgresql
def test_an_http_agent_is_not_told_that_its_events_are_wrong_when_its_key_cannot_be_looked_up(owned: Site) -> None:
    owned.start(api=True)
    change(owned, "REVOKE ALL ON api_keys FROM siem")
    host = owned.hosts[0]
    agent = owned.start_http_agent(host)
    wait_until(lambda: "answered 503" in agent.said(), "the agent is told to come again")
    change(owned, "GRANT ALL ON api_keys TO siem")
    wait_until(owned.stored, "its events are stored")
    owned.enough()
    wait_until(lambda: owned.stored() >= owned.spooled(host)[0] and owned.spooled(host)[1] == 0, "all are stored")
    owned.expect_all_stored_once()


def test_a_table_renamed_for_a_while_loses_nothing(here: Site, chance: random.Random, often: Often) -> None:
    start(here)
    for _ in range(often(8)):
        table = chance.choice(["logs", "activity", "heartbeats"])
        time.sleep(chance.uniform(0, 0.1))
        with survived(here):
            change(here, f"ALTER TABLE {table} RENAME TO elsewhere", "ALTER TABLE leases RENAME TO other_leases")
            expect_no_receipts(here)
            wait_until_unready(here, f'relation "{table}" does not exist', f"no such table: {table}")
            change(here, "ALTER TABLE other_leases RENAME TO leases", f"ALTER TABLE elsewhere RENAME TO {table}")
    here.enough()
    here.expect_all_stored_once()
