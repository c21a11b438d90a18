"""What was found in events is kept once, with how far they were read; and no event is passed over."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta

import pytest
from store_samples import NOW, a_batch, an_event
from waiting import wait_until

from store import Store, open_store
from store.detections import Step
from store.found_alerts import Finding, Subject

ATTACK = Subject("brute_force", "203.0.113.7")
FOUND = Finding(ATTACK, None, 4, "many failed logins, from 203.0.113.7", NOW, lasts=True)
MOMENT = Finding(Subject("port_scan", "203.0.113.7"), "web-01", 3, "a port scan, from 203.0.113.7", NOW, lasts=False)


def write(store: Store, *hosts: str) -> None:
    store.write(a_batch(*(an_event(host) for host in hosts)))


def read(store: Store, after: int, limit: int = 100) -> list[str]:
    return [event.source_host for event in store.detections.read_new(after, limit)]


def read_all(store: Store, after: int) -> list[str]:
    """What is settled once nobody writes any more."""
    return wait_until(lambda: read(store, after), "they are settled")


def test_rules_do_not_look_back_and_go_on_where_they_were(store: Store) -> None:
    write(store, "old")
    begun = store.detections.begin()
    assert read(store, begun) == []
    write(store, "web-01", "web-02", "web-03")
    assert read_all(store, begun) == ["web-01", "web-02", "web-03"]
    [first] = store.detections.read_new(begun, 1)
    assert store.detections.advance(begun, Step(first.id), NOW) == ([], [])
    assert store.detections.begin() == first.id
    assert read(store, first.id) == ["web-02", "web-03"]


@pytest.mark.parametrize("url", [pytest.param("postgresql", marks=pytest.mark.postgresql)], indirect=True)
def test_an_event_whose_transaction_lasts_is_waited_for(store: Store, url: str) -> None:
    begun = store.detections.begin()
    other = open_store(url)
    inside, go_on = threading.Event(), threading.Event()

    def write_slowly() -> None:
        insert = other.database.insert_events

        def insert_and_wait(*arguments):  # type: ignore[no-untyped-def]
            stored = insert(*arguments)
            inside.set()
            go_on.wait(60)
            return stored

        other.database.insert_events = insert_and_wait  # type: ignore[method-assign]
        write(other, "slow")

    slow = threading.Thread(target=write_slowly)
    slow.start()
    inside.wait(60)
    write(store, "quick")
    assert [read(store, begun) for _ in range(5)] == [[]] * 5, "its id is behind one that is not there yet"
    go_on.set()
    slow.join(60)
    other.close()
    assert read_all(store, begun) == ["slow", "quick"]


def test_of_two_who_have_read_the_same_one_keeps_what_it_found(store: Store) -> None:
    begun = store.detections.begin()
    step = Step(begun + 5, [FOUND], [], {ATTACK: "[1]"})
    opened, resolved = store.detections.advance(begun, step, NOW) or ([], [])
    assert [(one.kind, one.subject, one.severity, one.state) for one in opened] == [(*ATTACK, 4, "open")]
    assert resolved == []
    assert store.detections.advance(begun, step, NOW) is None
    assert store.read_open_alerts() == opened
    assert store.detections.read_windows() == {ATTACK: "[1]"}


def test_an_attack_has_one_alert_until_it_is_over_and_then_another(store: Store) -> None:
    begun = store.detections.begin()
    [first], _ = store.detections.advance(begun, Step(begun, [FOUND, FOUND]), NOW) or ([], [])
    assert store.detections.advance(begun, Step(begun, [FOUND]), NOW) == ([], [])
    later = NOW + timedelta(hours=1)
    opened, resolved = store.detections.advance(begun, Step(begun, [FOUND], [ATTACK]), later) or ([], [])
    assert resolved == [replace(first, state="resolved", resolved_at=later)]
    assert [one.since for one in opened] == [NOW]
    assert opened[0].incident != first.incident


def test_what_does_not_last_is_resolved_at_once(store: Store) -> None:
    begun = store.detections.begin()
    opened, _ = store.detections.advance(begun, Step(begun, [MOMENT, MOMENT]), NOW) or ([], [])
    assert [(one.state, one.opened_at, one.resolved_at) for one in opened] == [("resolved", NOW, NOW)] * 2
    assert store.read_open_alerts() == []
    assert store.read_alerts(10) == opened[::-1]


def test_what_is_found_together_by_one_rule_is_one_incident(store: Store) -> None:
    begun = store.detections.begin()
    others = [replace(FOUND, subject=Subject("brute_force", f"203.0.113.{number}")) for number in range(3)]
    opened, _ = store.detections.advance(begun, Step(begun, [*others, MOMENT]), NOW) or ([], [])
    assert len({one.incident for one in opened[:3]}) == 1
    assert len({one.incident for one in opened}) == 2


def test_windows_are_replaced_and_forgotten(store: Store) -> None:
    begun = store.detections.begin()
    other = Subject("brute_force", "ü\u202e'; --")
    store.detections.advance(begun, Step(begun, windows={ATTACK: "[1]", other: "[2]"}), NOW)
    store.detections.advance(begun, Step(begun, windows={ATTACK: None, other: "[3]"}), NOW)
    assert store.detections.read_windows() == {other: "[3]"}
