from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.clock import parse_duration, parse_time, rfc3339
from core.errors import Invalid

MOMENT = datetime(2025, 12, 3, 20, 49, 50, 123456, UTC)


@pytest.mark.parametrize(
    "text",
    [
        "2025-12-03T20:49:50.123456Z", "2025-12-03T20:49:50.123456+00:00Z", "2025-12-03 20:49:50.123456",
        "2025-12-03t20:49:50.123456z", "2025-12-03T22:19:50.123456+01:30", "2025-12-03T15:49:50.1234567-0500",
        " 2025-12-03T20:49:50,123456Z ",
    ],
)  # fmt: skip
def test_every_form_that_agents_send_is_the_same_moment(text: str) -> None:
    assert parse_time(text) == MOMENT
    assert parse_time(text).tzinfo is UTC


@pytest.mark.parametrize(
    "text",
    ["", "yesterday", "2025-12-03", "2025-13-03T00:00:00Z", "0000-01-01T00:00:00Z", "9999999-01-01T00:00:00Z",
     "2025-02-30T00:00:00Z", "2025-12-03T25:00:00Z", "2025-12-03T00:00:61Z", "0001-01-01T00:00:00+02:00",
     "9999-12-31T23:59:59-02:00", "2025-12-03T20:49:50Zjunk", "２０２５-12-03T20:49:50Z\0"],
)  # fmt: skip
def test_what_is_no_time_is_refused_and_named(text: str) -> None:
    with pytest.raises(Invalid, match="since"):
        parse_time(text, "since")


def test_a_leap_second_is_the_last_of_its_minute() -> None:
    assert parse_time("2016-12-31T23:59:60Z") == datetime(2016, 12, 31, 23, 59, 59, tzinfo=UTC)


@given(st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC)))
def test_what_is_written_is_read_again(moment: datetime) -> None:
    assert parse_time(rfc3339(moment)) == moment


@given(st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30)), st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30)))
def test_text_sorts_as_time_does(one: datetime, other: datetime) -> None:
    assert (rfc3339(one) < rfc3339(other)) == (one < other)


def test_any_zone_is_written_as_utc() -> None:
    assert rfc3339(datetime(2025, 1, 1, 1, tzinfo=timezone(timedelta(hours=2)))) == "2024-12-31T23:00:00.000000Z"


@given(st.text())
def test_no_text_breaks_the_parser(text: str) -> None:
    try:
        parse_time(text)
    except Invalid:
        return


@pytest.mark.parametrize(("text", "minutes"), [("30m", 30), ("2h", 120), ("3d", 4_320), ("365d", 525_600)])
def test_a_duration_is_minutes_hours_or_days(text: str, minutes: int) -> None:
    assert parse_duration(text, "--for") == timedelta(minutes=minutes)


@pytest.mark.parametrize("text", ["", "2", "h", "0m", "-2h", "1.5h", "2 h", "2w", "٢h", "366d", "999999d", None, 2])
def test_what_is_no_duration_is_refused_with_what_would_be(text: object) -> None:
    with pytest.raises(Invalid, match=r"^--for .*(30m, 2h or 3d|at most 365d)"):
        parse_duration(text, "--for")
