"""Old hours of heartbeats become days, each counted once, whatever happens to the roll-up midway."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta

import pytest
from sqlalchemy import func, insert, select
from store_samples import NOW

from core.errors import Unavailable
from store import Beat, Store, WriteBatch, open_store
from store import beat_days as roll_up
from store.tables import beat_days, beat_hours

TODAY = NOW.replace(hour=0, minute=0, second=0, microsecond=0)
HOSTS = [f"host-{number}" for number in range(5)]
SUMMED = ("beats", "expected", "lost", "latency_sum", "latency_1", "latency_8")


def fill(store: Store, days_ago: list[int]) -> None:
    rows = [
        {"hour": TODAY - timedelta(days=days, hours=-hour), "source_host": host, "beats": 60, "expected": 59.5}
        | {"lost": number - 1, "latency_sum": 0.25, **{f"latency_{bucket}": bucket for bucket in range(1, 9)}}
        for days in days_ago
        for hour in (0, 5, 23)
        for number, host in enumerate(HOSTS)
    ]
    with store.database.writing() as connection:
        connection.execute(insert(beat_hours), rows)


def sums(store: Store) -> list[float]:
    """Of all hours and days together: what no roll-up may change."""
    totals = [0.0] * len(SUMMED)
    with store.database.reading() as connection:
        for table in (beat_hours, beat_days):
            row = connection.execute(select(*(func.coalesce(func.sum(table.c[name]), 0) for name in SUMMED))).one()
            totals = [total + float(value) for total, value in zip(totals, row, strict=True)]
    return totals


def days_of(store: Store) -> list[tuple[datetime, str, int]]:
    with store.database.reading() as connection:
        return [
            tuple(row)
            for row in connection.execute(select(beat_days.c.day, beat_days.c.source_host, beat_days.c.beats))
        ]


@pytest.fixture(autouse=True)
def small_transactions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roll_up, "_HOSTS_PER_TRANSACTION", 2)


def test_hours_older_than_two_weeks_are_added_to_their_day_and_younger_ones_stay(store: Store) -> None:
    fill(store, [1, 13, 15, 16])
    before = sums(store)
    assert store.roll_up_beats(TODAY) == 2 * 3 * len(HOSTS)
    assert sums(store) == pytest.approx(before)
    assert sorted(days_of(store)) == [
        (TODAY - timedelta(days=days), host, 180) for days in (16, 15) for host in HOSTS
    ]  # fmt: skip
    assert store.roll_up_beats(TODAY) == 0


def test_an_hour_that_closes_late_is_added_to_the_day_that_is_there(store: Store) -> None:
    fill(store, [15])
    store.roll_up_beats(TODAY)
    fill(store, [15])
    store.roll_up_beats(TODAY)
    assert {beats for _, _, beats in days_of(store)} == {360}


def test_days_go_when_they_are_older_than_what_is_kept(store: Store) -> None:
    fill(store, [15, 89, 92])
    store.roll_up_beats(TODAY)
    assert {day for day, _, _ in days_of(store)} == {TODAY - timedelta(days=days) for days in (15, 89)}
    store.roll_up_beats(TODAY + timedelta(days=40))
    assert {day for day, _, _ in days_of(store)} == {TODAY - timedelta(days=15)}


def test_a_roll_up_that_ends_midway_has_counted_each_hour_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(store, [15, 16, 17])
    before = sums(store)
    add, calls = roll_up._add_to_day, 0

    def add_and_fail(*given: object) -> None:
        nonlocal calls
        add(*given)
        calls += 1
        if calls % 4 == 0:
            raise Unavailable("the database is away")

    monkeypatch.setattr(roll_up, "_add_to_day", add_and_fail)
    for _ in range(20):
        try:
            store.roll_up_beats(TODAY)
            break
        except Unavailable:
            assert sums(store) == pytest.approx(before)
    assert calls > 8
    assert sums(store) == pytest.approx(before)
    assert {beats for _, _, beats in days_of(store)} == {180}


def test_two_that_roll_up_at_once_while_hosts_beat_count_each_hour_once(url: str, store: Store) -> None:
    fill(store, list(range(15, 20)))
    before = sums(store)
    others = [open_store(url) for _ in range(2)]
    threads = [threading.Thread(target=other.roll_up_beats, args=(TODAY,)) for other in others]
    for thread in threads:
        thread.start()
    # each closes an hour that is to be rolled up as well: a host that was away since
    for minute in range(0, 600, 60):
        at = TODAY - timedelta(days=16) + timedelta(minutes=minute)
        store.write(WriteBatch([], NOW, [], [Beat(host, "LINUX", at) for host in HOSTS]))
    for thread in threads:
        thread.join()
    store.roll_up_beats(TODAY)
    assert sums(store)[0] == before[0] + 9 * len(HOSTS)
    for other in others:
        other.close()
