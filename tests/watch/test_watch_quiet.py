"""Quiet hours: nothing is told in them, over both changes of the year, and once at their end."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st
from watch_listener import Listener

from core.errors import Invalid
from core.ids import stable_id
from store.silences import Silence
from watch.hold_sources import hold_silence
from watch.quiet import QuietHours, parse_quiet
from watch.rules import Channel
from watch.wall_clock import instant

BERLIN = ZoneInfo("Europe/Berlin")
NIGHT = Channel("json://h", group_wait_seconds=10, quiet="22:00-07:00", time_zone="Europe/Berlin")
ZONES = ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "America/Santiago", "UTC"]


def on(clock: str, day: int = 20, month: int = 11) -> datetime:
    """When clocks in Berlin show that, for the first time."""
    hour, minute, *second = map(int, clock.split(":"))
    return datetime(2026, month, day, hour, minute, *second, tzinfo=BERLIN).astimezone(UTC)


def missed(host: str) -> str:
    return f"{host} is offline: nothing is heard of it"


def test_nothing_is_told_at_night_and_in_the_morning_all_of_it_once() -> None:
    person = Listener(NIGHT)
    before = [person.lose(host, on("21:00")) for host in ("db-1", "db-2")]
    person.listen(on("21:59"))
    assert person.titles == [missed("db-1"), missed("db-2")]
    for number in range(3):
        person.lose(f"web-{number}", on(f"23:{number * 10:02}"))
    person.find(person.lose("web-9", on("23:30")), on("23:50"))
    for alert in before:
        person.find(alert, on("03:00", 21))
    person.listen(on("06:59", 21))
    assert person.said[2:] == [], "not even that something is back"
    person.listen(on("12:00", 21))
    title = "3 hosts missed: web-0, web-1, web-2; 2 hosts back: db-1, db-2"
    assert person.said[2:] == [(on("07:00:10", 21), title)]
    assert "web-9" not in person.bodies[-1], "what came and went meanwhile is not told"
    assert "Back:\ndb-1: silent from 2026-11-20 20:00:00Z to 2026-11-21 02:00:00Z, 6 hours" in person.bodies[-1]


def test_what_was_found_in_events_at_night_is_told_in_the_morning_also_what_was_of_a_moment() -> None:
    person = Listener(NIGHT)
    moment, attack = person.lose("web-1", on("23:00"), kind="log_tampering"), person.lose(None, on("23:30"))
    for alert, subject, severity in ((moment, "web-1", 5), (attack, "203.0.113.9", 4)):
        person.alerts[alert.id] = replace(alert, subject=subject, severity=severity, text=f"found of {subject}")
    person.find(moment, on("23:00"))
    person.find(attack, on("04:00", 21))
    person.lose("db-1", on("05:00", 21))
    person.listen(on("12:00", 21))
    assert person.titles == [f"{missed('db-1')}; 2 findings: found of web-1"]
    assert "found of 203.0.113.9" in person.bodies[0]


def test_what_is_back_in_the_morning_is_told_although_others_are_not() -> None:
    person = Listener(NIGHT)
    first = person.lose("db-1", on("21:00"))
    second = person.lose("db-2", on("21:00"), first.incident)
    person.find(first, on("01:00", 21))
    person.find(second, on("09:00", 21))
    person.listen(on("12:00", 21))
    assert person.said[1:] == [
        (on("07:00:10", 21), "db-1 is back, after 4 hours"),
        (on("09:00:10", 21), "1 host back, and with it all: db-2"),
    ]


def test_what_began_just_before_the_quiet_hours_waits_for_their_end() -> None:
    person = Listener(NIGHT)
    person.lose("web-1", on("21:59:55"))
    person.listen(on("12:00", 21))
    assert person.said == [(on("07:00:10", 21), missed("web-1"))]


def test_what_ended_just_before_the_quiet_hours_is_told_after_them() -> None:
    person = Listener(NIGHT)
    person.find(person.lose("web-1", on("21:00")), on("21:59:55"))
    person.listen(on("12:00", 21))
    assert person.said[1:] == [(on("07:00:10", 21), "web-1 is back, after 59 minutes")]


def test_a_night_without_anything_to_tell_is_not_told() -> None:
    person = Listener(NIGHT)
    person.find(person.lose("web-1", on("23:00")), on("05:00", 21))
    person.listen(on("12:00", 21))
    assert (person.said, person.heard == person.ended) == ([], True)


def test_what_was_told_in_the_morning_has_its_end_told_and_the_day_goes_on_as_ever() -> None:
    person = Listener(NIGHT)
    person.find(person.lose("web-1", on("23:00")), on("08:00", 21))
    person.find(person.lose("web-2", on("10:00", 21)), on("10:30", 21))
    person.listen(on("12:00", 21))
    assert person.titles == [
        missed("web-1"), "web-1 is back, after 9 hours", missed("web-2"), "web-2 is back, after 30 minutes",
    ]  # fmt: skip


def test_a_silence_that_is_longer_than_the_night_holds_on() -> None:
    silence = Silence(("web-1",), on("20:00"), on("09:00", 21))
    person = Listener(NIGHT, [hold_silence(silence)])
    person.lose("web-1", on("23:00"))
    person.lose("web-2", on("23:00"))
    person.listen(on("12:00", 21))
    assert person.said == [(on("07:00:10", 21), missed("web-2")), (on("09:00:10", 21), missed("web-1"))]


def test_a_silence_that_ends_at_night_is_not_told_of_before_the_morning() -> None:
    person = Listener(NIGHT, [hold_silence(Silence(("*",), on("20:00"), on("02:00", 21)))])
    person.lose("web-1", on("21:00"))
    person.listen(on("12:00", 21))
    assert person.said == [(on("07:00:10", 21), missed("web-1"))]


def test_what_was_seen_to_at_night_is_not_told_in_the_morning() -> None:
    person = Listener(NIGHT)
    alert = person.lose("web-1", on("23:00"))
    person.ack(alert, 11 * 60 + 30)
    person.listen(on("12:00", 21))
    assert person.said == []


def test_a_host_that_flaps_at_night_is_told_of_once_if_it_is_gone_then() -> None:
    person, flapping = Listener(NIGHT), str(stable_id("flapping", "web-1"))
    for turn in range(20):
        alert = person.lose("web-1", on("23:00") + timedelta(minutes=2 * turn), flapping)
        person.find(alert, alert.opened_at + timedelta(minutes=1))
    person.lose("web-1", on("06:00", 21), flapping)
    person.listen(on("12:00", 21))
    assert person.titles == [missed("web-1")]


def test_the_boss_sleeps_too_and_the_night_counts() -> None:
    boss = Listener(Channel("json://h", quiet="22:00-07:00", time_zone="Europe/Berlin", after_minutes=15))
    boss.lose("web-1", on("23:00"))
    boss.lose("web-2", on("21:50"))
    boss.lose("web-3", on("06:55", 21))
    boss.listen(on("12:00", 21))
    assert boss.said == [
        (on("07:00:10", 21), "2 hosts missed: web-1, web-2"), (on("07:10:10", 21), missed("web-3")),
    ]  # fmt: skip


@pytest.mark.parametrize(("month", "day"), [(3, 29), (10, 25)])
def test_quiet_hours_do_not_break_over_summer_time(month: int, day: int) -> None:
    person = Listener(NIGHT)
    person.now = on("21:00", day - 1, month)
    person.lose("web-1", on("22:00", day - 1, month))
    person.lose("web-2", on("06:59", day, month))
    person.listen(on("12:00", day, month))
    assert person.said == [(on("07:00:10", day, month), "2 hosts missed: web-1, web-2")]


@pytest.mark.parametrize(
    ("quiet", "moment", "begins", "ends"),
    [
        ("22:00-07:00", "2026-11-21T03:00", "2026-11-20T21:00", "2026-11-21T06:00"),
        ("22:00-07:00", "2026-11-21T20:59", "2026-11-20T21:00", "2026-11-21T06:00"),
        ("12:00-13:00", "2026-11-21T11:30", "2026-11-21T11:00", "2026-11-21T12:00"),
        # clocks jump from 02:00 to 03:00: 01:00 UTC
        ("22:00-07:00", "2026-03-29T04:30", "2026-03-28T21:00", "2026-03-29T05:00"),
        ("22:00-02:30", "2026-03-29T00:30", "2026-03-28T21:00", "2026-03-29T01:00"),
        ("02:30-07:00", "2026-03-29T01:00", "2026-03-29T01:00", "2026-03-29T05:00"),
        ("02:15-02:45", "2026-03-29T01:00", "2026-03-28T01:15", "2026-03-28T01:45"),
        # clocks show 02:00 to 03:00 twice, from 00:00 and from 01:00 UTC
        ("22:00-07:00", "2026-10-25T05:30", "2026-10-24T20:00", "2026-10-25T06:00"),
        ("22:00-02:30", "2026-10-25T01:15", "2026-10-24T20:00", "2026-10-25T01:30"),
        ("02:30-07:00", "2026-10-25T00:30", "2026-10-25T00:30", "2026-10-25T06:00"),
        ("02:15-02:45", "2026-10-25T01:00", "2026-10-25T00:15", "2026-10-25T01:45"),
    ],
)
def test_hours_begin_when_clocks_first_show_it_and_end_when_they_do_for_the_last_time(
    quiet: str, moment: str, begins: str, ends: str
) -> None:
    window = parse_quiet(quiet, "Europe/Berlin").last_begun(utc(moment))
    assert window == (utc(begins), utc(ends))


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


MOMENTS = st.datetimes(datetime(2024, 1, 1), datetime(2030, 1, 1)).map(lambda one: one.replace(tzinfo=UTC))
TIMES = st.times().map(lambda one: one.replace(second=0, microsecond=0))


@given(MOMENTS, TIMES, TIMES, st.sampled_from(ZONES))
def test_while_the_wall_shows_a_time_within_it_is_quiet(moment: datetime, begins: time, ends: time, zone: str) -> None:
    if begins == ends:
        return
    shown = moment.astimezone(ZoneInfo(zone)).time()
    within = begins <= shown < ends if begins < ends else (shown >= begins or shown < ends)
    window = QuietHours(begins, ends, ZoneInfo(zone)).last_begun(moment)
    assert window is not None
    quiet = moment < window.ends
    assert quiet or not within
    # otherwise the wall shows other times, but for the hour that is shown twice
    changing = any(
        (moment + timedelta(hours=hours)).astimezone(ZoneInfo(zone)).utcoffset()
        != moment.astimezone(ZoneInfo(zone)).utcoffset()
        for hours in (-3, 3)
    )
    assert changing or quiet == within


@given(st.dates(date(2020, 1, 1), date(2030, 1, 1)), TIMES, st.sampled_from(ZONES))
def test_a_time_of_day_is_shown_at_its_instant_or_jumped_over(day: date, at: time, zone: str) -> None:
    moment = instant(day, at, ZoneInfo(zone))
    shown = moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    wanted = datetime.combine(day, at)
    if shown != wanted:
        just_before = (moment - timedelta(seconds=1)).astimezone(ZoneInfo(zone)).replace(tzinfo=None)
        assert just_before < wanted < shown
    assert instant(day, at, ZoneInfo(zone), last=True) >= moment


def test_a_day_that_a_zone_left_out_begins_when_it_was_over() -> None:
    if "Pacific/Apia" in available_timezones():  # there was no 30 December 2011 there
        assert instant(date(2011, 12, 30), time(12), ZoneInfo("Pacific/Apia")) == utc("2011-12-30T10:00")


@pytest.mark.parametrize(
    ("quiet", "zone", "says"),
    [
        ("22:00-22:00", "UTC", "^quiet '22:00-22:00' begins when it ends"),
        ("22:00", "UTC", "^quiet '22:00' is no time from and to"),
        ("22-7", "UTC", "^quiet '22' is no time of day"),
        ("22:00-25:00", "UTC", "^quiet '25:00' is no time of day"),
        ("22:00-07:00", "Europe/Atlantis", "^time_zone 'Europe/Atlantis' is unknown"),
        ("22:00-07:00", "../etc/passwd", "^time_zone '../etc/passwd' is unknown"),
        ("22:00-07:00", "", "^time_zone '' is unknown"),
    ],
)
def test_hours_that_are_none_are_refused(quiet: str, zone: str, says: str) -> None:
    with pytest.raises(Invalid, match=says):
        Channel("json://h", quiet=quiet, time_zone=zone)
