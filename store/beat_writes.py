"""Writing what is counted about heartbeats, in the transaction that records them as signs of life."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any

import msgspec
from sqlalchemy import Connection, select

from core.clock import rfc3339
from store.beats import LATENCY_BUCKETS, SHORTEST_INTERVAL_SECONDS, Boot, Counts
from store.database import Database, in_chunks
from store.rows import Beat, BeatHour
from store.tables import beats

_formers = msgspec.json.Decoder(list[Boot])


def count_beats(database: Database, connection: Connection, given: Iterable[Beat]) -> None:
    """Count `given`, in their order a host. A beat that was counted before counts nothing.

    1. The transaction holds the hosts' rows of `heartbeats` by now, which it has locked in the order of their names:
       so no other counts the same hosts.
    2. What is the next beat of its boot, as nearly all are, is counted by the database, without reading the row.
    3. The rows of the others are read, counted here and written.
    """
    single: dict[str, Beat] = {}
    others: dict[str, list[Beat]] = {}
    for beat in given:
        host = beat.source_host
        if host in others:
            others[host].append(beat)
        elif host in single:
            others[host] = [single.pop(host), beat]
        elif beat.seq and beat.delay_seconds is not None:
            single[host] = beat
        else:
            others[host] = [beat]
    if single:
        for host in database.advance_beats(connection, _next_rows(single)):
            others[host] = [single[host]]
    if others:
        _count_others(database, connection, others)


def _next_rows(single: Mapping[str, Beat]) -> list[tuple[Any, ...]]:
    rows = []
    at, text, hour = None, "", ""
    for host, beat in ((host, single[host]) for host in sorted(single)):
        # most beats of a batch came in with one read, at one moment
        if beat.at is not at:
            at, text = beat.at, rfc3339(beat.at)
            hour = f"{text[:13]}:00:00.000000Z"
        interval = beat.interval_s if beat.interval_s > SHORTEST_INTERVAL_SECONDS else SHORTEST_INTERVAL_SECONDS
        rows.append((host, beat.boot, beat.seq, text, beat.delay_seconds, interval, beat.spool, hour))
    return rows


def _count_others(database: Database, connection: Connection, by_host: Mapping[str, Sequence[Beat]]) -> None:
    names = sorted(by_host)
    known = {}
    for chunk in in_chunks(names):
        for row in connection.execute(select(beats).where(beats.c.source_host.in_(chunk))):
            known[row.source_host] = read_counts(row)
    counted: list[Counts] = []
    closed: list[BeatHour] = []
    for host in names:
        counts = known.get(host) or Counts.begin(by_host[host][0])
        hours = [counts.count(beat) for beat in by_host[host]]
        closed += [hour for hour in hours if hour is not None]
        counted.append(counts)
    as_text = cache(rfc3339)  # of the moments of a batch most are the same
    database.upsert(connection, "beats", [_row_of(counts, as_text) for counts in counted])
    # of one host two hours may close at once: each is a row of its own
    if closed:
        database.upsert(connection, "beat_hours", sorted(map(_hour_row_of, closed)))


def read_counts(row: Any) -> Counts:
    """What a row of `beats` says."""
    boot = None
    if row.boot is not None:
        boot = Boot(row.boot, row.seq, row.first_seq, row.seen, row.boot_began_at)
    return Counts(
        row.source_host, row.beat_at, row.began_at, row.expected_at, row.hour, row.interval_s, boot,
        _formers.decode(row.formers) if row.formers else [], row.boot_returns, row.boot_returned_at, row.spool,
        row.total, row.expected, row.lost, row.delay, row.skew, row.skew_low, row.jitter, row.hour_beats,
        row.hour_expected, row.hour_lost, row.hour_latency_sum, [*row[-LATENCY_BUCKETS:]],
    )  # fmt: skip


def _row_of(counts: Counts, as_text: Callable[[datetime], str]) -> tuple[Any, ...]:
    """In the order of the columns of `beats`."""
    boot = counts.boot
    told = (boot.boot, boot.seq, boot.first_seq, boot.seen, as_text(boot.began_at)) if boot else (None,) * 5
    formers = msgspec.json.encode(counts.formers).decode() if counts.formers else None
    returned_at = None if counts.boot_returned_at is None else as_text(counts.boot_returned_at)
    return (
        counts.source_host, *told, formers, counts.boot_returns, returned_at, counts.interval_s, counts.spool,
        as_text(counts.beat_at), as_text(counts.began_at), counts.total, counts.expected, as_text(counts.expected_at),
        counts.lost, counts.delay, counts.skew, counts.skew_low, counts.jitter, as_text(counts.hour),
        counts.hour_beats, counts.hour_expected, counts.hour_lost, counts.hour_latency_sum,
        *counts.hour_latency_counts,
    )  # fmt: skip


def _hour_row_of(hour: BeatHour) -> tuple[Any, ...]:
    return (
        rfc3339(hour.hour), hour.source_host, hour.beats, hour.expected, hour.lost, hour.latency_sum,
        *hour.latency_counts,
    )  # fmt: skip
