"""Hosts: their signs of life, what they did, and which of them are alive."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, func, select

from core.clock import rfc3339, utc_now
from store.barred import Barred
from store.beat_writes import count_beats
from store.database import Database, EventRow, Unstorable
from store.host_list import HEARD, list_tags, read_row, select_hosts, split_tags
from store.rows import Beat, Host, KnownHost, WriteBatch
from store.tables import beats, heartbeats, host_info
from store.tables import hosts as listed
from store.upserts import upsert_row


def note_signs_of_life(database: Database, connection: Connection, batch: WriteBatch) -> None:
    """The batch's heartbeats, and its events as what they are too: a sign of life at `received_at`.

    What is older than what is stored changes nothing.
    """
    now = batch.received_at
    heard: dict[str, tuple[str, datetime]] = {event.source_host: (event.os_type, now) for event in batch.events}
    for beat in batch.beats:
        known = heard.get(beat.source_host)
        if known is None or beat.at >= known[1]:
            heard[beat.source_host] = (beat.os_type, beat.at)
    if not heard:
        return
    # most beats of a batch came in with one read, at one moment
    texts = {now: rfc3339(now)}
    rows = []
    # in the order of the names: two ingestors that lock the same rows must not wait for each other
    for host in sorted(heard):
        os_type, at = heard[host]
        if at not in texts:
            texts[at] = rfc3339(at)
        rows.append((host, os_type, texts[at], texts[now]))
    database.upsert(connection, "heartbeats", rows)


def count_events(database: Database, connection: Connection, rows: Sequence[EventRow]) -> None:
    """Add newly stored `rows` to their hosts' activity."""
    counted: dict[str, list[Any]] = {}
    for row in rows:
        entry = counted.get(row.source_host)
        if entry is None:
            counted[row.source_host] = entry = [row.os_type, 0, row.timestamp, row.created_at, 0, 0, 0, 0, 0]
        entry[1] += 1
        if row.timestamp > entry[2]:  # noqa: PLR1730 -- max() doubles the time of this loop
            entry[2] = row.timestamp
        entry[3 + row.severity] += 1
    if counted:
        database.upsert(connection, "activity", [(host, *counted[host]) for host in sorted(counted)])


def record_beats(database: Database, beats: Iterable[Beat]) -> None:
    """Record signs of life in a transaction of their own."""
    batch = WriteBatch([], utc_now(), beats=list(beats))
    with database.writing() as connection:
        note_signs_of_life(database, connection, batch)
        count_beats(database, connection, batch.beats)


def record_info(database: Database, host: str, info_json: str, at: datetime, barred: Barred) -> bool:
    """Keep what `host` says of itself, instead of what it said before; False when it is barred.

    Raises `Unstorable` when it is no JSON.
    """
    try:
        json.loads(info_json)
    except (ValueError, RecursionError) as error:
        raise Unstorable(f"info of {host!r:.80} is not JSON: {error}") from error
    values = {"source_host": host, "info": info_json, "updated_at": at}
    with database.writing() as connection:
        if host in barred.read(connection):
            return False
        connection.execute(upsert_row(connection, host_info, values))
        list_tags(connection, host, info_json)
        return True


def walk_status(database: Database, threshold_minutes: float, now: datetime) -> Iterator[tuple[Host, bool]]:
    """Every host that was ever heard, by name, and whether it is active: last seen at or after `now` − threshold.

    A heartbeat takes precedence; a host known from events alone is judged by when its newest was stored.
    """
    try:
        since = now - timedelta(minutes=threshold_minutes)
    except OverflowError:
        since = datetime.min.replace(tzinfo=now.tzinfo)
    with database.reading() as connection:
        for row in connection.execute(select_hosts().where(HEARD).order_by(listed.c.source_host)):
            host = read_row(row)
            yield host, host.last_seen is not None and host.last_seen >= since


def read_host(database: Database, name: str) -> Host | None:
    """The host `name`, or `None` when nothing is known of it; of one that was never heard `os_type` is ""."""
    with database.reading() as connection:
        row = connection.execute(select_hosts().where(listed.c.source_host == name)).first()
    return None if row is None else read_row(row)


def read_info(database: Database, name: str) -> str | None:
    """What the host `name` said of itself, as JSON, or `None`."""
    with database.reading() as connection:
        found: str | None = connection.execute(select(host_info.c.info).where(host_info.c.source_host == name)).scalar()
    return found


def read_new_hosts(database: Database, after: int) -> tuple[list[str], int]:
    """Hosts that were heard for the first time after the one with the row `after`, and the newest one's row."""
    query = select(heartbeats.c.source_host, heartbeats.c.id).where(heartbeats.c.id > after)
    with database.reading() as connection:
        rows = connection.execute(query).all()
        if not rows and (connection.execute(select(func.max(heartbeats.c.id))).scalar() or 0) < after:
            return [], 0  # all were forgotten, and ids begin anew
    return [row.source_host for row in rows], max((row.id for row in rows), default=after)


def read_known(database: Database) -> list[KnownHost]:
    """Every host that has sent a heartbeat, with its tags."""
    query = select(beats.c.source_host, beats.c.began_at, listed.c.tags).outerjoin(
        listed, listed.c.source_host == beats.c.source_host
    )
    with database.reading() as connection:
        return [KnownHost(host, began_at, split_tags(tags)) for host, began_at, tags in connection.execute(query)]
