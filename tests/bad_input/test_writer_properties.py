"""The writer, for every event that a decoder could make and some that none does: each is accounted for, once."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.clock import rfc3339, utc_now
from core.messages import EVENT_TYPES, OS_TYPES, Event
from store import Store, StoredEvent, WriteBatch, open_store
from store.events import late_id

DAY_MS = 86_400_000
NOW = utc_now()
NOW_MS = int(NOW.timestamp() * 1000)
_examples = itertools.count(1)


@pytest.fixture(scope="module")
def store(database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    if database == "sqlite":
        opened = open_store(f"sqlite:///{tmp_path_factory.mktemp('writer') / 'x.db'}", checkpointer=True)
        yield opened
        opened.close()
        return
    from postgresql_server import database as fresh

    with fresh() as url:
        opened = open_store(url)
        yield opened
        opened.close()


# of version 7: now, at the ends of the days kept, far outside them, and at the ends of what 48 bits can say
times = st.sampled_from([*(NOW_MS + days * DAY_MS for days in (-92, -91, -89, 0, 1, 2, 3, 400)), 0, 2**48 - 1])
versions = st.integers(1, 8)
ids = st.builds(
    lambda version, ms, high: UUID(int=(ms << 80) | (version << 76) | (high << 64) | (0b10 << 62)),
    versions, times, st.integers(0, 0xFFF),
)  # fmt: skip
offsets = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
moments = st.datetimes(datetime(1970, 1, 1), datetime(9998, 12, 31, 23, 59, 59, 999_999), timezones=offsets)
# with what no decoder lets through
texts = st.text(max_size=20) | st.text(st.sampled_from("a\0\ud800\udfff\\"), max_size=4)
bodies = st.fixed_dictionaries(
    {
        "timestamp": moments | st.just(NOW),
        "source_host": st.from_regex(r"\A[A-Za-z0-9._-]{1,253}\Z"),
        "os_type": st.sampled_from(OS_TYPES),
        "event_type": st.sampled_from(EVENT_TYPES),
        "severity": st.integers(1, 5),
        "raw_message": texts,
        "source_ip": st.sampled_from(["N/A", "::", "255.255.255.255", "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255"]),
        "user": texts,
    }
)


def body_of(event: Event | StoredEvent) -> tuple[Any, ...]:
    at = event.timestamp if isinstance(event.timestamp, str) else rfc3339(event.timestamp)
    return (
        at, event.source_host, event.os_type, event.event_type, event.severity, event.source_ip, event.user,
        event.raw_message,
    )  # fmt: skip


def is_text(text: str) -> bool:
    return not any("\ud800" <= char <= "\udfff" for char in text)


def refused_by(database: str, events: list[Event]) -> list[bool]:
    """Which of a batch cannot be stored: SQLite takes NUL, unless it refuses something else in the batch."""
    no_text = [not (is_text(event.user) and is_text(event.raw_message)) for event in events]
    if database == "sqlite" and not any(no_text):
        return no_text
    return [bad or "\0" in event.user + event.raw_message for bad, event in zip(no_text, events, strict=True)]


@settings(deadline=None, max_examples=80)
@given(st.lists(ids, min_size=1, max_size=3, unique=True), st.lists(bodies, min_size=1, max_size=4), st.data())
def test_every_event_is_stored_or_known_or_refused_and_the_first_body_of_an_id_wins(
    store: Store, database: str, pool: list[UUID], kinds: list[dict[str, Any]], data: st.DataObject
) -> None:
    example = next(_examples)
    pool = [UUID(int=one.int | example) for one in pool]  # no example meets another's events
    first: dict[UUID, Event] = {}
    for _ in range(data.draw(st.integers(1, 3))):
        choice = st.tuples(st.sampled_from(pool), st.sampled_from(kinds))
        batch = [Event(event_id=key, **kind) for key, kind in data.draw(st.lists(choice, min_size=1, max_size=8))]
        expected = {"stored": 0, "duplicates": 0, "conflicts": 0, "refused": 0}
        for event, refused in zip(batch, refused_by(database, batch), strict=True):
            known = first.get(event.event_id)
            if refused:
                expected["refused"] += 1
            elif known is None:
                first[event.event_id] = event
                expected["stored"] += 1
            else:
                expected["duplicates" if body_of(known) == body_of(event) else "conflicts"] += 1
        written = store.write(WriteBatch(batch, NOW))
        found = {
            "stored": written.stored,
            "duplicates": written.duplicates,
            "conflicts": written.conflicts,
            "refused": len(written.letters) - written.conflicts,
        }
        assert found == expected
        assert sum(found.values()) == len(batch)
    for event_id, event in first.items():
        stored = store.get_event(str(event_id))
        assert stored is not None
        assert body_of(stored) == body_of(event)
        assert stored.event_id in (str(event_id), late_id(event_id))


@pytest.mark.parametrize(
    "event_id",
    [UUID(int=0), UUID(int=2**128 - 1), UUID(int=0x7 << 76), UUID("017f22e2-79b0-7cc3-08c4-dc0c0c07398f"),
     UUID("017f22e2-79b0-7cc3-d8c4-dc0c0c07398f"), UUID("017f22e2-79b0-7cc3-f8c4-dc0c0c07398f")],
)  # fmt: skip
def test_an_id_of_no_version_is_an_id(store: Store, event_id: UUID) -> None:
    event = Event(event_id, datetime(1970, 1, 1, tzinfo=UTC), "ids", "LINUX", "SUDO_ESCALATION", 1, str(event_id))
    assert (store.write(WriteBatch([event], NOW)).stored, store.write(WriteBatch([event], NOW)).duplicates) == (1, 1)
    stored = store.get_event(str(event_id))
    assert stored is not None
    assert body_of(stored) == body_of(event)
