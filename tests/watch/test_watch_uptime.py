"""Uptime: what a host's time adds up to, and its timeline."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from store.rows import Outage
from watch.uptime import DAY_SECONDS, WINDOWS_SECONDS, Uptime, find_spans, measure_uptime

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
LONG_AGO = NOW - timedelta(days=400)


def outage(began_hours_ago: float, ended_hours_ago: float | None = None, cause: str = "crashed") -> Outage:
    ended_at = None if ended_hours_ago is None else NOW - ended_hours_ago * HOUR
    return Outage("web-01", NOW - began_hours_ago * HOUR, ended_at, cause)


def over_a_day(*outages: Outage, heard_at: datetime | None = LONG_AGO) -> Uptime:
    return measure_uptime(outages, heard_at, NOW, [DAY_SECONDS])[0]


def timeline(*outages: Outage, heard_at: datetime | None = LONG_AGO) -> list[tuple[float, float, str, str | None]]:
    """The last day's spans, in hours ago."""
    spans = find_spans(outages, heard_at, NOW - 24 * HOUR, NOW)
    return [((NOW - begin) / HOUR, (NOW - end) / HOUR, kind, cause) for begin, end, kind, cause in spans]


def test_a_host_that_was_never_down_is_up_all_the_time() -> None:
    for uptime, window in zip(measure_uptime([], LONG_AGO, NOW), WINDOWS_SECONDS, strict=True):
        assert uptime == Uptime(window, window, window, 0, 0, 0, 0, 1.0)


def test_an_hour_of_two_days_ago_is_in_all_windows_but_the_shortest() -> None:
    uptimes = measure_uptime([outage(50, 49)], LONG_AGO, NOW)
    assert [uptime.down_seconds for uptime in uptimes] == [0, 3600, 3600, 3600]
    assert [uptime.outages for uptime in uptimes] == [0, 1, 1, 1]


def test_an_outage_that_began_before_the_window_counts_with_its_part_in_it() -> None:
    assert over_a_day(outage(30, 22)).down_seconds == 2 * 3600


def test_a_host_that_is_powered_off_is_never_up_all_the_time() -> None:
    uptime = over_a_day(outage(6, cause="shutdown"))
    assert (uptime.down_seconds, uptime.share) == (6 * 3600, 0.75)


def test_a_host_that_fell_a_moment_ago_is_not_up_all_the_time() -> None:
    fell = Outage("web-01", NOW - timedelta(microseconds=1), None, "crashed")
    uptime = over_a_day(fell)
    assert (uptime.down_seconds, uptime.outages) == (1, 1)
    assert uptime.share is not None
    assert uptime.share < 1


def test_time_before_the_first_heartbeat_is_neither_up_nor_down() -> None:
    uptime = over_a_day(outage(2, 1), heard_at=NOW - 4 * HOUR)
    assert (uptime.unknown_seconds, uptime.known_seconds) == (20 * 3600, 4 * 3600)
    assert uptime.share == 0.75


def test_of_a_host_that_was_never_heard_nothing_is_known() -> None:
    uptime = over_a_day(outage(2, 1), heard_at=None)
    assert (uptime.unknown_seconds, uptime.outages, uptime.share) == (DAY_SECONDS, 0, None)


def test_an_announced_absence_is_neither_up_nor_down() -> None:
    uptime = over_a_day(outage(14, 2, "away"))
    assert (uptime.away_seconds, uptime.up_seconds, uptime.down_seconds) == (12 * 3600, 12 * 3600, 0)
    assert (uptime.share, uptime.outages) == (1.0, 0)


def test_a_host_that_was_away_all_the_time_has_no_share() -> None:
    assert over_a_day(outage(100, cause="away")).share is None


def test_a_host_that_is_longer_away_than_announced_is_down_from_when_it_was_due() -> None:
    uptime = over_a_day(outage(14, 13, "away"), outage(13, 10, "overdue"))
    assert (uptime.away_seconds, uptime.down_seconds, uptime.outages) == (3600, 3 * 3600, 1)


def test_outages_that_overlap_or_touch_are_one_and_count_once() -> None:
    for second in (outage(5, 3), outage(4, 3), outage(6, 3, "silent")):
        uptime = over_a_day(outage(6, 4), second)
        assert uptime.outages == 1
        assert uptime.down_seconds in (2 * 3600, 3 * 3600)
    assert over_a_day(outage(6, 5), outage(5, 3)).down_seconds == 3 * 3600
    assert over_a_day(outage(6, 5), outage(4, 3)).outages == 2


def test_an_outage_during_an_announced_absence_counts() -> None:
    uptime = over_a_day(outage(10, 2, "away"), outage(6, 5))
    assert (uptime.away_seconds, uptime.down_seconds, uptime.outages) == (7 * 3600, 3600, 1)


def test_what_ended_before_it_began_or_is_still_to_come_counts_nothing() -> None:
    assert over_a_day(outage(5, 6), outage(5, 5), outage(-1), outage(-1, -2), outage(50, 40)) == over_a_day()


def test_an_outage_that_is_said_to_end_later_lasts_until_now() -> None:
    assert over_a_day(outage(1, -5)).down_seconds == 3600


def test_a_timeline_tells_what_the_host_was_and_why() -> None:
    assert timeline(outage(14, 13, "away"), outage(13, 10, "overdue"), outage(2), heard_at=NOW - 20 * HOUR) == [
        (24, 20, "unknown", None),
        (20, 14, "up", None),
        (14, 13, "away", "away"),
        (13, 10, "down", "overdue"),
        (10, 2, "up", None),
        (2, 0, "down", "crashed"),
    ]


def test_of_two_outages_at_once_the_timeline_tells_the_later() -> None:
    assert timeline(outage(6, 1), outage(4, 3, "silent")) == [
        (24, 6, "up", None),
        (6, 4, "down", "crashed"),
        (4, 3, "down", "silent"),
        (3, 1, "down", "crashed"),
        (1, 0, "up", None),
    ]


def test_no_time_has_no_timeline() -> None:
    assert find_spans([outage(6)], LONG_AGO, NOW, NOW) == []
    assert find_spans([outage(6)], LONG_AGO, NOW, NOW - HOUR) == []
