"""Uptime in words, where rounding would lie."""

from __future__ import annotations

import pytest

from watch.uptime import DAY_SECONDS, Uptime, say_length, say_share, say_uptime


def spent(days: int = 30, *, down: int = 0, outages: int = 0, away: int = 0, unknown: int = 0) -> Uptime:
    window = days * DAY_SECONDS
    up = window - down - away - unknown
    share = up / (up + down) if up + down else None
    return Uptime(window, window - unknown, up, down, away, unknown, outages, share)


@pytest.mark.parametrize(
    ("uptime", "words"),
    [
        (spent(down=1860, outages=3), "99.93 % over 30 days: down 31 min in 3 outages"),
        (spent(), "100 % over 30 days: no outage"),
        (spent(1), "100 % over 24 h: no outage"),
        (spent(7, down=7 * 86_400, outages=1), "0 % over 7 days: down 7 days in 1 outage"),
        (spent(unknown=27 * 86_400), "100 % over 30 days, of which 3 days are known: no outage"),
        (spent(away=7200), "100 % over 30 days: no outage; away 2 h, as announced"),
        (spent(90, down=1, outages=1), ">99.99 % over 90 days: down 1 s in 1 outage"),
        (
            spent(down=9000, outages=2, away=600, unknown=86_400),
            "99.64 % over 30 days, of which 29 days are known: down 2.5 h in 2 outages; away 10 min, as announced",
        ),
        (spent(unknown=30 * 86_400), "not known over 30 days: nothing heard yet"),
        (spent(1, away=86_400), "not known over 24 h: away, as announced"),
        (spent(1, away=400, unknown=86_000), "not known over 24 h: away, as announced"),
    ],
)
def test_uptime_is_said_in_a_sentence(uptime: Uptime, words: str) -> None:
    assert say_uptime(uptime) == words


@pytest.mark.parametrize(
    ("down", "share"),
    [
        (0, "100 %"),
        (1, ">99.99 %"),
        (129, ">99.99 %"),  # 99.99502 %
        (130, "99.99 %"),
        (2_592, "99.9 %"),
        (259_200, "90 %"),
        (2_592_000 - 130, "0.01 %"),
        (2_592_000 - 129, "<0.01 %"),
        (2_592_000 - 1, "<0.01 %"),
        (2_592_000, "0 %"),
    ],
)
def test_a_share_is_rounded_but_never_to_all_or_nothing(down: int, share: str) -> None:
    assert say_share(spent(down=down, outages=1)) == share


def test_a_length_has_one_unit_and_is_never_more_than_it_was() -> None:
    said = [say_length(seconds) for seconds in (0, 1, 119, 120, 7_199, 7_200, 9_000, 172_799, 172_800, 7_776_000)]
    assert said == ["0 s", "1 s", "119 s", "2 min", "119 min", "2 h", "2.5 h", "47.9 h", "2 days", "90 days"]
