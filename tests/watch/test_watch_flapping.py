"""A host flaps from above the high threshold until below the low one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from store.rows import Outage
from watch.flapping import is_flapping

NOW = datetime(2026, 11, 27, 13, 40, tzinfo=UTC)


def fell(*minutes_ago: float, cause: str = "crashed") -> list[Outage]:
    begun = [NOW - timedelta(minutes=minutes) for minutes in minutes_ago]
    return [Outage("web-01", at, at + timedelta(seconds=30), cause) for at in begun]


def test_four_outages_within_twenty_minutes_are_flapping_and_three_are_not() -> None:
    assert is_flapping(fell(1, 7, 13, 19), NOW, before=False)
    assert not is_flapping(fell(1, 7, 13), NOW, before=False)


def test_the_newest_weigh_most() -> None:
    assert is_flapping(fell(1, 2, 3, 4), NOW, before=False)
    assert not is_flapping(fell(41, 42, 43, 44), NOW, before=False)


def test_between_the_thresholds_a_host_stays_what_it_was() -> None:
    outages = fell(10, 20, 30)
    assert is_flapping(outages, NOW, before=True)
    assert not is_flapping(outages, NOW, before=False)


def test_a_quiet_hour_ends_it() -> None:
    outages = fell(0, 5, 10, 15, 20)
    later = [minute for minute in range(90) if is_flapping(outages, NOW + timedelta(minutes=minute), before=True)]
    assert later == list(range(len(later))), "once over it does not begin again by itself"
    assert 30 <= len(later) < 60


def test_announced_old_and_future_outages_do_not_count() -> None:
    assert not is_flapping(fell(1, 2, 3, 4, 5, cause="away"), NOW, before=False)
    assert not is_flapping(fell(61, 62, 63, 64, 65), NOW, before=True)
    assert not is_flapping(fell(-1, -2, -3, -4, -5), NOW, before=True)
    assert is_flapping(fell(1, 2, 3, 4, cause="overdue"), NOW, before=False)


def test_without_outages_nobody_flaps() -> None:
    assert not is_flapping([], NOW, before=True)
