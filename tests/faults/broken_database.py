"""A database that refuses for a while, and what holds meanwhile: no receipt, the same process, `/readyz` says it."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psycopg
from faults_site import Site
from waiting import wait_until

# what the ingestor waits for, shortened so that `/readyz` follows within a second: SQLite's right to write (30 s), a
# commit that is called slow (5 s), the next sign of life (2 s); the lease is renewed more often than every 3 s
IMPATIENT = """
import ingestor.main, ingestor.write
from store.database import Database
Database.writing.__wrapped__.__defaults__ = (0.5,)
ingestor.write.SLOW_COMMIT_SECONDS = 1.0
ingestor.main.SIGN_OF_LIFE_SECONDS = 0.2
slots.RENEW_SECONDS = 0.05
"""


def start(here: Site, patches: str = IMPATIENT, hosts: Sequence[str] = ()) -> None:
    """Everything, with the agents of `hosts` (all), until events are stored and `/readyz` is 200."""
    here.ingestor = here.parts[1] = here.make_ingestor(patches=patches)
    here.start(api=True)
    for host in hosts or here.hosts:
        here.start_agent(host)
    wait_until(here.stored, "the ingestor stores")
    wait_until_ready(here)


def ask_ready(here: Site) -> tuple[int, str]:
    """The status of `GET /readyz`, and what it says of the database and of the ingestor."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{here.http_port}/readyz", timeout=60) as answer:
            code, body = answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            code, body = error.code, error.read()
    except OSError as error:
        return 0, str(error)
    parts = json.loads(body)["parts"]
    return code, f"{parts['database']} / {parts['ingestor']}"


def wait_until_ready(here: Site) -> None:
    wait_until(lambda: ask_ready(here) == (200, "ok / ok"), "/readyz is 200")


def wait_until_unready(here: Site, *words: str) -> None:
    """Until `/readyz` is 503 and names what is wrong in one of `words`."""

    def unready() -> bool:
        code, says = ask_ready(here)
        return code == 503 and any(word in says for word in words)

    wait_until(unready, f"/readyz is 503 and says one of {words}")


def resident_mb(pid: int) -> float:
    """The resident memory of a process, in MB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * 4096 / 1e6


@contextlib.contextmanager
def survived(here: Site) -> Iterator[None]:
    """A block in which the database is broken: afterwards the ingestor is the same process, and works again."""
    pid = here.ingestor.pid
    yield
    before = here.stored()
    wait_until(lambda: here.stored() > before, "events are stored again")
    wait_until_ready(here)
    assert here.ingestor.alive, here.ingestor.said()[-2000:]
    assert here.ingestor.pid == pid


def expect_no_receipts(here: Site) -> None:
    """While the database refuses: events wait in every spool, and none leaves it any more."""
    wait_until(lambda: all(here.spooled(host)[1] > 0 for host in here.counts), "events wait in every spool")

    def still() -> bool:
        # what was committed just before may have its receipt under way
        before = _receipted(here)
        time.sleep(0.2)
        return _receipted(here) == before

    wait_until(still, "no receipt comes any more")


def _receipted(here: Site) -> list[int]:
    """How many events have left each spool."""
    return [read - waiting for read, waiting in map(here.spooled, here.counts)]


@contextlib.contextmanager
def unwritable(here: Site) -> Iterator[None]:
    """Another program holds what every write needs: SQLite's lock, PostgreSQL's tables."""
    if here.database_url.startswith("sqlite"):
        with sqlite_connection(here) as other:
            other.execute("BEGIN IMMEDIATE")
            yield
            other.execute("ROLLBACK")
    else:
        with admin(here) as other:
            other.execute("LOCK TABLE activity, heartbeats IN EXCLUSIVE MODE")
            yield
            other.rollback()


@contextlib.contextmanager
def sqlite_connection(here: Site) -> Iterator[sqlite3.Connection]:
    """Another program at the same SQLite file."""
    path = here.database_url.removeprefix("sqlite:///")
    with contextlib.closing(sqlite3.connect(path, timeout=60, isolation_level=None)) as other:
        yield other


def change(here: Site, *statements: str) -> None:
    """What somebody else does to the database, with every right."""
    with sqlite_connection(here) if here.database_url.startswith("sqlite") else admin(here, autocommit=True) as other:
        for statement in statements:
            other.execute(statement)


@contextlib.contextmanager
def admin(here: Site, autocommit: bool = False) -> Iterator[psycopg.Connection[Any]]:
    """A superuser at the same PostgreSQL database, whom no setting of the database troubles."""
    easy = "-c default_transaction_read_only=off -c statement_timeout=0 -c lock_timeout=0"
    easy += " -c default_transaction_isolation=read\\ committed"
    with psycopg.connect(here.database_url, user="heimdall", application_name="admin", options=easy) as connection:
        connection.autocommit = autocommit
        yield connection


def terminate(here: Site) -> int:
    """End every connection of Heimdall's; how many there were."""
    with admin(here, autocommit=True) as other:
        return other.execute(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name = 'heimdall'"
        ).fetchone()[0]


@contextlib.contextmanager
def setting(here: Site, name: str, value: str) -> Iterator[None]:
    """A setting of the database as somebody has changed it for a while, in force at once."""
    database = here.database_url.rpartition("/")[2]
    with admin(here, autocommit=True) as other:
        other.execute(f"ALTER DATABASE {database} SET {name} = '{value}'")
        terminate(here)
        try:
            yield
        finally:
            other.execute(f"ALTER DATABASE {database} RESET {name}")
            terminate(here)
