"""A store in which every table has rows, and what a store answers: to compare two of them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Column, Double, Integer, LargeBinary, Table, func, insert, select
from store_samples import NOW, a_batch, an_event

from store import Beat, DeadLetter, EventFilter, FoundPattern, FoundScore, HeldVerdict, HostFilter, Store
from store.columns import Moment
from store.detections import Step
from store.found_alerts import Finding, Subject
from store.notices import Words
from store.silences import Silence
from store.tables import metadata

HOUR = timedelta(hours=1)
HOSTS = tuple(f"host-{number:02d}" for number in range(20))
ODD = "ä \U0001f600 tab\t newline\n return\r \\ \\N \\. quote\" ' \x01\x7f\b\f\v <b>"
KEY, SECRET_KEY = "hash-of-a-key", "hash-of-another"


def fill(store: Store, batches: int = 2) -> None:
    """Hosts with all that there is about them, and `batches` of 1,000 events; rows of whatever table is empty then."""
    for number in range(batches):
        events = [
            an_event(
                HOSTS[place % 20], raw_message=f"{place} {ODD}", severity=1 + place % 5, user=ODD if place % 7 else ""
            )
            for place in range(1_000)
        ]
        beats = [
            Beat(host, "LINUX", NOW - HOUR + number * HOUR / batches, number + 1, "b1", 60.0, 0, 0.1) for host in HOSTS
        ]
        dead = [DeadLetter("some/topic", "host-01", ODD, bytes(range(256)), 256)]
        store.write(a_batch(*events, at=NOW - HOUR + number * HOUR / batches, beats=beats, dead=dead))
    for host in HOSTS[:10]:
        store.record_info(host, '{"tags":["web","db"],"ä":"\\n"}', NOW)
    list(store.claim([HeldVerdict(host, "offline", "crashed", NOW, None, 0) for host in HOSTS[:5]], NOW))
    list(store.claim([HeldVerdict(host, "online", "", NOW + HOUR, None, 1) for host in HOSTS[:3]], NOW + HOUR))
    store.keep_scores([FoundScore(host, 80, '{"a": 0.1}') for host in HOSTS[:7]], NOW)
    store.keep_patterns([FoundPattern("together", HOSTS[:2], "go together", "{}")], NOW)
    _fill_what_people_do(store)
    for table in metadata.sorted_tables:
        with store.database.writing() as connection:
            if not connection.execute(select(func.count()).select_from(table)).scalar():
                connection.execute(insert(table), [_made(table, number) for number in range(3)])


def _fill_what_people_do(store: Store) -> None:
    store.add_key(KEY, "curl", ["agent", "read"], expires_at=NOW + HOUR)
    store.make_key(SECRET_KEY, "Schlüssel", ["read"], None, None, "local:eva")
    store.add_session("session", "eva", ["admin"], NOW + HOUR)
    store.add_login_link("link", "eva", NOW + HOUR)
    store.take_lease("ingestor", "somebody", NOW, 60, lambda _: False)
    store.publish_keeper_key(bytes(range(32)))
    store.add_token("token", "host-*", 3, NOW + HOUR, "local:eva", NOW, replaces=True)
    order = store.use_token("token", "host-01", "secret", b"\x00sealed\xff", NOW)
    assert order is not None
    store.finish_order(order, "it was\taway", NOW)
    store.revoke_host("host-01", "local:eva", NOW)
    store.silences.add(
        Silence(("host-*",), NOW, NOW + HOUR, kinds=("crashed",), reason=ODD.replace("\x01", "")), "eva", NOW
    )
    begun = store.detections.begin()
    subject = Subject("brute_force", ODD)
    store.detections.advance(
        begun, Step(begun, [Finding(subject, "host-02", 4, ODD, NOW, lasts=True)], [], {subject: "[1]"}), NOW
    )
    store.outbox.keep_channels(["ops"])
    store.outbox.add("ops", Words("opened", "two hosts", ODD), NOW)


def _made(table: Table, number: int) -> dict[str, Any]:
    return {column.name: _value(column, number) for column in table.columns}


def _value(column: Column[Any], number: int) -> object:
    if column.nullable and number == 1:
        return None
    if isinstance(column.type, Moment):
        return NOW + number * HOUR
    if isinstance(column.type, Double):
        return number / 3
    if isinstance(column.type, Integer):
        return number + 1
    if isinstance(column.type, LargeBinary):
        return bytes(range(256))
    return f"{ODD} {number}"


def answers(store: Store, now: datetime = NOW + HOUR) -> dict[str, Any]:
    """All that is asked of a store by those who look at it."""
    names = [host.hostname for host, _ in store.walk_status(60, now)]
    return {
        "hosts": list(store.walk_status(60, now)),
        "list": store.host_list.page(HostFilter(), "state", 100),
        "of each": [(store.get_info(one), store.read_outages(one, 10), store.read_beats(one, now)) for one in names],
        "hours": [store.read_beat_hours(one, None, now) for one in names],
        "events": all_events(store),
        "of a host": store.events(EventFilter(source_host="host-03", q="tab\t"), 1_000),
        "histogram": store.count_events(EventFilter(), now - 3 * HOUR, now, 60, now),
        "summary": store.read_summary(now),
        "verdicts": sorted(store.read_verdicts(), key=lambda one: one.source_host),
        "alerts": store.read_alerts(100),
        "keys": store.list_keys(),
        "session": store.find_session("session", NOW),
        "audit": store.audit(100),
        "dead": store.read_dead(100),
        "silences": store.silences.read(False, NOW),
        "orders": [store.read_order(1), store.read_orders()],
        "keeper": store.read_keeper_key(),
        "windows": store.detections.read_windows(),
        "score": [store.read_score(one) for one in names],
        "patterns": store.read_patterns("host-01"),
        "outbox": store.outbox.next_due("ops"),
    }


def all_events(store: Store) -> list[Any]:
    """Every event, last stored first."""
    found: list[Any] = []
    before: int | None = None
    while True:
        page = store.events(EventFilter(), 5_000, before)
        found += page.events
        if page.end is None:
            return found
        before = page.end
