"""Pages of events and their filters, on both databases."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select
from store_samples import NOW, a_batch, an_event

from core.errors import Invalid
from store import EventFilter, Store, StoredEvent
from store.queries import read_events
from store.tables import logs, segment


def messages(found: list[StoredEvent]) -> list[str]:
    return [event.raw_message for event in found]


def test_the_last_stored_come_first_page_by_page(store: Store) -> None:
    store.write(a_batch(*(an_event(f"host-{n % 3}", raw_message=str(n)) for n in range(20))))
    seen: list[str] = []
    before = None
    while page := store.events(EventFilter(), 6, before).events:
        seen += messages(page)
        before = page[-1].id
    assert seen == [str(n) for n in range(19, -1, -1)]


def test_one_hosts_events_are_found_among_others(store: Store) -> None:
    store.write(a_batch(*(an_event("rare" if n in (0, 399) else "often", raw_message=str(n)) for n in range(400))))
    assert messages(store.events(EventFilter(source_host="rare"), 50).events) == ["399", "0"]
    [newest] = store.events(EventFilter(source_host="rare"), 1).events
    assert messages(store.events(EventFilter(source_host="rare"), 50, before=newest.id).events) == ["0"]
    assert store.events(EventFilter(source_host="nobody"), 50).events == []


def test_a_hosts_events_are_found_across_segments(store: Store) -> None:
    store.write(a_batch(an_event("rare", raw_message="first"), an_event("often", raw_message="spacer")))
    with store.database.writing() as connection:
        # a gap in the ids, as rows of other hosts would leave it
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql(f"UPDATE logs SET id = {40 * 65_536} WHERE raw_message = 'spacer'")
        else:
            connection.exec_driver_sql(f"SELECT setval('logs_id_seq', {40 * 65_536})")
    store.write(a_batch(an_event("rare", raw_message="second")))
    found = read_events(store.database, EventFilter(source_host="rare"), 50, None, seconds=60.0)
    assert messages(found.events) == ["second", "first"]


def test_each_filter_finds_what_it_names(store: Store) -> None:
    store.write(a_batch(an_event("a", raw_message="one 100% x_y", severity=1)))
    store.write(a_batch(an_event("b", raw_message="TWO", severity=4, os_type="MACOS"), at=NOW + timedelta(hours=1)))
    other = an_event("c", raw_message="three", severity=5, event_type="PORT_SCAN", source_ip="2001:db8::1", user="Eve")
    other.timestamp = NOW + timedelta(days=1)
    store.write(a_batch(other, at=NOW + timedelta(hours=2)))

    def found(**wanted: object) -> list[str]:
        return messages(store.events(EventFilter(**wanted), 10).events)  # type: ignore[arg-type]

    assert found(source_host="b") == ["TWO"]
    assert found(event_type="port_scan") == ["three"]
    assert found(os_type="MACOS") == ["TWO"]
    assert found(source_ip="2001:db8::1") == ["three"]
    assert found(severity_gte=4) == ["three", "TWO"]
    assert found(q="two") == ["TWO"]
    assert found(q="eve") == ["three"]
    assert found(q="100% X_") == ["one 100% x_y"]
    assert found(q="1%x") == []
    assert found(since=NOW + timedelta(hours=1)) == ["three", "TWO"]
    assert found(until=NOW + timedelta(hours=1)) == ["one 100% x_y"]
    assert found(happened_since=NOW + timedelta(days=1)) == ["three"]
    assert found(happened_until=NOW + timedelta(days=1)) == ["TWO", "one 100% x_y"]
    assert found(source_host="a", severity_gte=2) == []
    store.write(a_batch(an_event("d", raw_message=r"C:\Temp\100_%"), at=NOW - timedelta(hours=1)))
    assert found(q="c:\\temp\\") == [r"C:\Temp\100_%"]
    assert found(q=r"\%") == []


def test_what_a_database_cannot_compare_is_refused(store: Store) -> None:
    with pytest.raises(Invalid, match="before"):
        store.events(EventFilter(), 5, 2**63)
    with pytest.raises(Invalid, match="severity_gte"):
        store.events(EventFilter(severity_gte=10**30), 5)
    with pytest.raises(Invalid, match="q holds"):
        store.events(EventFilter(q="a\0b"), 5)
    with pytest.raises(Invalid):
        store.events(EventFilter(q="\udcff"), 5)


def test_an_unknown_id_is_none(store: Store) -> None:
    assert store.get_event("00000000-0000-7000-8000-000000000000") is None
    assert store.get_event("box-failed-pwd-1") is None


def test_pages_are_found_by_an_index(store: Store) -> None:
    store.write(a_batch(*(an_event(f"host-{n % 50}") for n in range(500))))
    wanted = select(logs).order_by(logs.c.id.desc()).limit(5)
    one_host = wanted.where(segment.in_([0]), logs.c.source_host == "host-1")
    for query, sqlite_plan, index in (
        (wanted, "SCAN logs", "_id_idx"),
        (one_host, "USING INDEX logs_segment_host", "_expr_source_host_idx"),
    ):
        with store.database.reading() as connection:
            literal = str(query.compile(connection, compile_kwargs={"literal_binds": True}))
            if connection.dialect.name == "sqlite":
                plan = str(connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {literal}").all())
                assert sqlite_plan in plan
            else:
                connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
                plan = str(connection.exec_driver_sql(f"EXPLAIN {literal}".replace("%", "%%")).all())
                assert index in plan
