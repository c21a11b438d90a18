"""What is read of the heartbeats' counts: a host's figures and hours, and the signals of all hosts at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, select

from store.beat_writes import read_counts
from store.beats import LATENCY_BUCKETS, hour_of
from store.database import Database, in_chunks
from store.host_list import HEARD, LAST_SEEN, join_heard
from store.rows import BeatFigures, BeatHour, Signal, latency_of
from store.tables import activity, beat_hours, beats, heartbeats, hosts

HOURS_DAYS = 14  # how long hours are kept; then they are added to their day
_LATENCY_PERIOD = timedelta(hours=24)


def read_beats(database: Database, host: str, now: datetime) -> BeatFigures | None:
    """The figures of `host`, `None` when it has sent no heartbeat. Latency is of the 24 hours before `now`."""
    with database.reading() as connection:
        row = connection.execute(select(beats).where(beats.c.source_host == host)).first()
        if row is None:
            return None
        hours = _read_hours(connection, row, now - _LATENCY_PERIOD)
    counts = read_counts(row)
    boot = counts.boot
    sent = counts.total + counts.lost
    latency_mean, latency_p95 = latency_of(hours)
    return BeatFigures(
        host, boot.boot if boot else None, counts.interval_s, counts.spool, counts.beat_at, counts.began_at,
        counts.total, counts.expected + counts.unsettled(), counts.lost, counts.lost / sent if boot and sent else None,
        latency_mean, latency_p95,
        None if counts.delay is None else counts.jitter, counts.skew, counts.boot_returns, counts.boot_returned_at,
    )  # fmt: skip


def read_beat_hours(database: Database, host: str, since: datetime | None, now: datetime) -> list[BeatHour]:
    """The hours of `host` that had heartbeats, from the one that `since` lies in, the open one last.

    Older hours than the 14 days before `now`, which `None` asks for, are in `beat_days` alone.
    """
    with database.reading() as connection:
        row = connection.execute(select(beats).where(beats.c.source_host == host)).first()
        if row is None:
            return []
        earliest = now - timedelta(days=HOURS_DAYS)
        return _read_hours(connection, row, earliest if since is None else max(since, earliest))


def _read_hours(connection: Connection, row: Row[Any], since: datetime) -> list[BeatHour]:
    """From the hour of `since` to the open one. Each is looked up by its key, which begins with the hour."""
    opened = read_counts(row).close_hour()
    first = hour_of(since)
    count = max(0, int((opened.hour - first) / timedelta(hours=1)))
    # the clock may have been far ahead once
    wanted = [first + timedelta(hours=ahead) for ahead in range(min(count, HOURS_DAYS * 24))]
    query = select(beat_hours).where(beat_hours.c.hour.in_(wanted), beat_hours.c.source_host == row.source_host)
    found = [_hour_of_row(hour) for hour in connection.execute(query.order_by(beat_hours.c.hour))] if wanted else []
    return [*found, opened] if opened.hour >= first else found


def _hour_of_row(row: Row[Any]) -> BeatHour:
    return BeatHour(
        row.source_host, row.hour, row.beats, row.expected, row.lost, row.latency_sum, [*row[-LATENCY_BUCKETS:]]
    )


def read_signals(database: Database, names: Iterable[str] | None = None) -> Iterator[Signal]:
    """The signals of every host that is known, by name; of `names`, those that are known, in no order."""
    if names is None:
        query = (
            select(hosts.c.source_host, LAST_SEEN, beats.c.beat_at, beats.c.interval_s, beats.c.boot)
            .select_from(join_heard().outerjoin(beats, beats.c.source_host == hosts.c.source_host))
            .where(HEARD)
            .order_by(hosts.c.source_host)
        )
        with database.reading() as connection:
            found = connection.execute(query).all()
        yield from map(Signal._make, found)
        return
    for chunk in in_chunks(sorted(set(names))):
        yield from _read_chunk(database, chunk)


def _read_chunk(database: Database, names: Sequence[str]) -> list[Signal]:
    heard = (
        select(
            heartbeats.c.source_host, heartbeats.c.last_seen, beats.c.beat_at, beats.c.interval_s, beats.c.boot
        )
        .select_from(heartbeats.outerjoin(beats, beats.c.source_host == heartbeats.c.source_host))
        .where(heartbeats.c.source_host.in_(names))
    )  # fmt: skip
    with database.reading() as connection:
        signals = {row.source_host: Signal._make(row) for row in connection.execute(heard)}
        # known from events of an old database alone
        silent = [name for name in names if name not in signals]
        if silent:
            stored = select(activity.c.source_host, activity.c.newest_stored_at)
            for host, stored_at in connection.execute(stored.where(activity.c.source_host.in_(silent))):
                signals[host] = Signal(host, stored_at, None, None, None)
    return [*signals.values()]
