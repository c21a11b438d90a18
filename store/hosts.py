"""Hosts: their signs of life, what they did, and which of them are alive."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, FromClause, Select, exists, func, literal, select, union_all

from core.clock import rfc3339, utc_now
from store.barred import Barred
from store.beat_writes import count_beats
from store.database import Database, EventRow, Unstorable
from store.host_list import list_tags, split_tags
from store.rows import Beat, Host, HostStatus, KnownHost, WriteBatch
from store.tables import activity, beats, heartbeats, host_info, verdicts
from store.tables import hosts as listed
from store.upserts import upsert_row

_VERDICT = (verdicts.c.state, verdicts.c.since, verdicts.c.reason, listed.c.score, verdicts.c.back_by)


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


def join_known(full_join: bool) -> FromClause:
    """heartbeats FULL OUTER JOIN activity, one row a host; as a UNION ALL where SQLite is older than 3.39."""
    beat, done = heartbeats.c, activity.c
    columns = (
        func.coalesce(beat.source_host, done.source_host).label("hostname"),
        # a heartbeat takes precedence
        func.coalesce(beat.os_type, done.os_type).label("os_type"),
        func.coalesce(beat.last_seen, done.newest_stored_at, type_=beat.last_seen.type).label("last_seen"),
        func.coalesce(done.events, 0).label("total_events"),
    )
    same = beat.source_host == done.source_host
    if full_join:
        return select(*columns).select_from(heartbeats.join(activity, same, full=True)).subquery("known")
    silent = select(done.source_host, done.os_type, done.newest_stored_at.label("last_seen"), done.events).where(
        ~exists(select(literal(1)).where(same).correlate(activity))
    )
    return union_all(select(*columns).select_from(heartbeats.outerjoin(activity, same)), silent).subquery("known")


def _hosts(database: Database) -> Select[Any]:
    known = join_known(database.full_join)
    return select(*known.c, listed.c.tags, *_VERDICT).select_from(
        known.outerjoin(listed, listed.c.source_host == known.c.hostname).outerjoin(
            verdicts, verdicts.c.source_host == known.c.hostname
        )
    )


def _host(row: Sequence[Any]) -> Host:
    hostname, os_type, last_seen, total_events, tags, *verdict = row
    return Host(hostname, os_type, last_seen, total_events, split_tags(tags), *verdict)


def read_status(database: Database, threshold_minutes: float, now: datetime) -> HostStatus:
    """Every host, on its side of the threshold: active when last seen at or after `now` − threshold.

    A heartbeat takes precedence; a host known from events alone is judged by when its newest was stored.
    """
    try:
        since = now - timedelta(minutes=threshold_minutes)
    except OverflowError:
        since = datetime.min.replace(tzinfo=now.tzinfo)
    status = HostStatus([], [])
    with database.reading() as connection:
        for row in connection.execute(_hosts(database).order_by("hostname")):
            host = _host(row)
            active = host.last_seen is not None and host.last_seen >= since
            (status.active if active else status.inactive).append(host)
    return status


def read_host(database: Database, name: str) -> Host | None:
    """The host `name`, or `None` when nothing is known of it; of one that was never heard `os_type` is ""."""
    beat, done = heartbeats.c, activity.c
    asked = select(literal(name).label("name")).subquery("asked")
    query = select(
        func.coalesce(listed.c.source_host, beat.source_host, done.source_host),
        func.coalesce(beat.os_type, done.os_type, ""),
        func.coalesce(beat.last_seen, done.newest_stored_at, type_=beat.last_seen.type),
        func.coalesce(done.events, 0),
        listed.c.tags,
        *_VERDICT,
    ).select_from(
        asked.outerjoin(heartbeats, beat.source_host == name)
        .outerjoin(activity, done.source_host == name)
        .outerjoin(listed, listed.c.source_host == name)
        .outerjoin(verdicts, verdicts.c.source_host == name)
    )
    with database.reading() as connection:
        row = connection.execute(query).one()
    return None if row[0] is None else _host(row)


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
