"""`heimdall copy`, typed as an operator would."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from heimdall_home import outside, running
from waiting import wait_until

from core.clock import rfc3339, utc_now
from core.ids import uuid7
from core.messages import Event
from store import EventFilter, Store, WriteBatch, open_store
from store.tables import BLOCK_ROWS

pytestmark = pytest.mark.postgresql


@pytest.fixture
def old(tmp_path: Path) -> Iterator[Store]:
    """The home's own database, with what makes more than two pieces."""
    (tmp_path / "home").mkdir()
    store = open_store(f"sqlite:///{tmp_path / 'home' / 'mini_siem.db'}", checkpointer=True)
    for _ in range(9):
        now = utc_now()
        events = [Event(uuid7(), now, "web-01", "LINUX", "LOGIN_FAIL", 3, "m", "", "") for _ in range(BLOCK_ROWS // 4)]
        store.write(WriteBatch(events, now, [], []))
    store.add_key("hash", "curl", ["read"])
    yield store
    store.close()


def command(tmp_path: Path, *words: str) -> tuple[list[str], dict[str, str]]:
    return [sys.executable, "-m", "heimdall", *words], {**outside(), "HEIMDALL_HOME": str(tmp_path / "home")}


def typed(tmp_path: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    line, environment = command(tmp_path, *words)
    return subprocess.run(line, env=environment | more, capture_output=True, text=True, check=False)


def test_it_tells_what_was_moved_and_how_to_go_on(old: Store, new: str, tmp_path: Path) -> None:
    done = typed(tmp_path, "copy", "--to", new)
    assert done.returncode == 0, done.stderr
    assert re.search(r"^logs +36,864$", done.stdout, re.M), done.stdout
    assert re.search(r"^checksum of logs [0-9a-f]{32}, the same on both sides$", done.stdout, re.M)
    assert "nothing is stored until it is done" in done.stderr
    assert f"moved: set HEIMDALL_DATABASE_URL={new}, and start again" in done.stderr
    refused = typed(tmp_path, "keys")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert f"was moved to {new}: set HEIMDALL_DATABASE_URL to that" in refused.stderr
    listed = typed(tmp_path, "keys", HEIMDALL_DATABASE_URL=new)
    assert (listed.returncode, "curl" in listed.stdout) == (0, True)


def test_programs_are_told_in_json(old: Store, new: str, tmp_path: Path) -> None:
    told = json.loads(typed(tmp_path, "copy", "--to", new, "--json", "--yes").stdout)
    assert told["tables"]["logs"] == 9 * (BLOCK_ROWS // 4)
    assert told["tables"]["api_keys"] == 1
    assert told["rows"] == sum(told["tables"].values())
    assert re.fullmatch(r"[0-9a-f]{32}", told["checksum"])
    assert (told["new_ids"], told["changed"], told["target"]) == (0, [], new)
    assert 0 < told["stopped_seconds"] < told["seconds"]


def test_on_a_terminal_it_asks_shows_where_it_stands_and_goes_on_after_ctrl_c(
    old: Store, new: str, tmp_path: Path
) -> None:
    line, environment = command(tmp_path, "copy", "--to", new)
    shown, answer = pty.openpty()
    with subprocess.Popen(line, env=environment, stdin=answer, stderr=answer, stdout=subprocess.PIPE) as process:
        os.close(answer)
        said = _read_until(shown, "[y/N]")
        assert "Move this installation's database to postgresql://" in said
        os.write(shown, b"y\n")
        said = _read_until(shown, "left")
        assert re.search(r"[\d,]+ events copied, [\d,]+ a second, [\d,]+ left", said), said
        process.send_signal(signal.SIGINT)
        assert "the same command again goes on" in _read_until(shown, "where this one was")
        process.wait(60)
    os.close(shown)
    assert process.returncode == 130
    old.record_heartbeat("web-01", "LINUX", utc_now())
    assert typed(tmp_path, "copy", "--to", new).returncode == 0


def _read_until(terminal: int, text: str) -> str:
    said = ""
    while text not in said:
        said += os.read(terminal, 4096).decode()
    return said


def test_who_says_no_moves_nothing(old: Store, new: str, tmp_path: Path) -> None:
    line, environment = command(tmp_path, "copy", "--to", new)
    shown, answer = pty.openpty()
    with subprocess.Popen(line, env=environment, stdin=answer, stderr=answer, stdout=subprocess.PIPE) as process:
        os.close(answer)
        _read_until(shown, "[y/N]")
        os.write(shown, b"n\n")
        assert "nothing was moved" in _read_until(shown, "moved")
        process.wait(60)
    os.close(shown)
    assert process.returncode == 1
    old.record_heartbeat("web-01", "LINUX", utc_now())


def test_a_target_that_holds_something_exits_with_2_and_one_that_differs_with_1(
    old: Store, new: str, tmp_path: Path
) -> None:
    import psycopg

    with closing(open_store(new)) as target:
        target.add_key("hash", "theirs", ["read"])
    refused = typed(tmp_path, "copy", "--to", new)
    assert (refused.returncode, "is not empty" in refused.stderr) == (2, True)
    with psycopg.connect(new, autocommit=True) as connection:
        connection.execute("DELETE FROM api_keys")
        # somebody who meddles
        connection.execute(
            "CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.severity = 5; RETURN NEW; END $$"
        )
        connection.execute(
            "CREATE TRIGGER meddle BEFORE INSERT ON logs FOR EACH ROW WHEN (NEW.id = 20000) EXECUTE FUNCTION meddle()"
        )
    differs = typed(tmp_path, "copy", "--to", new)
    assert (differs.returncode, differs.stdout) == (1, "")
    assert "block 1 of logs (ids 16384 to 32767) differs" in differs.stderr
    old.record_heartbeat("web-01", "LINUX", utc_now())


@pytest.mark.parametrize("url", ["mysql://u:hunter2@h/d", "postgresql://u:hunter2@[h/d", "sqlite:////tmp/other.db"])
def test_a_url_that_is_not_postgresqls_is_refused_without_its_password(url: str, tmp_path: Path) -> None:
    refused = typed(tmp_path, "copy", "--to", url)
    assert (refused.returncode, "--to: use postgresql://USER@HOST/NAME" in refused.stderr) == (2, True)
    assert "hunter2" not in refused.stderr


def test_an_ingestor_that_runs_refuses_what_comes_and_one_that_starts_ends(new: str) -> None:
    with running("embedded") as up:
        wait_until(lambda: up.host("test-box"), "this machine's own agent is heard")
        done = up.run("copy", "--to", new, "--json")
        assert done.returncode == 0, done.stderr
        log = up.home.path / "logs" / "ingest.log"
        wait_until(lambda: f"this database was moved to {new}" in log.read_text(), "the ingestor says so")
        ready = httpx.get(f"{up.url}/readyz")
        assert (ready.status_code, f"was moved to {new}" in ready.json()["parts"]["database"]) == (503, True)
        refused = up.run("ingest", "--unshared")
        assert (refused.returncode, f"was moved to {new}: set HEIMDALL_DATABASE_URL" in refused.stderr) == (2, True)
        up.stop()
        # what was not stored meanwhile is with the agent, and comes now
        up.environment["HEIMDALL_DATABASE_URL"] = new
        moved = json.loads(done.stdout)["tables"]["logs"]
        up.output.unlink()
        restarted = rfc3339(utc_now())
        up.start()
        wait_until(lambda: up.host("test-box")["last_seen"] > restarted, "it is heard again, and the same key lets in")
        with closing(open_store(new)) as store:
            assert len(store.events(EventFilter(), 1_000).events) >= moved
