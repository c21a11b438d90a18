"""A snapshot is one moment of a database, taken while others write; put into an empty database it is that database."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from store_samples import NOW, a_batch, an_event, v7_at

from core.errors import Conflict, Invalid, Unavailable
from store import Beat, EventFilter, Store, open_store, sqlite, sqlite_copy
from store.backup import open_snapshot, open_target
from store.migrations import HEAD, read_version, run_migrations
from store.postgres import PostgreSQL
from store.snapshot import Told, kind_of
from store.sqlite import SQLite

Parts = list[tuple[str, list[bytes]]]
TRICKY = "tab\t, line\n, backslash \\ and \\N, \u2028, é, 😀"


@pytest.fixture
def empty(url: str, tmp_path: Path) -> Iterator[str]:
    """Another, empty database of the same kind."""
    if kind_of(url) == "sqlite":
        yield f"sqlite:///{tmp_path / 'restored.db'}"
        return
    from postgresql_server import database

    with ExitStack() as stack:
        yield stack.enter_context(database())


def taken(url: str, tmp_path: Path, events: bool = True) -> tuple[Told, Parts]:
    scratch = tmp_path / "scratch"
    scratch.mkdir(exist_ok=True)
    with open_snapshot(url, scratch, events=events) as snapshot:
        parts = [(part.name, list(part.chunks)) for part in snapshot.take_parts(lambda _: None)]
    assert list(scratch.iterdir()) == []
    return snapshot.told, parts


def put(url: str, told: Told, parts: Parts) -> None:
    with open_target(url, told) as target:
        for name, chunks in parts:
            target.put(name, iter(chunks))
        target.finish()


def rows(opened: Store, query: str) -> list[tuple[Any, ...]]:
    with opened.database.reading() as connection:
        return [tuple(row) for row in connection.execute(text(query))]


def everything(opened: Store, told: Told) -> dict[str, list[str]]:
    return {
        table.name: sorted(map(repr, rows(opened, f'SELECT * FROM "{table.name}"')))
        for table in told.tables
        if table.name != "leases"
    }


def fill(store: Store) -> None:
    old = an_event("db-01", v7_at(NOW - timedelta(days=20)), raw_message=TRICKY)
    store.write(a_batch(*(an_event(f"web-{number % 7:02}") for number in range(3_000)), old))
    store.record_heartbeats([Beat("web-01", "LINUX", NOW), Beat("db-01", "PIHOLE", NOW)])
    store.make_key("ab" * 32, "curl", ["read"], None, None, "local:me")
    store.take_lease("ingestor", "somewhere", NOW, 60, lambda _: False)


def test_what_is_put_into_an_empty_database_is_what_was_taken(
    store: Store, url: str, empty: str, tmp_path: Path
) -> None:
    fill(store)
    told, parts = taken(url, tmp_path)
    put(empty, told, parts)
    assert (told.schema, {table.name: table.rows for table in told.tables}["logs"]) == (HEAD, 3_001)
    with closing(open_store(empty)) as restored:
        assert everything(restored, told) == everything(store, told)
        assert restored.take_lease("ingestor", "elsewhere", NOW, 60, lambda _: False) == 1
        # and it goes on: ids, triggers and what is unique
        assert restored.write(a_batch(an_event("new-01"))).stored == 1
        restored.record_heartbeat("new-01", "LINUX", NOW)
        assert rows(restored, "SELECT os_type FROM hosts WHERE source_host = 'new-01'") == [("LINUX",)]
        [newest] = restored.events(EventFilter(), 1).events
        assert (newest.source_host, newest.id) == ("new-01", 3_002)
        with pytest.raises((Invalid, Unavailable)), restored.database.writing() as connection:
            connection.exec_driver_sql("DELETE FROM audit")


def test_a_snapshot_taken_while_an_ingestor_writes_is_of_one_moment(
    store: Store, url: str, empty: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_copy, "_PAGES_PER_STEP", 4)
    stopping, written = threading.Event(), 0

    def ingest() -> None:
        nonlocal written
        while not stopping.is_set():
            events = [an_event(f"web-{number:02}") for number in range(50)]
            store.write(a_batch(*events, beats=[Beat("web-01", "LINUX", NOW)]))
            written += len(events)

    ingestor = threading.Thread(target=ingest)
    ingestor.start()
    try:
        while written < 1_000:
            pass
        before = written
        told, parts = taken(url, tmp_path)
        after = written
    finally:
        stopping.set()
        ingestor.join()
    put(empty, told, parts)
    with closing(open_store(empty)) as restored:
        [(count, distinct)] = rows(restored, "SELECT count(*), count(DISTINCT event_id) FROM logs")
        assert before <= count == distinct <= after + 50
        assert count % 50 == 0
        assert rows(restored, "SELECT sum(events) FROM activity") == [(count,)]
        assert rows(restored, "SELECT sum(events) FROM event_hours") == [(count,)]
        assert (
            rows(restored, "SELECT source_host FROM activity GROUP BY 1 HAVING sum(events) <> " + str(count // 50))
            == []
        )


def test_no_commit_waits_for_a_snapshot(
    store: Store, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "_WAL_BYTES", 100_000)
    monkeypatch.setattr(sqlite_copy, "_PAGES_PER_STEP", 16)
    fill(store)
    longest: list[float] = []

    def write_ten() -> None:
        for number in range(0 if longest else 10):
            # each of a day of its own, for which PostgreSQL needs a partition
            event = an_event(event_id=v7_at(NOW - timedelta(days=40 + number)))
            begun = time.monotonic()
            store.write(a_batch(event, at=NOW + timedelta(seconds=30 + number)))
            longest.append(time.monotonic() - begun)

    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with open_snapshot(url, scratch) as snapshot:
        # SQLite's is held while the file is copied, which is said; PostgreSQL's while rows are taken
        for part in snapshot.take_parts(lambda said: write_ten() if "copying the database" in said else None):
            first = next(part.chunks, b"")
            if part.name == "logs":
                write_ten()
            assert first or part.name != "logs"
            list(part.chunks)
    assert len(longest) == 10
    assert max(longest) < 3
    assert {table.name: table.rows for table in snapshot.told.tables}["logs"] == 3_001


def test_without_events_all_else_is_there_and_new_ones_are_read_by_the_rules(
    store: Store, url: str, empty: str, tmp_path: Path
) -> None:
    fill(store)
    assert store.detections.begin() == 3_001
    told, parts = taken(url, tmp_path, events=False)
    put(empty, told, parts)
    with closing(open_store(empty)) as restored:
        assert (told.events, rows(restored, "SELECT count(*) FROM logs")) == (False, [(0,)])
        assert restored.get_host("db-01").total_events == 1
        assert [key.name for key in restored.list_keys()] == ["curl"]
        read = restored.detections.begin()
        restored.write(a_batch(an_event("new-01")))
        assert [row[0] > read for row in rows(restored, "SELECT id FROM logs")] == [True]
        assert {name for name, _ in rows_of_schema(restored)} == {name for name, _ in rows_of_schema(store)}


def rows_of_schema(opened: Store) -> list[tuple[Any, ...]]:
    if isinstance(opened.database, SQLite):
        return rows(opened, "SELECT name, sql FROM sqlite_schema WHERE name <> 'sqlite_sequence'")
    return rows(
        opened, "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename !~ '[0-9]'"
    )


def test_a_snapshot_of_an_older_schema_is_brought_up_to_date(url: str, empty: str, tmp_path: Path) -> None:
    database = SQLite(url) if kind_of(url) == "sqlite" else PostgreSQL(url)
    with database.writing() as connection:
        run_migrations(connection, "0009")
        connection.exec_driver_sql(
            "INSERT INTO heartbeats (source_host, os_type, last_seen, updated_at)"
            " VALUES ('web-01', 'LINUX', '2025-12-03T20:49:50.123456Z', '2025-12-03T20:49:50.123456Z')"
        )
    told, parts = taken(url, tmp_path)
    with database.reading() as connection:
        assert read_version(connection) == told.schema == "0009"
    database.close()
    put(empty, told, parts)
    with closing(open_store(empty)) as restored:
        assert rows(restored, "SELECT source_host FROM hosts") == [("web-01",)]
        assert rows(restored, "SELECT version_num FROM schema_version") == [(HEAD,)]


def test_what_does_not_fit_is_refused_and_leaves_the_database_empty(
    store: Store, url: str, empty: str, tmp_path: Path
) -> None:
    fill(store)
    told, parts = taken(url, tmp_path)
    with pytest.raises(Conflict, match=r"is there already|is not empty"):
        put(url, told, parts)
    with pytest.raises(Invalid, match="newer than this Heimdall's"):
        put(empty, replace(told, schema="9999"), parts)
    with pytest.raises(Invalid, match=r"has a part|is not as in schema"):
        put(empty, told, [("pg_class", [b""])])
    with pytest.raises(Invalid, match=r"no database in it|no rows of the table"):
        put(empty, told, parts[:-1])
    wrong = [replace(table, rows=table.rows + 1) if table.name == "logs" else table for table in told.tables]
    with pytest.raises(Invalid, match="rows"):
        put(empty, replace(told, tables=wrong), parts)
    other = Told("postgresql" if told.kind == "sqlite" else "sqlite", HEAD, events=True)
    with pytest.raises(Invalid, match="`heimdall copy`"):
        put(empty, other, parts)
    # nothing of all that is there
    put(empty, told, parts)


def test_where_no_database_is_there_is_nothing_to_take(url: str, tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="nothing to back up"), open_snapshot(url, tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_newer_database_is_not_taken(store: Store, url: str, tmp_path: Path) -> None:
    with store.database.writing() as connection:
        connection.exec_driver_sql("UPDATE schema_version SET version_num = '9999'")
    with pytest.raises(Invalid, match="newer than this Heimdall's"):
        taken(url, tmp_path)
