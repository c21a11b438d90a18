"""The caps of the dead letters, on both databases: a flood of garbage costs the newest garbage nothing."""

from __future__ import annotations

import logging
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import event, func, select
from store_samples import NOW, a_batch, an_event

from store import DeadLetter, Store, open_store
from store.dead_letters import MAX_BYTES, MAX_ROWS, Cap
from store.tables import dead_letters, logs


def a_letter(number: int = 0, size: int = 10) -> DeadLetter:
    return DeadLetter("heimdall/v1/hosts/web-01/events", "web-01", f"refused {number}", b"x" * size, size)


def with_caps(store: Store, rows: int = MAX_ROWS, size: int = MAX_BYTES, keep_days: int = 90) -> Store:
    store._cap = Cap(store.database, keep_days, rows, size)
    return store


def kept(store: Store) -> list[str]:
    with store.database.reading() as connection:
        return list(connection.execute(select(dead_letters.c.reason).order_by(dead_letters.c.id)).scalars())


def size_of(store: Store) -> int:
    with store.database.reading() as connection:
        return connection.execute(select(func.coalesce(func.sum(func.length(dead_letters.c.payload)), 0))).scalar_one()


def stored_events(store: Store) -> int:
    with store.database.reading() as connection:
        return connection.execute(select(func.count()).select_from(logs)).scalar_one()


def test_a_flood_keeps_the_newest_rows_and_the_events_beside_it_are_stored(store: Store) -> None:
    with_caps(store, rows=1_000)
    for number in range(0, 5_000, 50):
        letters = [a_letter(number + place) for place in range(50)]
        assert store.write(a_batch(an_event(), dead=letters)).stored == 1
        reasons = kept(store)
        assert len(reasons) <= 1_000
        assert reasons == [f"refused {n}" for n in range(number + 50 - len(reasons), number + 50)]
    assert len(kept(store)) >= 800
    assert stored_events(store) == 100


def test_a_flood_of_large_payloads_keeps_the_newest_bytes(store: Store) -> None:
    with_caps(store, size=10 * 2**20)
    for number in range(0, 300, 5):
        store.write(a_batch(an_event(), dead=[a_letter(number + place, 100_000) for place in range(5)]))
        assert size_of(store) <= 10 * 2**20
    reasons = kept(store)
    assert reasons == [f"refused {n}" for n in range(300 - len(reasons), 300)]
    assert size_of(store) >= 7 * 2**20
    assert stored_events(store) == 60


def test_one_large_batch_is_cut_to_the_cap_at_once(store: Store) -> None:
    with_caps(store, rows=1_000)
    store.write(a_batch(dead=[a_letter(number) for number in range(6_000)]))
    assert kept(store) == [f"refused {n}" for n in range(5_200, 6_000)]


def test_conflicts_count_as_dead_letters_too(store: Store) -> None:
    with_caps(store, rows=100)
    first = an_event()
    store.write(a_batch(first))
    for number in range(300):
        assert store.write(a_batch(an_event(event_id=first.event_id, raw_message=f"{number}"))).conflicts == 1
        assert len(kept(store)) <= 100


def test_what_is_older_than_events_are_kept_goes_though_nothing_new_is_refused(store: Store) -> None:
    with_caps(store, keep_days=10)
    for days in (30, 11, 10, 9, 0):
        with_caps(store, keep_days=1_000).write(a_batch(at=NOW - timedelta(days=days), dead=[a_letter(days)]))
    with_caps(store, keep_days=10).write(a_batch(an_event()))
    assert kept(store) == ["refused 10", "refused 9", "refused 0"]
    store.write(a_batch(an_event(), at=NOW + timedelta(minutes=59)))
    assert len(kept(store)) == 3, "not looked at again within an hour"
    store.write(a_batch(an_event(), at=NOW + timedelta(minutes=61)))
    assert kept(store) == ["refused 9", "refused 0"]


def test_the_table_is_not_counted_at_every_batch(store: Store) -> None:
    counted: list[str] = []

    @event.listens_for(store.database.reader, "before_cursor_execute")
    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if "count(" in statement and "dead_letters" in statement:
            counted.append(statement)

    for number in range(0, 4_000, 20):
        store.write(a_batch(dead=[a_letter(number + place) for place in range(20)]))
    assert len(counted) == 1 + 1, "at the first batch, and when a fiftieth of 100,000 had come"


def test_many_ingestors_cap_at_once_without_a_deadlock(
    store: Store, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    def flood(number: int) -> None:
        with closing(with_caps(open_store(url), rows=500)) as own:
            for batch in range(60):
                letters = [a_letter(batch, 1_000) for _ in range(25)]
                assert own.write(a_batch(an_event(f"host-{number}"), dead=letters)).stored == 1

    with caplog.at_level(logging.WARNING), ThreadPoolExecutor() as threads:
        list(threads.map(flood, range(5)))  # raises what a thread has raised
    assert [record.message for record in caplog.records] == []
    with_caps(store, rows=500).write(a_batch())
    assert 400 <= len(kept(store)) <= 500
    assert stored_events(store) == 5 * 60


def test_a_file_that_is_locked_when_it_is_time_to_trim_harms_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with closing(open_store(f"sqlite:///{tmp_path / 'x.db'}")) as store:
        store.write(a_batch(dead=[a_letter(number) for number in range(100)]))
        cap = Cap(store.database, 90, max_rows=10)
        with closing(sqlite3.connect(tmp_path / "x.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with caplog.at_level(logging.WARNING):
                cap.hold([], NOW)
            other.execute("ROLLBACK")
        assert "not trimmed" in caplog.text
        assert len(kept(store)) == 100
        cap.hold([a_letter()], NOW)
        assert len(kept(store)) == 8
