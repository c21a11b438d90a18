"""Which hosts are alive, on both databases."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import insert
from store_samples import NOW, a_batch, an_event

from core.errors import Invalid
from store import Host, Store
from store.tables import activity


@pytest.fixture(params=[True, False], ids=["full join", "union all"])
def joined(request: pytest.FixtureRequest, store: Store) -> Store:
    # a SQLite older than 3.39 knows the second form alone
    store.database.full_join = request.param and store.database.full_join
    return store


def add_silent_host(store: Store, name: str, minutes_ago: float | None) -> None:
    """A host as an old database has it: events and no heartbeat."""
    counts = {f"severity_{level}": 0 for level in range(1, 6)}
    stored_at = None if minutes_ago is None else NOW - timedelta(minutes=minutes_ago)
    values = {"source_host": name, "os_type": "PIHOLE", "events": 7, "newest_stored_at": stored_at} | counts
    with store.database.writing() as connection:
        connection.execute(insert(activity).values(values))


def test_heartbeats_and_events_together_make_the_hosts(joined: Store) -> None:
    joined.record_heartbeat("beats-only", "LINUX", NOW)
    joined.write(a_batch(an_event("both"), at=NOW - timedelta(hours=1)))
    add_silent_host(joined, "events-only", 5)
    add_silent_host(joined, "Events-Old", 50)
    add_silent_host(joined, "no-time", None)
    status = joined.get_host_status(15, NOW)
    assert [(h.hostname, h.os_type, h.total_events) for h in status.active] == [
        ("beats-only", "LINUX", 0),
        ("events-only", "PIHOLE", 7),
    ]
    assert [h.hostname for h in status.inactive] == ["Events-Old", "both", "no-time"]
    assert status.inactive[2].last_seen is None


def test_a_heartbeat_takes_precedence_over_events(joined: Store) -> None:
    joined.record_heartbeat("web-01", "LINUX", NOW - timedelta(hours=1))
    add_silent_host(joined, "web-01", 1)
    [host] = joined.get_host_status(15, NOW).inactive
    assert (host.os_type, host.last_seen, host.total_events) == ("LINUX", NOW - timedelta(hours=1), 7)
    assert joined.get_host("web-01") == host


def test_the_threshold_moves_a_host_and_belongs_to_the_active_side(joined: Store) -> None:
    joined.record_heartbeat("web-01", "LINUX", NOW - timedelta(minutes=15))
    assert len(joined.get_host_status(15, NOW).active) == 1
    assert len(joined.get_host_status(15, NOW + timedelta(microseconds=1)).inactive) == 1
    assert len(joined.get_host_status(0.5, NOW).inactive) == 1
    assert len(joined.get_host_status(1e300, NOW).active) == 1


def test_names_that_differ_in_case_are_different_hosts(joined: Store) -> None:
    joined.record_heartbeat("WEB-01", "LINUX", NOW)
    joined.record_heartbeat("web-01", "LINUX", NOW)
    assert [h.hostname for h in joined.get_host_status(1, NOW).active] == ["WEB-01", "web-01"]


def test_tags_come_from_what_the_host_says_of_itself(joined: Store) -> None:
    told = {"a": '{"tags":["prod","db"]}', "b": '{"tags":"prod"}', "c": '{"tags":[1]}', "d": '["tags"]', "e": "{}"}
    for name, info in told.items():
        joined.record_heartbeat(name, "LINUX", NOW)
        joined.record_info(name, '{"tags":["old"]}', NOW)
        joined.record_info(name, info, NOW)
    assert [h.tags for h in joined.get_host_status(1, NOW).active] == [["prod", "db"], [], [], [], []]
    assert joined.get_info("a") == told["a"]


def test_what_was_never_heard_of_is_none(store: Store) -> None:
    store.record_info("told", "{}", NOW)
    assert store.get_host("nobody") is None
    assert store.get_host("told") == Host("told", "", None, 0, [])  # its own words are all that is known of it
    assert store.get_info("nobody") is None


def test_info_that_is_not_json_is_refused(store: Store) -> None:
    with pytest.raises(Invalid, match="not JSON"):
        store.record_info("web-01", "{", NOW)
