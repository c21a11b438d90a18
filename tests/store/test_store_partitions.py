"""PostgreSQL: `logs` has a partition a day, made before it is needed, and rows of other ids stand in no one's way."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from store_samples import NOW, a_batch, an_event, v7_at

from core.errors import Unavailable
from store import EventFilter, Store, Written, open_store, partitions
from store.partitions import first_id, partition_name

pytestmark = pytest.mark.postgresql

TODAY = NOW.date()


@pytest.fixture
def url() -> Iterator[str]:
    from postgresql_server import database

    with database() as fresh:
        yield fresh


def rows_of(store: Store, table: str) -> int:
    with store.database.reading() as connection:
        return connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar_one()


def partition_names(store: Store) -> set[str]:
    with store.database.reading() as connection:
        found = connection.exec_driver_sql(
            "SELECT inhrelid::regclass::text FROM pg_inherits i JOIN pg_class c"
            " ON c.oid = i.inhrelid WHERE relkind = 'r'"
        )
        return set(found.scalars())


def test_a_write_makes_its_days_and_the_next_two(store: Store) -> None:
    old = NOW - timedelta(days=40)
    store.write(a_batch(an_event(), an_event(event_id=v7_at(old))))
    days = {partition_name(TODAY + timedelta(days=ahead)) for ahead in range(3)}
    assert partition_names(store) == {*days, partition_name(old.date()), "logs_default"}
    assert rows_of(store, partition_name(TODAY)) == rows_of(store, partition_name(old.date())) == 1
    assert rows_of(store, "logs_default") == 0


def test_other_ids_lie_in_the_default_partition(store: Store) -> None:
    far = an_event(event_id=v7_at(NOW + timedelta(days=3)))
    store.write(a_batch(an_event(event_id=uuid4()), far))
    assert rows_of(store, "logs_default") == 2


def test_rows_of_the_day_leave_the_default_partition_when_its_own_is_made(store: Store) -> None:
    tomorrow = TODAY + timedelta(days=1)
    ids = [first_id(tomorrow), UUID(int=first_id(tomorrow + timedelta(days=1)).int - 1)]
    others = [UUID(int=ids[0].int - 1), first_id(tomorrow + timedelta(days=1))]
    with store.database.writing() as connection:
        for number, event_id in enumerate([*ids, *others]):
            connection.exec_driver_sql(
                "INSERT INTO logs (event_id, timestamp, source_host, os_type, event_type, severity, source_ip,"
                " \"user\", raw_message, created_at) VALUES (%s, now(), %s, '', '', 1, '', '', '', now())",
                (event_id, f"host-{number}"),
            )
    store.database._partitions.make({tomorrow})
    assert rows_of(store, partition_name(tomorrow)) == 2
    assert rows_of(store, "logs_default") == 2
    assert len(store.events(EventFilter(), 10).events) == 4


def test_partitions_are_found_again_by_another_process(store: Store, url: str) -> None:
    store.write(a_batch(an_event()))
    other = open_store(url)
    assert other.write(a_batch(an_event())) == Written(1, 0, 0)
    other.close()
    assert rows_of(store, partition_name(TODAY)) == 2


def test_a_reader_of_the_default_partition_delays_the_partition_alone(store: Store) -> None:
    reading, finish = threading.Event(), threading.Event()

    def read() -> None:
        with store.database.reading() as connection:
            connection.exec_driver_sql("SELECT count(*) FROM logs")
            reading.set()
            finish.wait(30)

    reader = threading.Thread(target=read)
    reader.start()
    reading.wait(30)
    written: list[Written] = []
    writer = threading.Thread(target=lambda: written.append(store.write(a_batch(an_event()))))
    writer.start()
    assert store.events(EventFilter(), 1).events == []  # others go on reading meanwhile
    finish.set()
    writer.join(60)
    reader.join(60)
    assert written == [Written(1, 0, 0)]


def test_without_a_lock_nothing_is_written(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partitions, "_ATTEMPTS", 2)
    event = an_event()
    with store.database.reading() as connection:
        connection.exec_driver_sql("SELECT count(*) FROM logs")
        with pytest.raises(Unavailable, match="no lock to make the partition"):
            store.write(a_batch(event))
    assert store.events(EventFilter(), 1).events == []
    assert store.write(a_batch(event)) == Written(1, 0, 0)


def test_ingestors_that_make_the_same_days_at_once_all_succeed(url: str) -> None:
    stores = [open_store(url) for _ in range(4)]
    written: list[Written] = []
    threads = [
        threading.Thread(
            target=lambda s=s: written.append(
                s.write(a_batch(*(an_event(event_id=v7_at(NOW - timedelta(days=d), id(s))) for d in range(4))))
            )
        )
        for s in stores
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert written == [Written(4, 0, 0)] * 4
    assert rows_of(stores[0], "logs_default") == 0
    for store in stores:
        store.close()


def test_heartbeats_are_updated_in_place(store: Store) -> None:
    store.record_heartbeat("web-01", "LINUX", NOW)
    for second in range(1, 50):
        store.record_heartbeat("web-01", "LINUX", NOW + timedelta(seconds=second))
    store.close()
    with store.database.reading() as connection:
        statement = "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'heartbeats'"
        updates, hot = connection.exec_driver_sql(statement).one()
    assert updates == hot


def test_ids_of_a_clock_that_is_ahead_keep_no_later_partition_from_being_made(store: Store) -> None:
    ahead = [an_event(event_id=v7_at(NOW + timedelta(days=days), days)) for days in range(6)]
    assert store.write(a_batch(*ahead)) == Written(6, 0, 0)
    for days in range(1, 6):
        day = NOW + timedelta(days=days)
        assert store.write(a_batch(an_event(event_id=v7_at(day)), at=day)) == Written(1, 0, 0)
        assert partition_name(day.date()) in partition_names(store)
    assert len(store.events(EventFilter(), 20).events) == 11
