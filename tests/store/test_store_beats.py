"""What is counted about heartbeats, on both databases: what the fold says, in the transaction that records them."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select
from store_samples import NOW, a_batch, an_event

from store import Beat, DeadLetter, Store, open_store
from store.beat_writes import read_counts
from store.beats import Counts
from store.tables import beats

HOUR = NOW.replace(minute=0, second=0, microsecond=0)
HOSTS = ("alpha", "beta", "gamma")


def a_beat(seq: int | None, host: str = "alpha", minutes: float | None = None, **changes: Any) -> Beat:
    at = HOUR + timedelta(minutes=(seq or 0) if minutes is None else minutes)
    return Beat(host, "LINUX", at, **({"seq": seq, "boot": f"boot of {host}", "delay_seconds": 0.01} | changes))


def write(store: Store, *given: Beat) -> None:
    store.write(a_batch(beats=list(given), at=max(beat.at for beat in given)))


def stored(store: Store) -> dict[str, Counts]:
    with store.database.reading() as connection:
        return {row.source_host: read_counts(row) for row in connection.execute(select(beats))}


def close_to(counts: Counts) -> list[Any]:
    values = [getattr(counts, name) for name in Counts.__slots__]
    return [pytest.approx(value, abs=1e-6) if isinstance(value, float) else value for value in values]


def a_life(chance: random.Random, host: str) -> list[Beat]:
    """Beats as a network brings them: lost, late, repeated, of several boots, over hours, some that tell nothing."""
    made, minutes, seq, boot, interval = [], 0.0, 0, 0, 60.0
    for _ in range(chance.randint(1, 60)):
        minutes += chance.choice([0.01, 1, 1, 1, 1, 1, 20, 70])
        seq += chance.choice([1] * 12 + [2, 5, 100])
        if chance.random() < 0.05:
            seq, boot, interval = 0, boot + 1, chance.choice([30.0, 60.0])
        told = (None, None) if chance.random() < 0.1 else (seq, f'{boot} "\\{{}},')
        delay = None if chance.random() < 0.1 else chance.uniform(-1, 0.2)
        at = HOUR + timedelta(minutes=minutes)
        made.append(Beat(host, "LINUX", at, *told, interval, chance.choice([None, 0, 7]), delay))
    for _ in range(chance.randint(0, 8)):
        place = chance.randrange(len(made))
        made.insert(place, made[chance.randrange(len(made))])
    return made


@pytest.mark.parametrize("seed", range(6))
def test_however_beats_are_batched_the_rows_are_what_the_fold_of_all_says(store: Store, seed: int) -> None:
    chance = random.Random(seed)
    lives = {host: a_life(chance, host) for host in HOSTS}
    waiting = {host: list(life) for host, life in lives.items()}
    while any(waiting.values()):
        batch = []
        for host in chance.sample(HOSTS, len(HOSTS)):
            taken = chance.choice([0, 1, 1, 1, 3])
            batch += waiting[host][:taken]
            del waiting[host][:taken]
        if batch:
            write(store, *batch)
    for host, counts in stored(store).items():
        expected = Counts.begin(lives[host][0])
        hours = [hour for beat in lives[host] if (hour := expected.count(beat)) is not None]
        assert [getattr(counts, name) for name in Counts.__slots__] == close_to(expected)
        read = store.read_beat_hours(host, HOUR, NOW)
        assert [(hour.hour, hour.beats, hour.lost) for hour in read] == [
            (hour.hour, hour.beats, hour.lost) for hour in [*hours, expected.close_hour()]
        ]


def test_a_batch_that_is_written_twice_is_counted_once(store: Store) -> None:
    first = [a_beat(seq, host) for seq in range(20) for host in HOSTS]
    write(store, *first)
    once = stored(store)
    write(store, *first)
    write(store, *[a_beat(19, host) for host in HOSTS])
    assert stored(store) == once
    assert [counts.total for counts in once.values()] == [20] * 3


def test_the_next_beats_of_many_hosts_are_one_statement(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    hosts = [f"host-{number:04}" for number in range(2_500)]
    write(store, *[a_beat(0, host) for host in hosts])
    upserted = []
    upsert = store.database.upsert
    monkeypatch.setattr(store.database, "upsert", lambda *given: (upserted.append(given[1:]), upsert(*given)))
    write(store, *[a_beat(1, host) for host in hosts])
    assert [table for table, _ in upserted] == ["heartbeats"]
    write(store, *[a_beat(4 if host == "host-0007" else 2, host) for host in hosts])
    assert [(table, len(rows)) for table, rows in upserted[2:]] == [("beats", 1)]
    counted = stored(store)
    assert sum(counts.total for counts in counted.values()) == 3 * 2_500
    assert [host for host, counts in counted.items() if counts.lost] == ["host-0007"]


def test_ingestors_that_share_hosts_count_each_beat_once(url: str, store: Store) -> None:
    hosts = [f"host-{number:02}" for number in range(30)]
    stores = [open_store(url) for _ in range(3)]

    def write_share(number: int) -> None:
        # the hosts are new to all of them, and each beat comes to two
        for seq in range(30):
            if seq % 3 != number:
                write(stores[number], *[a_beat(seq, host) for host in random.sample(hosts, len(hosts))])

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(write_share, range(3)))
    assert {(counts.total, counts.lost) for counts in stored(store).values()} == {(30, 0)}
    assert len(stored(store)) == len(hosts)
    for one in stores:
        one.close()


def test_nothing_is_counted_of_a_batch_that_is_not_committed(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    write(store, a_beat(0), a_beat(1))
    before = stored(store)

    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("store.events.insert_dead_letters", fail)
    with pytest.raises(MemoryError):
        store.write(a_batch(beats=[a_beat(2), a_beat(9, "beta")], dead=[DeadLetter("t", "alpha", "r", b"", 0)]))
    assert stored(store) == before


def test_a_barred_host_counts_nothing(store: Store) -> None:
    write(store, a_beat(0), a_beat(0, "beta"))
    batch = a_batch(beats=[a_beat(1), a_beat(1, "beta"), a_beat(2)])
    batch.held_off = frozenset({"alpha"})
    assert store.write(batch).dropped == 2
    assert {host: counts.total for host, counts in stored(store).items()} == {"alpha": 1, "beta": 2}


def test_an_event_is_a_sign_of_life_and_no_heartbeat(store: Store) -> None:
    write(store, a_beat(0))
    later = HOUR + timedelta(minutes=30)
    store.write(a_batch(an_event("alpha"), an_event("silent"), at=later))
    signals = {signal.source_host: signal[1:] for signal in store.read_signals()}
    assert signals == {
        "alpha": (later, HOUR, 60.0, "boot of alpha"),
        "silent": (later, None, None, None),
    }
    wanted = ["nobody", "silent", "alpha", *(f"no-{number}" for number in range(2_100))]
    assert {signal.source_host: signal[1:] for signal in store.read_signals(wanted)} == signals


def test_the_figures_are_of_all_hours_and_latency_is_of_the_last_day(store: Store) -> None:
    assert store.read_beats("alpha", NOW) is None
    write(store, *[a_beat(seq, delay_seconds=-5.0 + 3 * (seq == 30)) for seq in range(60)])
    write(store, *[a_beat(seq, minutes=1500 + seq, delay_seconds=-5.0 + 0.2 * (seq > 90)) for seq in range(61, 100)])
    figures = store.read_beats("alpha", HOUR + timedelta(minutes=1600))
    assert figures is not None
    assert (figures.total, figures.lost, figures.loss) == (99, 1, 0.01)
    assert figures.expected == pytest.approx(1600)
    assert (figures.skew, figures.interval_s, figures.boot) == (-5.0, 60.0, "boot of alpha")
    assert figures.latency_mean == pytest.approx(9 * 0.2 / 39)
    assert 0.1 < figures.latency_p95 <= 0.25
    assert figures.boot_returned_at is None


@pytest.mark.postgresql
@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
def test_counting_a_heartbeat_changes_no_index(store: Store) -> None:
    for seq in range(20):
        write(store, *[a_beat(seq, f"host-{number:04}") for number in range(200)])
    store.close()  # a session's counts are told at its end
    query = "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'beats'"
    with store.database.reading() as connection:
        updated, hot = connection.exec_driver_sql(query).one()
    assert updated == 19 * 200
    assert hot > 0.9 * updated


def moments(store: Store) -> list[datetime]:
    return [counts.beat_at for counts in stored(store).values()]


def test_beat_at_never_goes_back(store: Store) -> None:
    write(store, a_beat(5))
    write(store, a_beat(3))
    write(store, a_beat(None, minutes=1, boot=None))
    assert moments(store) == [HOUR + timedelta(minutes=5)]
