"""The database's disk is full, then has room again: a small one, with the SQLite file or PostgreSQL's tables on it."""

from __future__ import annotations

import contextlib
import os
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from broken_database import expect_no_receipts, start, survived, wait_until_unready
from conftest import DATABASES
from faults_site import Site, site
from postgresql_server import database, server
from small_disk import SmallDisk, small_disk
from waiting import wait_until

Often = Callable[[int], int]
MEGABYTES = 96


@contextlib.contextmanager
def postgresql_on_a_small_disk() -> Iterator[tuple[str, SmallDisk]]:
    """A database whose tables alone are on the disk: without room for its own log the whole server stops."""
    folder = server().folder / "disk"
    with small_disk(folder, MEGABYTES) as disk:
        owner = server().data.stat()
        os.chown(folder, owner.st_uid, owner.st_gid)
        with psycopg.connect(server().url("postgres"), autocommit=True) as admin:
            admin.execute(f"CREATE TABLESPACE small LOCATION '{folder}'")
        try:
            with database("TABLESPACE small") as url:
                yield url, disk
        finally:
            with psycopg.connect(server().url("postgres"), autocommit=True) as admin:
                admin.execute("DROP TABLESPACE small")


@pytest.fixture(params=DATABASES)
def on_small_disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Site, SmallDisk]]:
    with contextlib.ExitStack() as stack:
        if request.param == "sqlite":
            disk = stack.enter_context(small_disk(tmp_path / "disk", MEGABYTES))
            url = f"sqlite:///{tmp_path / 'disk' / 'mini_siem.db'}"
        else:
            url, disk = stack.enter_context(postgresql_on_a_small_disk())
        yield stack.enter_context(site(url)), disk


@pytest.mark.mosquitto
@pytest.mark.tmpfs
def test_a_full_disk_loses_nothing_and_is_written_again_once_it_has_room(
    on_small_disk: tuple[Site, SmallDisk], chance: random.Random, often: Often
) -> None:
    here, disk = on_small_disk
    start(here)
    for _ in range(often(8)):
        with survived(here):
            before = here.stored()
            wait_until(lambda before=before: here.stored() > before, "the ingestor stores")
            time.sleep(chance.uniform(0, 0.1))
            disk.fill()
            expect_no_receipts(here)
            wait_until_unready(here, "disk is full", "No space left on device")
            disk.make_room()
    here.enough()
    here.expect_all_stored_once()
