"""Which hosts are alive, on both databases."""

from __future__ import annotations

from datetime import timedelta

import pytest
from host_status import read_status
from sqlalchemy import exists, insert, literal, select
from store_samples import NOW, a_batch, an_event

from core.errors import Invalid
from store import Host, Store
from store.tables import activity, hosts


def add_silent_host(store: Store, name: str, minutes_ago: float | None) -> None:
    """A host as an old database has it: events and no heartbeat."""
    counts = {f"severity_{level}": 0 for level in range(1, 6)}
    stored_at = None if minutes_ago is None else NOW - timedelta(minutes=minutes_ago)
    values = {"source_host": name, "os_type": "PIHOLE", "events": 7, "newest_stored_at": stored_at} | counts
    with store.database.writing() as connection:
        connection.execute(insert(activity).values(values))
        known = select(literal(name)).where(exists().where(hosts.c.source_host == name))
        if connection.execute(known).first() is None:  # as the migration of an old database lists it
            connection.execute(insert(hosts).values(source_host=name, os_type="PIHOLE", rank=7, tags=""))


def test_heartbeats_and_events_together_make_the_hosts(store: Store) -> None:
    store.record_heartbeat("beats-only", "LINUX", NOW)
    store.write(a_batch(an_event("both"), at=NOW - timedelta(hours=1)))
    add_silent_host(store, "events-only", 5)
    add_silent_host(store, "Events-Old", 50)
    add_silent_host(store, "no-time", None)
    status = read_status(store, 15, NOW)
    assert [(h.hostname, h.os_type, h.total_events) for h in status.active] == [
        ("beats-only", "LINUX", 0),
        ("events-only", "PIHOLE", 7),
    ]
    assert [h.hostname for h in status.inactive] == ["Events-Old", "both", "no-time"]
    assert status.inactive[2].last_seen is None


def test_a_heartbeat_takes_precedence_over_events(store: Store) -> None:
    store.record_heartbeat("web-01", "LINUX", NOW - timedelta(hours=1))
    add_silent_host(store, "web-01", 1)
    [host] = read_status(store, 15, NOW).inactive
    assert (host.os_type, host.last_seen, host.total_events) == ("LINUX", NOW - timedelta(hours=1), 7)
    assert store.get_host("web-01") == host


def test_the_threshold_moves_a_host_and_belongs_to_the_active_side(store: Store) -> None:
    store.record_heartbeat("web-01", "LINUX", NOW - timedelta(minutes=15))
    assert len(read_status(store, 15, NOW).active) == 1
    assert len(read_status(store, 15, NOW + timedelta(microseconds=1)).inactive) == 1
    assert len(read_status(store, 0.5, NOW).inactive) == 1
    assert len(read_status(store, 1e300, NOW).active) == 1


def test_names_that_differ_in_case_are_different_hosts(store: Store) -> None:
    store.record_heartbeat("WEB-01", "LINUX", NOW)
    store.record_heartbeat("web-01", "LINUX", NOW)
    assert [h.hostname for h in read_status(store, 1, NOW).active] == ["WEB-01", "web-01"]


def test_tags_come_from_what_the_host_says_of_itself(store: Store) -> None:
    told = {"a": '{"tags":["prod","db"]}', "b": '{"tags":"prod"}', "c": '{"tags":[1]}', "d": '["tags"]', "e": "{}"}
    for name, info in told.items():
        store.record_heartbeat(name, "LINUX", NOW)
        store.record_info(name, '{"tags":["old"]}', NOW)
        store.record_info(name, info, NOW)
    assert [h.tags for h in read_status(store, 1, NOW).active] == [["prod", "db"], [], [], [], []]
    assert store.get_info("a") == told["a"]


def test_what_was_never_heard_of_is_none(store: Store) -> None:
    store.record_info("told", "{}", NOW)
    assert store.get_host("nobody") is None
    assert store.get_host("told") == Host("told", "", None, 0, [])  # its own words are all that is known of it
    assert store.get_info("nobody") is None


def test_info_that_is_not_json_is_refused(store: Store) -> None:
    with pytest.raises(Invalid, match="not JSON"):
        store.record_info("web-01", "{", NOW)
