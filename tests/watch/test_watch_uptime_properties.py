"""Uptime, for whatever rows there are: the sums are exact, and are what counting second by second gives."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from store.rows import Outage
from watch.uptime import find_spans, measure_uptime, say_share, say_uptime

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SECONDS = 60  # the window
moments = st.builds(
    lambda ago, part: NOW - timedelta(seconds=ago, microseconds=part),
    st.integers(-10, SECONDS + 20),
    st.sampled_from([0, 0, 1, 500_000, 999_999]),
)
outages = st.builds(
    Outage,
    st.just("web-01"),
    moments,
    st.none() | moments,
    st.sampled_from(["crashed", "silent", "zombie", "away", "overdue"]),
)
rows = st.lists(outages, max_size=6)
first_heard = st.none() | moments
examples = settings(max_examples=300, deadline=None)


def was(second: int, found: list[Outage], heard_at: datetime | None) -> str:
    """What the host was in the second that began so many seconds ago, by the rules and nothing else."""
    begin = NOW - timedelta(seconds=second)
    end = begin + timedelta(seconds=1)
    if heard_at is None or heard_at >= end:
        return "unknown"
    touching = {
        row.cause
        for row in found
        if row.began_at < end
        and (row.ended_at is None or (row.ended_at > begin and row.ended_at > row.began_at))
        and row.began_at < NOW
    }
    return "down" if touching - {"away"} else "away" if touching else "up"


@examples
@given(rows, first_heard, st.lists(st.integers(1, 200), min_size=1, max_size=4))
def test_up_down_away_and_unknown_make_up_the_window(
    found: list[Outage], heard_at: datetime | None, windows: list[int]
) -> None:
    for uptime, window in zip(measure_uptime(found, heard_at, NOW, windows), windows, strict=True):
        parts = (uptime.up_seconds, uptime.down_seconds, uptime.away_seconds, uptime.unknown_seconds)
        assert sum(parts) == uptime.window_seconds == window
        assert min(parts) >= 0
        assert uptime.known_seconds == window - uptime.unknown_seconds


@examples
@given(rows, first_heard)
def test_the_sums_are_what_counting_second_by_second_gives(found: list[Outage], heard_at: datetime | None) -> None:
    uptime = measure_uptime(found, heard_at, NOW, [SECONDS])[0]
    seconds = [was(second, found, heard_at) for second in range(SECONDS, 0, -1)]
    counted = Counter(seconds)
    assert (uptime.up_seconds, uptime.down_seconds, uptime.away_seconds, uptime.unknown_seconds) == tuple(
        counted[kind] for kind in ("up", "down", "away", "unknown")
    )
    assert uptime.outages == sum(one != "down" and two == "down" for one, two in pairwise(["up", *seconds]))


@examples
@given(rows, first_heard, moments)
def test_a_timeline_has_no_gap_and_no_two_alike_in_a_row(
    found: list[Outage], heard_at: datetime | None, since: datetime
) -> None:
    spans = find_spans(found, heard_at, since, NOW)
    assert bool(spans) == (since < NOW)
    if spans:
        assert spans[0].begin == since.replace(microsecond=0)
        assert spans[-1].end == NOW
    for one, two in pairwise(spans):
        assert one.end == two.begin
        assert one[2:] != two[2:]
    assert all(span.begin < span.end for span in spans)
    assert all((span.cause is not None) == (span.kind in ("down", "away")) for span in spans)


@examples
@given(rows, first_heard, st.randoms(use_true_random=False))
def test_neither_the_order_of_the_rows_nor_a_row_that_comes_twice_matters(
    found: list[Outage], heard_at: datetime | None, random: Random
) -> None:
    again = [*found, *found[:2]]
    random.shuffle(again)
    since = NOW - timedelta(seconds=SECONDS)
    assert find_spans(again, heard_at, since, NOW) == find_spans(found, heard_at, since, NOW)


@examples
@given(rows, outages, moments)
def test_another_outage_never_makes_the_share_larger(found: list[Outage], more: Outage, heard_at: datetime) -> None:
    if more.cause == "away":
        return
    before = measure_uptime(found, heard_at, NOW, [SECONDS])[0]
    after = measure_uptime([*found, more], heard_at, NOW, [SECONDS])[0]
    assert after.down_seconds >= before.down_seconds
    if before.share is not None and after.share is not None:
        assert after.share <= before.share


@examples
@given(rows, first_heard, st.integers(1, 10_000_000))
def test_words_say_100_only_without_an_outage_and_0_only_when_it_was_never_up(
    found: list[Outage], heard_at: datetime | None, window: int
) -> None:
    heard_at = heard_at and heard_at - timedelta(seconds=window)
    uptime = measure_uptime(found, heard_at, NOW, [window])[0]
    said = say_share(uptime)
    assert (said == "100 %") == (uptime.share == 1) == (uptime.down_seconds == 0 < uptime.up_seconds)
    assert (said == "0 %") == (uptime.share == 0) == (uptime.up_seconds == 0 < uptime.down_seconds)
    assert ("no outage" in say_uptime(uptime)) == (uptime.share is not None and uptime.outages == 0)
