"""`heimdall migrate`, typed as an operator would, on both databases."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from heimdall_home import outside
from sqlite_file import opened

from store import open_store
from store.migrations import HEAD, VERSION_TABLE

Typed = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'some.db'}"
        return
    from postgresql_server import database

    with database() as made:
        yield made


@pytest.fixture
def typed(tmp_path: Path, url: str) -> Typed:
    def run(*words: str) -> subprocess.CompletedProcess[str]:
        environment = {**outside(), "HEIMDALL_HOME": str(tmp_path / "home"), "HEIMDALL_DATABASE_URL": url}
        return subprocess.run(
            [sys.executable, "-m", "heimdall", *words], env=environment, capture_output=True, text=True, check=False
        )

    return run


def set_version(url: str, version: str) -> None:
    store = open_store(url)
    with store.database.writing() as connection:
        connection.exec_driver_sql(f"UPDATE {VERSION_TABLE} SET version_num = '{version}'")
    store.close()


def test_a_new_database_is_made_and_another_look_finds_it_up_to_date(typed: Typed, tmp_path: Path) -> None:
    looked = typed("migrate", "--check")
    assert (looked.returncode, looked.stdout) == (1, "")
    assert looked.stderr == f"schema none is upgraded at the next start; this Heimdall needs {HEAD}\n"
    assert list(tmp_path.iterdir()) == [], "a look makes nothing"
    made = typed("migrate", "--json")
    assert (made.returncode, json.loads(made.stdout)) == (0, {"before": None, "needed": HEAD, "schema": HEAD})
    again = typed("migrate", "--check", "--json")
    assert (again.returncode, json.loads(again.stdout)) == (0, {"before": HEAD, "needed": HEAD, "schema": HEAD})
    assert typed("migrate").stdout == f"schema {HEAD}, as before\n"


def test_an_older_database_is_looked_at_first_and_then_upgraded(
    typed: Typed, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr("store.migrations.HEAD", "0009")
        open_store(url).close()
    for _ in range(2):
        looked = typed("migrate", "--check", "--json")
        assert (looked.returncode, json.loads(looked.stdout)["schema"]) == (1, "0009"), "a look changes nothing"
    assert typed("migrate").stdout == f"schema {HEAD}, upgraded from 0009\n"
    assert typed("migrate", "--check").returncode == 0


def test_an_older_program_stops_at_a_newer_schema_and_says_what_to_do(typed: Typed, url: str) -> None:
    set_version(url, "9999")
    looked = typed("migrate", "--check")
    assert (looked.returncode, looked.stderr) == (
        1,
        f"schema 9999 is newer: upgrade Heimdall; this Heimdall needs {HEAD}\n",
    )
    for words in (("migrate",), ("audit",), ("keys",), ("login",)):
        refused = typed(*words)
        assert (refused.returncode, refused.stdout) == (2, "")
        [line] = refused.stderr.splitlines()
        assert f"has schema 9999, newer than this Heimdall's {HEAD}: upgrade Heimdall" in line


def test_a_look_at_a_database_of_the_http_version_leaves_it_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    with opened(path) as old:
        old.execute("CREATE TABLE heartbeats (id INTEGER PRIMARY KEY, source_host, os_type, last_seen, updated_at)")
    before = path.read_bytes()
    environment = {**outside(), "HEIMDALL_HOME": str(tmp_path / "home"), "HEIMDALL_DATABASE_URL": f"sqlite:///{path}"}
    command = [sys.executable, "-m", "heimdall", "migrate", "--check"]
    looked = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (looked.returncode, path.read_bytes() == before) == (1, True), looked.stderr
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_is_no_database_is_said_to_be_none(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("nothing to see here\n" * 100)
    environment = {**outside(), "HEIMDALL_HOME": str(tmp_path / "home"), "HEIMDALL_DATABASE_URL": f"sqlite:///{path}"}
    command = [sys.executable, "-m", "heimdall", "migrate", "--check"]
    looked = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (looked.returncode, "is not a database" in looked.stderr) == (1, True)
