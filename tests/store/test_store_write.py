"""What `Store.write` stores, counts and refuses, on both databases."""

from __future__ import annotations

import threading
from contextlib import closing
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from host_status import read_status
from sqlalchemy import select
from store_samples import NOW, a_batch, an_event, v7_at

from core.clock import rfc3339
from core.ids import stable_id
from store import Beat, DeadLetter, EventFilter, Store, Written, open_store
from store.tables import activity, dead_letters, heartbeats


def letters(store: Store) -> list[tuple]:
    columns = dead_letters.c
    query = select(columns.topic, columns.source_host, columns.reason, columns.size, columns.payload)
    with store.database.reading() as connection:
        return [tuple(row) for row in connection.execute(query.order_by(columns.id))]


def counted(store: Store) -> dict[str, tuple]:
    with store.database.reading() as connection:
        return {row.source_host: tuple(row)[1:] for row in connection.execute(select(activity))}


def test_an_event_is_stored_as_it_was_sent(store: Store) -> None:
    event = an_event(raw_message='Übung \t"x"\\N\n 漢字 \U0001f600', user="", timestamp=NOW - timedelta(hours=2))
    assert store.write(a_batch(event)) == Written(1, 0, 0)
    [stored] = store.events(EventFilter(), 10).events
    assert stored.event_id == str(event.event_id)
    assert stored.timestamp == rfc3339(event.timestamp)
    assert stored.created_at == rfc3339(NOW)
    assert (stored.source_host, stored.os_type, stored.event_type) == ("web-01", "LINUX", "LOGIN_FAIL")
    assert (stored.severity, stored.source_ip, stored.user) == (3, "203.0.113.7", "")
    assert stored.raw_message == event.raw_message


def test_an_empty_batch_changes_nothing(store: Store) -> None:
    assert store.write(a_batch()) == Written(0, 0, 0)
    assert store.events(EventFilter(), 10).events == []


def test_the_same_event_again_is_a_duplicate(store: Store) -> None:
    events = [an_event() for _ in range(3)]
    store.write(a_batch(*events))
    fresh = an_event()
    assert store.write(a_batch(events[1], fresh, events[2], at=NOW + timedelta(seconds=9))) == Written(1, 2, 0)
    found = {event.event_id for event in store.events(EventFilter(), 10).events}
    assert found == {str(event.event_id) for event in [*events, fresh]}
    assert counted(store)["web-01"][1] == 4
    assert letters(store) == []


def test_the_same_id_twice_in_a_batch_is_stored_once(store: Store) -> None:
    event = an_event()
    assert store.write(a_batch(event, an_event(), event)) == Written(2, 1, 0)
    assert counted(store)["web-01"][1] == 2


@pytest.mark.parametrize(
    "change",
    [
        {"raw_message": "other"},
        {"severity": 4},
        {"user": "root"},
        {"source_ip": "N/A"},
        {"os_type": "MACOS"},
        {"event_type": "LOGIN_SUCCESS"},
        {"host": "web-02"},
        {"timestamp": NOW + timedelta(microseconds=1)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_another_body_under_a_stored_id_is_a_conflict_and_the_first_stays(store: Store, change: dict) -> None:
    first = an_event()
    store.write(a_batch(first))
    other = an_event(event_id=first.event_id, **change)
    assert store.write(a_batch(an_event("db-01"), other)) == Written(1, 0, 1)
    stored = store.get_event(str(first.event_id))
    assert stored is not None
    assert (stored.source_host, stored.raw_message) == ("web-01", first.raw_message)
    [(topic, host, reason, size, payload)] = letters(store)
    assert topic == f"heimdall/v1/hosts/{other.source_host}/events"
    assert host == other.source_host
    assert reason.startswith("conflict: ")
    assert size == len(payload) > 0
    assert counted(store)["web-01"][1] == 1


def test_two_bodies_of_one_new_id_in_a_batch_conflict_and_the_first_is_stored(store: Store) -> None:
    first = an_event(raw_message="first")
    second = an_event(event_id=first.event_id, raw_message="second")
    assert store.write(a_batch(first, second, first)) == Written(1, 1, 1)
    stored = store.get_event(str(first.event_id))
    assert stored is not None
    assert stored.raw_message == "first"


def test_activity_counts_events_and_severities_per_host(store: Store) -> None:
    later = NOW + timedelta(minutes=5)
    store.write(a_batch(an_event(severity=1), an_event(severity=5, timestamp=later), an_event("db-01", severity=2)))
    store.write(a_batch(an_event(severity=5, timestamp=NOW - timedelta(days=3)), at=later))
    assert counted(store)["web-01"] == ("LINUX", 3, later, later, 1, 0, 0, 0, 2)
    assert counted(store)["db-01"] == ("LINUX", 1, NOW, NOW, 0, 1, 0, 0, 0)


def test_events_are_a_sign_of_life_of_their_host(store: Store) -> None:
    store.write(a_batch(an_event(timestamp=NOW - timedelta(days=40)), beats=[Beat("db-01", "MACOS", NOW)]))
    status = read_status(store, 15, NOW + timedelta(minutes=1))
    assert [(h.hostname, h.os_type, h.last_seen, h.total_events) for h in status.active] == [
        ("db-01", "MACOS", NOW, 0),
        ("web-01", "LINUX", NOW, 1),
    ]


def test_a_dead_letter_keeps_64_kib_of_its_payload(store: Store) -> None:
    letter = DeadLetter("heimdall/v1/hosts/web-01/events", None, "not JSON", b"\0\xff" * 50_000, 100_000)
    odd = DeadLetter("bad \0 topic \udcff", "h\0", "why \0", b"", 0)
    assert store.write(a_batch(dead=[letter, odd])) == Written(0, 0, 0)
    first, second = letters(store)
    assert first == (letter.topic, None, "not JSON", 100_000, letter.payload[:65_536])
    assert second[0].startswith("bad ")


@pytest.mark.parametrize("text", ["a\udcffb", "lone \ud800"])
def test_an_event_that_cannot_be_stored_does_not_harm_its_neighbours(store: Store, text: str) -> None:
    good = [an_event(), an_event()]
    assert store.write(a_batch(good[0], an_event(raw_message=text), good[1])) == Written(2, 0, 0)
    [(_, host, reason, _, payload)] = letters(store)
    assert host == "web-01"
    assert reason.startswith("not storable")
    assert payload
    assert counted(store)["web-01"][1] == 2


@pytest.mark.parametrize("days", [-91, -90, 0, 1, 2, 400])
def test_a_version_7_id_outside_the_days_kept_is_stored_under_an_id_made_of_it(store: Store, days: int) -> None:
    midnight = NOW.replace(hour=0, minute=0, second=0, microsecond=0)
    event_id = v7_at(midnight + timedelta(days=days, hours=days == 1 and 23.99), 5)
    event = an_event(event_id=event_id)
    assert store.write(a_batch(event)) == Written(1, 0, 0)
    assert store.write(a_batch(event)) == Written(0, 1, 0)
    [stored] = store.events(EventFilter(), 10).events
    kept = -90 <= days <= 1
    assert stored.event_id == str(event_id if kept else stable_id("late", str(event_id)))
    assert store.get_event(str(event_id)) == stored


def test_ids_of_other_versions_are_kept(store: Store) -> None:
    event = an_event(event_id=uuid4())
    store.write(a_batch(event))
    found = store.get_event(str(event.event_id).upper())
    assert found is not None
    assert found.event_id == str(event.event_id)


def test_a_large_batch_with_every_case_is_counted_exactly(store: Store) -> None:
    old = [an_event(f"host-{number % 7}") for number in range(2_500)]
    store.write(a_batch(*old))
    new = [an_event(f"host-{number % 7}") for number in range(2_500)]
    others = [an_event(e.source_host, e.event_id, raw_message="other") for e in old[:30]]
    assert store.write(a_batch(*old, *others, *new, *new[:10])) == Written(2_500, 2_510, 30)
    assert sum(row[1] for row in counted(store).values()) == 5_000
    assert len(letters(store)) == 30


def test_last_seen_never_goes_back(store: Store) -> None:
    store.record_heartbeat("web-01", "LINUX", NOW)
    store.record_heartbeat("web-01", "MACOS", NOW - timedelta(seconds=1))
    store.write(a_batch(an_event(os_type="FIREWALL"), at=NOW - timedelta(minutes=1)))
    host = store.get_host("web-01")
    assert host is not None
    assert (host.last_seen, host.os_type, host.total_events) == (NOW, "LINUX", 1)
    store.record_heartbeats([Beat("web-01", "MACOS", NOW + timedelta(1)), Beat("web-01", "LINUX", NOW)])
    host = store.get_host("web-01")
    assert host is not None
    assert (host.last_seen, host.os_type) == (NOW + timedelta(1), "MACOS")
    with store.database.reading() as connection:
        [row] = connection.execute(select(heartbeats)).all()
    assert row.updated_at is not None


def test_writers_in_threads_lose_nothing(store: Store) -> None:
    shared = [an_event(f"host-{number}") for number in range(200)]
    written: list[Written] = []

    def write(number: int) -> None:
        for start in range(0, 200, 50):
            own = [an_event(f"own-{number}") for _ in range(20)]
            chosen = shared[start : start + 50]
            written.append(store.write(a_batch(*(chosen if number % 2 else reversed(chosen)), *own)))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(w.stored for w in written) == 200 + 4 * 4 * 20
    assert sum(w.duplicates for w in written) == 3 * 200
    assert sum(row[1] for row in counted(store).values()) == 200 + 4 * 4 * 20
    assert {row[1] for host, row in counted(store).items() if host.startswith("host-")} == {1}


def test_a_naive_or_other_offset_is_stored_as_utc(store: Store) -> None:
    from datetime import timezone

    local = NOW.astimezone(timezone(timedelta(hours=5, minutes=30)))
    store.write(a_batch(an_event(timestamp=local), at=local))
    [stored] = store.events(EventFilter(), 1).events
    assert stored.timestamp == stored.created_at == rfc3339(NOW)


def test_times_at_the_ends_of_the_calendar_are_stored(store: Store) -> None:
    first, last = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)
    store.write(a_batch(an_event(timestamp=first), an_event(timestamp=last)))
    assert [e.timestamp for e in store.events(EventFilter(), 9).events] == [rfc3339(last), rfc3339(first)]


@pytest.mark.parametrize("host", ['a"b', "a\\b", 'a","b', "{}", "NULL", "a,b", "é", "a\x1fb"])
def test_a_host_is_kept_exactly_as_it_is_called(store: Store, host: str) -> None:
    store.write(a_batch(an_event(host), an_event("beside-it")))
    store.record_heartbeat(host, "LINUX", NOW)
    status = read_status(store, 15, NOW)
    assert sorted((found.hostname, found.total_events) for found in status.active) == sorted(
        [(host, 1), ("beside-it", 1)]
    )


@pytest.mark.postgresql
def test_an_event_that_the_database_refuses_for_a_reason_of_its_own_does_not_stop_its_neighbours() -> None:
    from postgresql_server import database

    with database() as url, closing(open_store(url)) as store:
        with store.database.writing() as connection:
            connection.exec_driver_sql("ALTER TABLE logs ALTER COLUMN raw_message TYPE varchar(40)")
        events = [an_event(f"web-{number}") for number in range(20)]
        long = [an_event("web-7", raw_message="x" * 41), an_event("web-8", raw_message="y" * 41)]
        earlier = DeadLetter("t", None, "came with the batch", b"", 0)
        written = store.write(a_batch(*events[:7], long[0], *events[7:], long[1], events[0], dead=[earlier]))
        assert (written.stored, written.duplicates, written.conflicts) == (20, 1, 0)
        assert written.letters[0] == earlier
        assert [letter.source_host for letter in written.letters[1:]] == ["web-7", "web-8"]
        assert all("too long" in letter.reason for letter in written.letters[1:])
        with store.database.reading() as connection:
            assert len(connection.execute(select(dead_letters)).all()) == 3
