"""Opening: the schema is made once, whoever opens first, and only what fits is opened."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from host_status import read_status
from sqlalchemy import inspect
from sqlite_file import opened
from store_samples import NOW, a_batch, an_event

import store as store_package
from core.errors import Invalid, Unavailable
from store import EventFilter, Store, open_store
from store.migrations import HEAD, VERSION_TABLE
from store.tables import metadata

_OPEN = """
import sys
from store import open_store
sys.stdin.readline()
store = open_store(sys.argv[1])
store.record_heartbeat(sys.argv[2], "LINUX", __import__("core.clock").clock.utc_now())
print("alembic" in sys.modules, flush=True)
sys.stdin.readline()
store.close()
"""


def start_to_open(url: str, host: str) -> subprocess.Popen[str]:
    """A process that opens `url` at a line, writes a heartbeat of `host`, says whether it needed Alembic, and closes at
    another line."""
    environment = os.environ | {"PYTHONPATH": str(Path(store_package.__file__).parents[1])}
    return subprocess.Popen(
        [sys.executable, "-c", _OPEN, url, host],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
    )  # fmt: skip


def opened_by_processes(url: str, count: int) -> list[str]:
    """What `count` processes that open `url` at the same moment say: whether each needed Alembic."""
    processes = [start_to_open(url, f"host-{number}") for number in range(count)]
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    said = [process.communicate(timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [0] * count, said
    return [out.strip() for out, _ in said]


def test_processes_that_open_a_new_database_at_once_all_succeed(url: str) -> None:
    said = opened_by_processes(url, 4)
    assert "True" in said
    store = open_store(url)
    assert len(read_status(store, 60, NOW).active) + len(read_status(store, 60, NOW).inactive) == 4
    store.close()


def test_an_up_to_date_database_is_opened_without_alembic(url: str) -> None:
    open_store(url).close()
    assert opened_by_processes(url, 1) == ["False"]


def test_what_was_stored_is_there_after_opening_again(url: str) -> None:
    first = open_store(url)
    first.write(a_batch(an_event()))
    first.close()
    second = open_store(url)
    assert len(second.events(EventFilter(), 10).events) == 1
    second.ping()
    second.close()


def test_a_store_opened_a_second_time_in_a_process_does_not_cut_the_first_off(url: str) -> None:
    first = open_store(url)
    open_store(url).close()
    # by the locks alone this process tells whether it is the last that leaves, and may remove the write-ahead log
    assert opened_by_processes(url, 1) == ["False"]
    with start_to_open(url, "host-1") as process:
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "False\n"
        status = read_status(first, 60, NOW)
        process.communicate(timeout=60)
    assert {host.hostname for host in [*status.active, *status.inactive]} == {"host-0", "host-1"}
    first.close()


def test_a_database_of_a_newer_heimdall_is_refused(url: str) -> None:
    store = open_store(url)
    with store.database.writing() as connection:
        connection.exec_driver_sql(f"UPDATE {VERSION_TABLE} SET version_num = '9999'")
    store.close()
    with pytest.raises(Invalid, match="9999, newer than this Heimdall's"):
        open_store(url)


def test_the_newest_migration_is_the_one_that_is_opened_to() -> None:
    folder = Path(store_package.__file__).parent / "migrations"
    assert ScriptDirectory(folder).get_heads() == [HEAD]


@pytest.mark.filterwarnings("ignore:Skipped unsupported reflection of expression-based index")
@pytest.mark.filterwarnings("ignore:autogenerate skipping metadata-specified expression-based index")
def test_the_migrations_make_the_tables_that_the_code_uses(store: Store) -> None:
    with store.database.reading() as connection:
        found = inspect(connection)
        if connection.dialect.name == "sqlite":
            context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
            assert compare_metadata(context, metadata) == []
        for table in metadata.sorted_tables:
            columns = {column["name"]: column["nullable"] for column in found.get_columns(table.name)}
            assert columns == {column.name: column.nullable for column in table.columns}, table.name


def test_at_most_three_indexes_stand_beside_the_unique_one(store: Store) -> None:
    with store.database.reading() as connection:
        if connection.dialect.name == "sqlite":
            names = connection.exec_driver_sql("SELECT name FROM pragma_index_list('logs')").scalars().all()
        else:
            names = [index["name"] for index in inspect(connection).get_indexes("logs")]
    assert "logs_event_id" in names
    assert len(names) <= 4


def test_a_foreign_table_of_one_of_our_names_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with opened(path) as other:
        other.execute("CREATE TABLE sessions (a)")
    other.close()
    with pytest.raises(Invalid, match="table sessions that is not Heimdall's"):
        open_store(f"sqlite:///{path}")
    with opened(path) as other:
        assert other.execute("SELECT name FROM sqlite_master").fetchall() == [("sessions",)]
    other.close()


@pytest.mark.postgresql
def test_a_user_without_the_right_to_make_tables_is_told_so() -> None:
    import psycopg
    from postgresql_server import database

    with database() as url:
        with psycopg.connect(url, autocommit=True) as admin:
            admin.execute("DROP ROLE IF EXISTS guest")
            admin.execute("CREATE ROLE guest LOGIN")
        with pytest.raises(Invalid, match="make the user the database's owner"):
            open_store(url.replace("heimdall@", "guest@"))


def test_a_sqlite_file_is_its_owners_alone(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path}/a ?b%20#c.db")
    store.record_heartbeat("web-01", "LINUX", NOW)
    files = sorted(tmp_path.iterdir())
    assert files[0].name == "a ?b%20#c.db"
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    store.close()


def test_a_file_that_is_no_sqlite_database_is_refused_and_stays(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("nothing to see here\n" * 100)
    with pytest.raises(Invalid, match="no SQLite database"):
        open_store(f"sqlite:///{path}")
    assert path.read_text().startswith("nothing to see here")


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("sqlite:///", "use sqlite:///PATH"),
        ("sqlite:///:memory:", "use sqlite:///PATH"),
        ("sqlite:////nowhere/at/all.db", "does not exist, make it first"),
        ("sqlite:////tmp", "is a folder"),
        ("mysql://user:hunter2@host/db", "use sqlite:///PATH or postgresql://"),
        ("postgresql://user:hunter2@[host/db", "HEIMDALL_DATABASE_URL"),
        ("postgresql://user:hunter2@host/db?nonsense=1", "HEIMDALL_DATABASE_URL"),
    ],
)
def test_a_url_that_names_no_database_is_refused_without_its_password(url: str, message: str) -> None:
    with pytest.raises(Invalid, match=message) as refused:
        open_store(url)
    assert "hunter2" not in str(refused.value)


def test_a_server_that_is_away_is_unavailable_and_its_password_is_not_shown() -> None:
    with pytest.raises(Unavailable, match=r"heimdall on 127\.0\.0\.1") as away:
        open_store("postgresql://user:hunter2@127.0.0.1:1/heimdall")
    assert "hunter2" not in str(away.value)
