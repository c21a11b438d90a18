"""The hot write: events, dead letters and signs of life of a batch, in one transaction."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import Connection, select

from core.clock import rfc3339
from core.ids import stable_id
from core.messages import Event
from core.topics import EVENTS, HOSTS
from store import beat_writes, hosts, log_counts
from store.barred import Barred
from store.database import Database, EventRow, Unstorable, in_chunks
from store.dead_letters import insert_dead_letters, storable
from store.partitions import day_of
from store.rows import DeadLetter, WriteBatch, Written
from store.tables import BODY_COLUMNS, logs


def write_batch(database: Database, batch: WriteBatch, keep_days: int, barred: Barred) -> Written:
    """Store `batch`, whole or not at all.

    1. Ids that lie outside the days kept are replaced, and the days' partitions made.
    2. In one transaction: what came of barred hosts is left out; events, what conflicts to the dead letters, signs of
       life, what is counted about heartbeats, activity, dead letters.

    An event that the database cannot store (a lone surrogate, a NUL) becomes a dead letter, its neighbours
    are stored. Raises `Unavailable`; nothing is stored then, but for what came before such an event.
    """
    try:
        return _write(database, batch, keep_days, barred)
    except Unstorable as error:
        events, dead = _split_storable(batch.events)
        if not dead and len(batch.events) == 1:
            events, dead = [], [_unstorable_letter(batch.events[0], str(error))]
        if dead:
            return write_batch(database, replace(batch, events=events, dead=[*batch.dead, *dead]), keep_days, barred)
        if not events:
            raise
    # what it refuses is none of what we know: halves tell which event it is
    middle = len(events) // 2
    first = write_batch(database, replace(batch, events=events[:middle]), keep_days, barred)
    second = write_batch(database, replace(batch, events=events[middle:], dead=[], beats=[]), keep_days, barred)
    return Written(
        first.stored + second.stored, first.duplicates + second.duplicates, first.conflicts + second.conflicts,
        [*first.letters, *second.letters], first.dropped + second.dropped, first.unanswered | second.unanswered,
    )  # fmt: skip


def _write(database: Database, batch: WriteBatch, keep_days: int, barred: Barred) -> Written:
    rows, days = make_rows(batch.events, batch.received_at, keep_days)
    if rows:
        database.prepare_days(days, _as_utc(batch.received_at).date())
    with database.writing() as connection:
        sifted = barred.sift(connection, batch)
        if sifted.batch is not batch:
            batch = sifted.batch
            rows, _ = make_rows(batch.events, batch.received_at, keep_days)
        refused: list[EventRow] = []
        conflicts: list[EventRow] = []
        stored: Sequence[EventRow] = rows
        if rows:
            before = database.newest_id(connection)
            inserted = database.insert_events(connection, rows)
            if inserted is not None:
                stored, refused = _split_stored(rows, inserted)
                conflicts = _find_conflicts(connection, stored, refused)
            hosts.count_events(database, connection, stored)
            log_counts.count_stored(database, connection, stored, before, batch.received_at)
        hosts.note_signs_of_life(database, connection, batch)
        beat_writes.count_beats(database, connection, batch.beats)
        letters = [*batch.dead, *(_conflict_letter(row) for row in conflicts)]
        if letters:
            insert_dead_letters(connection, letters, batch.received_at)
    database.after_write(batch.received_at)
    return Written(
        len(stored), len(refused) - len(conflicts), len(conflicts), letters, sifted.dropped, sifted.unanswered
    )


def _as_utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def late_id(event_id: Any) -> str:
    """The id under which an event is stored whose version 7 id lies outside the days kept."""
    return str(stable_id("late", str(event_id)))


def make_rows(events: Sequence[Event], received_at: datetime, keep_days: int) -> tuple[list[EventRow], set[date]]:
    """`events` as rows, and the days (UTC) that their version 7 ids lie in.

    A row of a future day in PostgreSQL's default partition would keep that day's partition from being made,
    so a version 7 id outside [today − keep_days, today + 1 day] is replaced by a version 5 id made of it.
    """
    today = _as_utc(received_at).replace(hour=0, minute=0, second=0, microsecond=0)
    low = int((today - timedelta(days=keep_days)).timestamp()) * 1000
    high = int((today + timedelta(days=2)).timestamp()) * 1000
    first, behind = _ms_text(low), _ms_text(high)
    ids: list[str] = []
    times: list[str] = []
    blocks: set[str] = set()
    # all as text in one call: one by one they would cost as much as all the rest
    texts = msgspec.to_builtins([(event.event_id, event.timestamp) for event in events])
    for event, (event_id, timestamp) in zip(events, texts, strict=True):
        if event_id[14] != "7":
            ids.append(event_id)
        elif first <= event_id[:13] < behind:
            ids.append(event_id)
            blocks.add(event_id[:8])
        else:
            ids.append(late_id(event_id))
        # what has no microseconds, or another offset, is written in our own form
        times.append(timestamp if len(timestamp) == 27 else rfc3339(event.timestamp))
    between = ([getattr(event, name) for event in events] for name in EventRow._fields[2:-1])
    stored_at = [rfc3339(received_at)] * len(events)
    return [*map(EventRow._make, zip(ids, times, *between, stored_at, strict=True))], _days(blocks, low, high)


def _ms_text(ms: int) -> str:
    """How a version 7 id of this millisecond begins."""
    return f"{ms >> 16:08x}-{ms & 0xFFFF:04x}"


def _days(blocks: Iterable[str], low: int, high: int) -> set[date]:
    """The days, from `low` to before `high` (milliseconds), of version 7 ids that begin with these eight digits."""
    starts = [int(digits, 16) << 16 for digits in blocks]
    return {day_of(ms) for start in starts for ms in (max(start, low), min(start + 0xFFFF, high - 1))}


def _split_stored(rows: Sequence[EventRow], inserted: set[str]) -> tuple[list[EventRow], list[EventRow]]:
    """Which rows were stored (of one id the first), and which were not."""
    waiting = set(inserted)
    stored: list[EventRow] = []
    refused: list[EventRow] = []
    for row in rows:
        if row.event_id in waiting:
            waiting.discard(row.event_id)
            stored.append(row)
        else:
            refused.append(row)
    return stored, refused


def _find_conflicts(connection: Connection, stored: Sequence[EventRow], refused: Sequence[EventRow]) -> list[EventRow]:
    """Those of `refused` whose id is taken by another body; the others are duplicates."""
    bodies = {row.event_id: {row.body} for row in stored}
    ids = list({row.event_id for row in refused} - bodies.keys())
    columns = [logs.c.event_id, *(logs.c[name] for name in BODY_COLUMNS)]
    for chunk in in_chunks(ids):
        query = select(*columns).where(logs.c.event_id.in_(chunk))
        for event_id, *body in connection.execute(query):
            # rows of an old database may share an id: each of them counts
            bodies.setdefault(event_id, set()).add(tuple(body))
    # an id that `logs` does not hold is that of an adopted row, which stands there under another: a duplicate
    return [row for row in refused if row.event_id in bodies and row.body not in bodies[row.event_id]]


def _conflict_letter(row: EventRow) -> DeadLetter:
    payload = json.dumps(row._asdict(), ensure_ascii=False).encode()
    reason = f"conflict: event_id {row.event_id} is stored with another body, which stays"
    return DeadLetter(f"{HOSTS}/{row.source_host}/{EVENTS}", row.source_host, reason, payload, len(payload))


def _split_storable(events: Iterable[Event]) -> tuple[list[Event], list[DeadLetter]]:
    good: list[Event] = []
    dead: list[DeadLetter] = []
    for event in events:
        texts = (event.source_host, event.os_type, event.event_type, event.source_ip, event.user, event.raw_message)
        if all(storable(text) == text for text in texts) and 1 <= event.severity <= 5:
            good.append(event)
            continue
        reason = "not storable: a text holds NUL or no Unicode, or severity is outside 1 to 5"
        dead.append(_unstorable_letter(event, reason))
    return good, dead


def _unstorable_letter(event: Event, reason: str) -> DeadLetter:
    payload = repr(event).encode("utf-8", "backslashreplace")
    return DeadLetter(f"{HOSTS}/{event.source_host}/{EVENTS}", event.source_host, reason, payload, len(payload))
