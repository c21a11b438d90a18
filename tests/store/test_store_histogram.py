"""Events over time, and looks that end before they have seen everything."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from store_samples import a_batch, an_event

from store import EventFilter, Store
from store.histogram import Histogram, count_events
from store.queries import EventPage, read_events
from store.tables import BLOCK_ROWS, SEGMENT_ROWS, log_blocks
from store.walk import Span, find_span, walk

BEGIN = datetime.now(UTC).replace(hour=10, minute=0, second=0, microsecond=0)
HOUR = timedelta(hours=1)


def count(store: Store, wanted: EventFilter, *range_and_buckets: Any, seconds: float = 60.0) -> Histogram:
    """As the store does, but for as long as it takes: what counts here is what is found."""
    return count_events(store.database, wanted, *range_and_buckets, seconds=seconds)


def leave_a_gap(store: Store, segments: int) -> None:
    """Ids go on `segments` later, as if so many rows of others lay between."""
    with store.database.writing() as connection:
        newest = store.database.newest_id(connection)
        further = (newest // SEGMENT_ROWS + segments) * SEGMENT_ROWS
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql(f"UPDATE logs SET id = {further} WHERE id = {newest}")
        else:
            connection.exec_driver_sql(f"SELECT setval('logs_id_seq', {further})")


@pytest.fixture
def filled(store: Store) -> Store:
    """Two hours of events: one each ten minutes of either of two hosts, and a port scan at the end of each hour."""
    for minutes in range(0, 120, 10):
        events = [an_event(host, severity=1 + minutes // 60, raw_message=f"m{minutes}") for host in ("a", "b")]
        if minutes % 60 == 50:
            events.append(an_event("a", event_type="PORT_SCAN", severity=5, os_type="FIREWALL"))
        store.write(a_batch(*events, at=BEGIN + timedelta(minutes=minutes, seconds=30)))
        leave_a_gap(store, 1)
    return store


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (EventFilter(), [[12, 0, 0, 0, 1], [0, 12, 0, 0, 1]]),
        (EventFilter(event_type="port_scan"), [[0, 0, 0, 0, 1], [0, 0, 0, 0, 1]]),
        (EventFilter(severity_gte=2), [[0, 0, 0, 0, 1], [0, 12, 0, 0, 1]]),
        (EventFilter(os_type="LINUX"), [[12, 0, 0, 0, 0], [0, 12, 0, 0, 0]]),
        (EventFilter(source_host="b"), [[6, 0, 0, 0, 0], [0, 6, 0, 0, 0]]),
        (EventFilter(q="M5"), [[2, 0, 0, 0, 0], [0, 0, 0, 0, 0]]),
        (EventFilter(source_host="a", event_type="PORT_SCAN"), [[0, 0, 0, 0, 1], [0, 0, 0, 0, 1]]),
        (EventFilter(source_ip="192.0.2.77"), [[0] * 5, [0] * 5]),
    ],
)
def test_events_are_counted_by_time_and_severity(filled: Store, wanted: EventFilter, expected: list[list[int]]) -> None:
    made = count(filled, wanted, BEGIN, BEGIN + 2 * HOUR, 3, BEGIN)
    assert (made.bucket_seconds, made.since, made.counted_since) == (3_600, BEGIN, BEGIN)
    assert made.counts == expected


def test_counting_rows_says_the_same_as_what_was_counted_while_they_were_stored(filled: Store) -> None:
    until = BEGIN + timedelta(minutes=100)
    counted = count(filled, EventFilter(), BEGIN, until, 200, BEGIN)
    rows = count(filled, EventFilter(q="m"), BEGIN, until, 200, BEGIN)
    assert counted.bucket_seconds == 60
    assert counted == rows


def test_buckets_are_as_few_as_asked_for_and_begin_on_the_hour(filled: Store) -> None:
    for buckets in (1, 2, 24, 60, 1_000):
        made = count(filled, EventFilter(), BEGIN + timedelta(minutes=7), BEGIN + 2 * HOUR, buckets, BEGIN)
        assert 1 <= len(made.counts) <= buckets
        assert made.since.timestamp() % made.bucket_seconds == 0
        assert made.since <= BEGIN + timedelta(minutes=7)


def test_a_look_that_takes_too_long_says_since_when_it_has_counted(filled: Store) -> None:
    made = count(filled, EventFilter(q="m"), BEGIN, BEGIN + 2 * HOUR, 12, BEGIN, seconds=0.0)
    assert BEGIN < made.counted_since < BEGIN + 2 * HOUR
    whole = count(filled, EventFilter(q="m"), BEGIN, BEGIN + 2 * HOUR, 12, BEGIN)
    reached = [made.since + timedelta(seconds=place * made.bucket_seconds) for place in range(len(made.counts))]
    later = [place for place, moment in enumerate(reached) if moment > made.counted_since]
    assert [made.counts[place] for place in later] == [whole.counts[place] for place in later]


@pytest.mark.parametrize(
    "wanted",
    [
        EventFilter(), EventFilter(q="m5"), EventFilter(source_host="b"), EventFilter(event_type="PORT_SCAN"),
        EventFilter(since=BEGIN + HOUR), EventFilter(until=BEGIN + HOUR, severity_gte=5), EventFilter(os_type="MACOS"),
    ],
)  # fmt: skip
def test_short_looks_one_after_the_other_find_each_event_once(filled: Store, wanted: EventFilter) -> None:
    whole = read_events(filled.database, wanted, 1_000, None, seconds=60.0)
    assert whole.end is None
    for limit in (1, 2, 100):
        found, page = list[int](), EventPage([], 2**62)
        while page.end is not None:
            page = read_events(filled.database, wanted, limit, page.end, seconds=0.0)
            assert len(page.events) <= limit
            found += [event.id for event in page.events]
        assert found == [event.id for event in whole.events]


def test_blocks_of_another_time_are_not_looked_at(store: Store) -> None:
    hours = [BEGIN + number * HOUR for number in range(10)]
    rows = [
        {"block": block, "writer": writer, "stored_from": hour, "stored_until": hour + timedelta(minutes=59)}
        for block, hour in enumerate(hours)
        for writer in (1, 2)
    ]
    with store.database.writing() as connection:
        connection.execute(log_blocks.insert(), rows)
        newest = 10 * BLOCK_ROWS - 7

        def look(since: datetime | None, until: datetime | None) -> Span:
            return find_span(connection, newest, since, until)

        assert look(None, None) == Span([2, 1, 0], 0, newest)
        assert look(hours[4], hours[6]) == Span([1], 4 * BLOCK_ROWS, 6 * BLOCK_ROWS - 1)
        assert look(hours[3] + HOUR / 2, None) == Span([2, 1, 0], 3 * BLOCK_ROWS, newest)
        assert look(None, hours[2]) == Span([0], 0, 2 * BLOCK_ROWS - 1)
        assert look(hours[9] + HOUR, None).segments == []
        # a clock that was set back for a while
        connection.execute(log_blocks.update().where(log_blocks.c.block == 8).values(stored_from=hours[1]))
        assert look(hours[1], hours[2]) == Span([2, 0], BLOCK_ROWS, 9 * BLOCK_ROWS - 1)
        # of what nobody has counted nothing is known
        connection.execute(log_blocks.delete().where(log_blocks.c.block == 5))
        assert look(hours[9] + HOUR, None) == Span([1], 5 * BLOCK_ROWS, 6 * BLOCK_ROWS - 1)


def test_what_nobody_has_counted_is_looked_at(filled: Store) -> None:
    """Rows of a writer that is older than the counting are found all the same."""
    with filled.database.writing() as connection:
        connection.exec_driver_sql("DELETE FROM log_blocks")
    found = read_events(filled.database, EventFilter(since=BEGIN + timedelta(minutes=110)), 10, None, seconds=60.0)
    assert sorted(event.source_host for event in found.events) == ["a", "a", "b"]


def test_a_walk_covers_each_segment_once_and_in_order() -> None:
    for segments in ([], [0], [7, 6, 5, 2, 1], list(range(5_000, -1, -1))):
        span = Span(segments, 0, 5_001 * SEGMENT_ROWS)
        for indexed in (False, True):
            pieces = list(walk(span, indexed=indexed, seconds=60.0))
            rests = [piece.rest for piece in pieces]
            assert rests[-1:] == ([None] if segments else [])
            assert rests[:-1] == sorted((one for one in rests if one is not None), reverse=True)


def test_the_ends_of_the_calendar_are_no_obstacle(filled: Store) -> None:
    first, last = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
    found = read_events(filled.database, EventFilter(since=first, until=last), 100, None, seconds=60.0)
    assert len(found.events) == 26
    assert sum(map(sum, count(filled, EventFilter(), first, last, 100, BEGIN).counts)) == 26


def test_old_minutes_go_and_their_hours_stay(filled: Store) -> None:
    later = BEGIN + timedelta(days=3, hours=1, minutes=5)
    assert filled.forget_minutes(later) > 0
    assert filled.forget_minutes(later) == 0
    by_hour = count(filled, EventFilter(), BEGIN, BEGIN + 2 * HOUR, 3, later)
    assert by_hour.counts == [[12, 0, 0, 0, 1], [0, 12, 0, 0, 1]]
    # what is no longer counted by the minute is counted row by row
    by_minute = count(filled, EventFilter(), BEGIN, BEGIN + 2 * HOUR, 200, later)
    assert by_minute.bucket_seconds == 60
    assert sum(map(sum, by_minute.counts)) == 26
