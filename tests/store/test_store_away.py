"""A database that is away, locked or full is `Unavailable`, loses nothing, and is used again afterwards."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import event as sqlalchemy_event
from store_samples import NOW, a_batch, an_event

from core.errors import Unavailable
from store import EventFilter, Store, Written, open_store, sqlite


def every_call(store: Store) -> dict[str, Callable[[], object]]:
    return {
        "ping": store.ping,
        "write": lambda: store.write(a_batch(an_event())),
        "record_heartbeat": lambda: store.record_heartbeat("a", "LINUX", NOW),
        "record_info": lambda: store.record_info("a", "{}", NOW),
        "walk_status": lambda: list(store.walk_status(15, NOW)),
        "get_host": lambda: store.get_host("a"),
        "get_info": lambda: store.get_info("a"),
        "events": lambda: store.events(EventFilter(), 1),
        "events of a host": lambda: store.events(EventFilter(source_host="a"), 1),
        "get_event": lambda: store.get_event("00000000-0000-7000-8000-000000000000"),
        "add_key": lambda: store.add_key("h", "n", ("read",)),
        "find_key": lambda: store.find_key("h", NOW),
        "add_login_link": lambda: store.add_login_link("h", "n", NOW),
        "use_login_link": lambda: store.use_login_link("h", NOW),
        "add_session": lambda: store.add_session("h", "n", ("read",), NOW),
        "find_session": lambda: store.find_session("h", NOW),
        "end_session": lambda: store.end_session("h"),
        "take_lease": lambda: store.take_lease("i", "h", NOW, 30, lambda _: False),
        "renew_lease": lambda: store.renew_lease("i", 1, "h", NOW, 30),
        "release_lease": lambda: store.release_lease("i", 1, "h"),
    }


@pytest.mark.postgresql
def test_a_restart_of_postgresql_is_survived() -> None:
    from postgresql_server import database, server

    with database() as url:
        store = open_store(url)
        store.write(a_batch(an_event()))
        server().stop()
        try:
            for name, call in every_call(store).items():
                with pytest.raises(Unavailable, match="is unavailable"):
                    pytest.fail(f"{name} gave {call()!r}")
        finally:
            server().start()
        for call in every_call(store).values():
            call()
        assert len(store.events(EventFilter(), 10).events) == 2
        store.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "mini_siem.db"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    opened = open_store(f"sqlite:///{path}", checkpointer=True)
    yield opened
    opened.close()


def test_a_locked_database_is_unavailable_to_writers_and_open_to_readers(
    store: Store, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("store.database.Database.writing.__wrapped__.__defaults__", (0.02,))
    store.add_key("h", "curl", ("read",))
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Unavailable, match="database is locked"):
        store.write(a_batch(an_event()))
    assert store.events(EventFilter(), 1).events == []
    assert store.find_key("h", NOW) is not None
    other.execute("ROLLBACK")
    other.close()
    assert store.write(a_batch(an_event())) == Written(1, 0, 0)


def test_a_writer_waits_for_another_process_no_longer_than_that_one_needs(store: Store, path: Path) -> None:
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    written: list[Written] = []
    writer = threading.Thread(target=lambda: written.append(store.write(a_batch(an_event()))))
    writer.start()
    other.execute("COMMIT")
    other.close()
    writer.join(30)
    assert written == [Written(1, 0, 0)]


def test_a_full_disk_is_unavailable_and_a_batch_is_stored_whole_or_not_at_all(store: Store) -> None:
    def limit(connection: sqlite3.Connection, _: object) -> None:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages + 20}")

    store.database.writer.dispose()
    sqlalchemy_event.listen(store.database.writer, "connect", limit)
    events = [an_event(raw_message="x" * 1_000) for _ in range(500)]
    with pytest.raises(Unavailable, match="full"):
        store.write(a_batch(*events))
    assert store.events(EventFilter(), 10).events == []
    assert store.get_host("web-01") is None
    sqlalchemy_event.remove(store.database.writer, "connect", limit)
    assert store.write(a_batch(*events)) == Written(500, 0, 0)


def test_readers_do_not_block_the_writer(store: Store) -> None:
    with store.database.reading() as connection:
        connection.exec_driver_sql("SELECT count(*) FROM logs").all()
        assert store.write(a_batch(an_event())) == Written(1, 0, 0)
        assert connection.exec_driver_sql("SELECT count(*) FROM logs").scalar() == 0


def test_the_write_ahead_log_is_cut_once_a_long_reader_is_done(
    store: Store, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "_WAL_BYTES", 200_000)
    wal = Path(f"{path}-wal")
    with store.database.reading() as connection:
        connection.exec_driver_sql("SELECT count(*) FROM logs").all()
        monkeypatch.setattr(store.database, "checkpointer", False)
        store.write(a_batch(*(an_event() for _ in range(2_000))))
        monkeypatch.setattr(store.database, "checkpointer", True)
        assert wal.stat().st_size > 200_000
    store.write(a_batch(an_event()))
    assert wal.stat().st_size == 0


def test_only_the_checkpointer_carries_the_log_over(path: Path, store: Store) -> None:
    other = open_store(f"sqlite:///{path}")

    def pages(opened: Store) -> int:
        with opened.database.writing() as connection:
            return connection.exec_driver_sql("PRAGMA wal_autocheckpoint").scalar_one()

    assert pages(store) > 0
    assert pages(other) == 0
    other.close()


def test_a_file_that_cannot_be_made_is_unavailable() -> None:
    with pytest.raises(Unavailable, match="cannot be opened for writing"):
        open_store("sqlite:////proc/mini_siem.db")
