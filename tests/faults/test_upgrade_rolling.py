"""A newer ingestor changes the schema while the older one goes on writing; its migration is killed, and run again."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from faults_site import Site
from ingestors import add_ingestor, wait_for_sessions
from newer_heimdall import HEAD, OURS, make_newer_heimdall
from part import Part
from waiting import wait_until

from store.migrations import VERSION_TABLE

pytestmark = pytest.mark.mosquitto


def schema(here: Site) -> str:
    return str(here.rows(f"SELECT version_num FROM {VERSION_TABLE}")[0][0])


def wait_for_more(here: Site) -> None:
    before = here.stored()
    wait_until(lambda: here.stored() > before, "events are stored")


def start_old(here: Site) -> str:
    """The older Heimdall with its agents, storing; its schema."""
    here.start()
    for host in here.hosts:
        # what goes to a killed ingestor's queue shall be sent again soon
        here.start_agent(host, TEST_PATIENCE="0.3")
    wait_for_more(here)
    return schema(here)


def waits_for_lock(here: Site, part: Part) -> bool:
    """Whether `part` has come to its migration, whose lock another transaction has."""
    if here.database_url.startswith("postgresql"):
        return here.rows("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted") != [(0,)]
    # it waits as soon as it has opened the file and read the version
    database = str(here.home.path / "mini_siem.db")
    try:
        return any(os.readlink(file) == database for file in Path(f"/proc/{part.pid}/fd").iterdir())
    except FileNotFoundError:  # another file was closed meanwhile
        return False


def stop_old(here: Site, newer: Part) -> None:
    """Leave the rest to the newer one, and expect that nothing is lost."""
    assert here.ingestor.stop(signal.SIGTERM) == 0
    wait_for_more(here)
    assert newer.alive
    here.enough()
    here.expect_all_stored_once()
    # the column of the newer schema is there, and empty
    assert here.rows("SELECT count(*) FROM logs WHERE site IS NOT NULL") == [(0,)]
    assert here.rows("SELECT count(*) FROM heartbeats WHERE site IS NOT NULL") == [(0,)]


def test_an_older_ingestor_goes_on_while_a_newer_one_changes_the_schema(here: Site, chance: random.Random) -> None:
    newer_heimdall = make_newer_heimdall(here.folder / "newer")
    before = start_old(here)
    time.sleep(chance.uniform(0, 0.1))
    newer = add_ingestor(here, "newer", **newer_heimdall)
    wait_for_sessions(newer)
    assert (before, schema(here)) == (OURS, HEAD)
    assert here.ingestor.alive
    wait_for_more(here)
    # the older one stores by itself on the newer schema
    sessions = newer.said().count("is subscribed at")
    newer.kill()
    wait_for_more(here)
    newer.start()
    wait_for_sessions(newer, sessions)
    assert "cannot commit" not in here.ingestor.said() + newer.said()
    stop_old(here, newer)


def test_a_migration_killed_midway_leaves_the_old_schema_and_is_run_again(
    here: Site, chance: random.Random, often: Callable[[int], int]
) -> None:
    newer_heimdall = make_newer_heimdall(here.folder / "newer")
    before = start_old(here)
    held = here.folder / "held"
    newer = here.make_ingestor(name="newer", TEST_HOLD=str(here.folder), **newer_heimdall)
    here.parts.append(newer)
    for _ in range(often(4)):
        newer.start()
        wait_until(held.exists, "the migration has changed the tables and not committed")
        time.sleep(chance.uniform(0, 0.2))
        newer.kill()
        held.unlink()
        assert schema(here) == before
        wait_for_more(here)
    # and while it waits for its lock, which another transaction holds
    with here.store.database.writing() as connection:
        here.store.database.lock(connection, "schema")
        newer.start()
        wait_until(lambda: waits_for_lock(here, newer), "the migration waits for its lock")
        time.sleep(chance.uniform(0, 0.2))
        newer.kill()
    assert not held.exists()
    wait_for_more(here)
    del newer.environment["TEST_HOLD"]
    newer.start()
    wait_for_sessions(newer)
    assert schema(here) == HEAD
    stop_old(here, newer)
