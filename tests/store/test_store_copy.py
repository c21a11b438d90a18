"""A database moves from SQLite to PostgreSQL: nothing is lost, doubled or changed on the way, whatever happens."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from full_store import HOSTS, KEY, all_events, answers, fill
from sqlalchemy import func, select
from sqlite_file import opened
from store_samples import NOW, a_batch, an_event
from waiting import wait_until

import store as store_package
from core.errors import Conflict, Invalid, Unavailable
from core.ids import ingested_id
from store import Store, WriteBatch, copying, open_store
from store.copy_target import CopyTarget, Differs
from store.copying import Copied, Progress, copy_database
from store.tables import BLOCK_ROWS, metadata

pytestmark = pytest.mark.postgresql

_COPY = """
import os, signal, sys
from store.copying import copy_database
pieces = 0
def tell(progress):
    global pieces
    pieces += progress.doing == "copy"
    if pieces == int(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)
copy_database(sys.argv[1], sys.argv[2], 90, tell)
"""


@pytest.fixture
def old(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'mini_siem.db'}"


@pytest.fixture
def source(old: str) -> Iterator[Store]:
    store = open_store(old, checkpointer=True)
    yield store
    store.close()


def copied(old: str, new: str, tell: Callable[[Progress], None] = lambda _: None) -> Copied:
    return copy_database(old, new, 90, tell)


def at_first(doing: str, act: Callable[[], object]) -> Callable[[Progress], None]:
    """Tells `act` once, when this begins to be done."""
    done: list[object] = []

    def tell(progress: Progress) -> None:
        if progress.doing == doing and not done:
            done.append(True)
            act()

    return tell


def stop() -> None:
    raise KeyboardInterrupt


def write_blocks(store: Store, blocks: float, host: str = "web-01") -> None:
    """So many blocks of events."""
    left = int(blocks * BLOCK_ROWS)
    while left > 0:
        store.write(a_batch(*[an_event(host, raw_message=f"{left} \\ \t{n}") for n in range(min(left, 4_096))]))
        left -= 4_096


def delete_events(store: Store, host: str) -> None:
    newest = store.forgetting.newest_event()
    while newest != -1:
        _, newest = store.forgetting.delete_events(host, newest)


def counts(store: Store) -> dict[str, int]:
    with store.database.reading() as connection:
        return {
            table.name: connection.execute(select(func.count()).select_from(table)).scalar_one()
            for table in metadata.sorted_tables
        }


def events_of(url: str) -> list[object]:
    store = open_store(url)
    found = all_events(store)
    store.close()
    return found


def change(url: str, statement: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        assert connection.execute(statement).rowcount > 0


def test_every_table_is_moved_and_the_store_answers_as_before(source: Store, old: str, new: str) -> None:
    fill(source, batches=20)
    asked, held = answers(source), counts(source)
    assert min(held.values()) > 0, held
    done = copied(old, new)
    assert (done.tables, done.changed, done.new_ids) == (held, {}, 0)
    target = open_store(new)
    assert counts(target) == held
    got = answers(target)
    for what, answer in asked.items():
        assert got[what] == answer, what
    assert target.find_key(KEY, NOW) is not None
    target.close()


def test_it_goes_on_in_postgresql_with_ids_behind_those_that_were_moved(source: Store, old: str, new: str) -> None:
    fill(source)
    newest = {name: _newest(source, name) for name in ("logs", "audit", "dead_letters", "outages", "keeper_orders")}
    copied(old, new)
    target = open_store(new)
    fill_again = target.write(a_batch(an_event("new-01")))
    assert (fill_again.stored, all_events(target)[0].id) == (1, newest["logs"] + 1)
    target.make_key("hash-of-a-third", "third", ["read"], None, None, "local:eva")
    target.revoke_host("host-01", "local:eva", NOW)
    assert _newest(target, "audit") > newest["audit"]
    assert target.get_host("new-01") is not None
    with pytest.raises(Unavailable, match="append-only"), target.database.writing() as connection:
        connection.exec_driver_sql("DELETE FROM audit")
    target.close()


def _newest(store: Store, table: str) -> int:
    with store.database.reading() as connection:
        return int(connection.exec_driver_sql(f"SELECT max(id) FROM {table}").scalar_one())


def test_what_is_stored_meanwhile_is_moved_and_what_comes_later_is_refused(source: Store, old: str, new: str) -> None:
    write_blocks(source, 2.5)
    stored: list[str] = []
    refused: list[str] = []

    def write() -> None:
        store = open_store(old)
        try:
            while True:
                batch = a_batch(*[an_event("busy") for _ in range(20)])
                store.write(batch)
                stored.extend(str(event.event_id) for event in batch.events)
        except Unavailable as error:
            refused.append(str(error))
        finally:
            store.close()

    writer = threading.Thread(target=write)
    writer.start()
    wait_until(lambda: stored)
    done = copied(old, new)
    writer.join(60)
    assert "this database was moved to postgresql://" in refused[0]
    assert "set HEIMDALL_DATABASE_URL" in refused[0]
    found = [event.event_id for event in events_of(new)]  # type: ignore[attr-defined]
    assert len(found) == len(set(found)) == done.tables["logs"]
    assert set(stored) <= set(found)
    assert len(found) == int(2.5 * BLOCK_ROWS) + len(stored), "nothing is there that was not said to be stored"


def test_a_copy_that_is_killed_between_pieces_goes_on_where_it_was(source: Store, old: str, new: str) -> None:
    write_blocks(source, 3.5)
    environment = os.environ | {"PYTHONPATH": str(Path(store_package.__file__).parents[1])}
    killed = subprocess.run(
        [sys.executable, "-c", _COPY, old, new, "2"], env=environment, capture_output=True, text=True, check=False
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    with pytest.raises(Invalid, match="a copy that has not ended"):
        open_store(new)
    write_blocks(source, 0.1, "later")
    pieces: list[Progress] = []
    copied(old, new, pieces.append)
    assert len([one for one in pieces if one.doing == "copy"]) == 2, "the one that was last is copied anew"
    assert events_of(new) == all_events(source)


def test_what_is_deleted_meanwhile_is_not_in_the_copy(source: Store, old: str, new: str) -> None:
    write_blocks(source, 1.2, "gone")
    write_blocks(source, 1.2, "kept")

    done = copied(old, new, at_first("check", lambda: delete_events(source, "gone")))
    assert done.tables["logs"] == int(1.2 * BLOCK_ROWS)
    assert events_of(new) == all_events(source)


def test_many_blocks_that_are_changed_meanwhile_are_copied_before_anybody_has_to_wait(
    source: Store, old: str, new: str
) -> None:
    for _ in range(5):
        write_blocks(source, 0.9, "kept")
        write_blocks(source, 0.1, "gone")
    told: list[Progress] = []
    forget = at_first("check", lambda: delete_events(source, "gone"))

    def tell(progress: Progress) -> None:
        told.append(progress)
        forget(progress)

    copied(old, new, tell)
    assert events_of(new) == all_events(source)
    compared = [one.rows for one in told[[one.doing for one in told].index("stop") :]]
    assert max(compared) <= 2 * BLOCK_ROWS


def test_ids_that_begin_anew_meanwhile_are_those_of_the_copy(source: Store, old: str, new: str) -> None:
    write_blocks(source, 2.2, "gone")

    def forget() -> None:
        delete_events(source, "gone")
        write_blocks(source, 1.1, "anew")

    copied(old, new, at_first("check", forget))
    found = events_of(new)
    assert found == all_events(source)
    assert {event.source_host for event in found} == {"anew"}  # type: ignore[attr-defined]


def test_a_target_with_rows_is_refused_and_keeps_them(source: Store, old: str, new: str) -> None:
    target = open_store(new)
    target.record_heartbeat("theirs", "LINUX", NOW)
    with pytest.raises(Invalid, match=r"is not empty, its table \w+ has rows"):
        copied(old, new)
    assert target.get_host("theirs") is not None
    target.close()
    source.record_heartbeat("web-01", "LINUX", NOW)


def test_a_target_with_part_of_another_copy_is_refused(source: Store, old: str, new: str, tmp_path: Path) -> None:
    write_blocks(source, 1.1)
    with pytest.raises(KeyboardInterrupt):
        copied(old, new, at_first("copy", stop))
    other = f"sqlite:///{tmp_path / 'other.db'}"
    open_store(other).close()
    with pytest.raises(Invalid, match="part of another copy"):
        copied(other, new)


def test_of_two_copies_into_one_database_one_is_refused(source: Store, old: str, new: str) -> None:
    write_blocks(source, 1.1)

    def copy_too() -> None:
        with pytest.raises(Conflict, match="another copy into database"):
            copied(old, new)

    copied(old, new, at_first("copy", copy_too))


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE logs SET raw_message = 'nothing to see here' WHERE id = 7",
        "UPDATE logs SET created_at = created_at + interval '1 microsecond' WHERE id = 7",
        "DELETE FROM logs WHERE id = 7",
        "UPDATE logs SET id = 8 WHERE id = 7",
    ],
)
def test_a_row_that_was_changed_in_the_target_is_found(source: Store, old: str, new: str, statement: str) -> None:
    write_blocks(source, 2.1)
    with pytest.raises(KeyboardInterrupt):
        copied(old, new, at_first("check", stop))
    change(new, statement)
    with pytest.raises(Differs, match=r"block 0 of logs \(ids 0 to 16383\) differs"):
        copied(old, new)
    source.write(a_batch(an_event()))  # it stays in use


def test_a_row_that_nobody_sent_is_found(source: Store, old: str, new: str) -> None:
    write_blocks(source, 1.1)
    with pytest.raises(KeyboardInterrupt):
        copied(old, new, at_first("copy", stop))
    columns = 'timestamp, source_host, os_type, event_type, severity, source_ip, "user", raw_message, created_at'
    change(
        new,
        f"INSERT INTO logs (id, event_id, {columns}) SELECT 1000000, gen_random_uuid(), {columns} FROM logs LIMIT 1",
    )
    with pytest.raises(Differs, match=r"16,384 rows in database .*, and 16,383 were sent"):
        copied(old, new)


@pytest.mark.parametrize("where", ["before the mark", "after the mark"])
def test_a_copy_that_is_killed_at_its_very_end_goes_on(
    source: Store, old: str, new: str, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(source)
    with monkeypatch.context() as patched:
        if where == "before the mark":
            patched.setattr(copying, "mark_moved", lambda *_: stop())
        else:
            patched.setattr(CopyTarget, "end", lambda _: stop())
        with pytest.raises(KeyboardInterrupt):
            copied(old, new)
    with pytest.raises(Invalid, match="a copy that has not ended"):
        open_store(new)
    if where == "before the mark":
        write_blocks(source, 1.5, "later")
        source.record_heartbeat("later", "LINUX", NOW)
    else:
        with pytest.raises(Unavailable, match="was moved to"):
            source.write(a_batch(an_event("later")))
    done = copied(old, new)
    assert done.tables == counts(source)
    target = open_store(new)
    assert all_events(target) == all_events(source)
    assert (target.get_host("later") is not None) == (where == "before the mark")
    target.close()


def test_whatever_would_change_a_database_that_was_moved_is_refused(source: Store, old: str, new: str) -> None:
    fill(source)
    copied(old, new)
    tries: list[Callable[[], object]] = [
        source.ping,
        lambda: source.write(a_batch(an_event())),
        lambda: source.record_heartbeat(HOSTS[0], "LINUX", NOW + timedelta(days=1)),
        lambda: source.add_key("hash", "name", ["read"]),
        lambda: source.revoke_key("curl", "local:eva"),
        lambda: source.take_lease("ingestor", "me", NOW, 60, lambda _: True),
        lambda: source.write(WriteBatch([], NOW, [], [])) and source.end_session("session"),
    ]
    for act in tries:
        with pytest.raises(Unavailable, match="was moved to postgresql://"):
            act()
    with pytest.raises(
        Invalid, match=r"was moved to postgresql://heimdall@127\.0\.0\.1:\d+/\w+: set HEIMDALL_DATABASE"
    ):
        open_store(old)
    with pytest.raises(Invalid, match=r"was moved to .* already"):
        copied(old, new)


def test_a_password_is_nowhere_in_what_is_said(source: Store, old: str, new: str) -> None:
    source.record_heartbeat("web-01", "LINUX", NOW)
    done = copied(old, new.replace("heimdall@", "heimdall:hunter2@"))
    with pytest.raises(Invalid) as refused:
        open_store(old)
    assert "hunter2" not in f"{done} {refused.value}"
    for wrong in ("mysql://u:hunter2@h/d", "postgresql://u:hunter2@[h/d", "postgresql://u:hunter2@h/d?nonsense=1"):
        with pytest.raises(Invalid, match="--to: use") as refused:
            copied(old, wrong)
        assert "hunter2" not in str(refused.value)


def test_what_there_is_not_is_not_moved(old: str, new: str) -> None:
    with pytest.raises(Invalid, match="does not exist"):
        copied(old, new)
    with pytest.raises(Invalid, match="is not SQLite"):
        copied(new, new)


def test_rows_of_the_http_version_keep_all_that_postgresql_can_hold_and_the_rest_is_named(
    tmp_path: Path, old: str, new: str
) -> None:
    time, uuid = "2025-12-03 20:49:50.123456", "7D9A1F0E-1111-4222-8333-444455556666"
    rows: list[tuple[object, ...]] = [
        (5, "ssh-1", time, "web-01", "LINUX", "LOGIN_FAIL", 3, "203.0.113.7", "root", "m", time),
        (6, uuid, time, "web-01", "linux", "LOGIN_FAIL", 3, None, b"ro\xc3\xb6t", 17, time),
        (7, uuid, time, "web-02", "LINUX", "LOGIN_FAIL", 3, "", "", "the same id", time),
        (8, "ssh-2", "yesterday", "web-01", "LINUX", "LOGIN_FAIL", 3, "", "", "no time", time),
        (9, "ssh-3", time, "web-01", "LINUX", "LOGIN_FAIL", "high", "", "", "no severity", time),
        (10, "ssh-4", time, "web-01", "LINUX", "LOGIN_FAIL", 3, "", "", b"no\xff text\0", time),
        (11, "ssh-5", "never", "web-01", "LINUX", "LOGIN_FAIL", 3, "", "", "no time at all", None),
        (5_000_000, "ssh-6", time, "web-01", "LINUX", "LOGIN_FAIL", 3, "", "", "far away", time),
    ]
    with opened(tmp_path / "mini_siem.db") as file:
        file.execute(
            "CREATE TABLE logs (id INTEGER PRIMARY KEY AUTOINCREMENT, event_id TEXT, timestamp TEXT, source_host TEXT,"
            " os_type TEXT, event_type TEXT, severity INTEGER, source_ip TEXT, user TEXT, raw_message TEXT,"
            " created_at TEXT)"
        )
        file.executemany("INSERT INTO logs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
    open_store(old).close()
    done = copied(old, new)
    assert (done.tables["logs"], done.new_ids) == (8, 7)
    assert done.changed == {
        "unreadable time": [2, 8, 11], "no severity": [1, 9], "a text holds NUL or no Unicode": [1, 10],
    }  # fmt: skip
    target = open_store(new)
    by_id = {event.id: event for event in all_events(target)}
    assert sorted(by_id) == [row[0] for row in rows]
    assert by_id[5].event_id == str(ingested_id("web-01", "ssh-1")), "what is sent again is known"
    assert by_id[5].timestamp == "2025-12-03T20:49:50.123456Z"
    assert (by_id[6].event_id, by_id[6].user, by_id[6].source_ip, by_id[6].raw_message) == (
        uuid.lower(),
        "roöt",
        "",
        "17",
    )
    assert by_id[7].event_id != by_id[6].event_id
    assert (by_id[8].timestamp, by_id[11].created_at) == (by_id[8].created_at, "1970-01-01T00:00:00.000000Z")
    assert (by_id[9].severity, by_id[10].raw_message) == (0, "no\ufffd text\ufffd")
    letters = {letter.reason: letter for letter in target.read_dead(100)}
    assert len(letters) == 4
    assert b"yesterday" in letters["unreadable time: row 8 of logs of the SQLite database"].payload
    target.close()
