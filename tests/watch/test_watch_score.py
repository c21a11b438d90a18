"""The score: what an operator sees of a host, for hosts as there are."""

from __future__ import annotations

import dataclasses
from itertools import pairwise

import pytest
from watch_figures import host, http_host, is_down, was_down

from core.messages import VerdictState
from watch.score import WEIGHTS, Beats, Figures, score_host


def value(figures: Figures) -> int:
    found = score_host(figures).value
    assert found is not None
    return found


def lost(figures: Figures) -> dict[str, int]:
    return {part.name: part.points_lost for part in score_host(figures).parts if part.points_lost}


def test_a_boring_machine_has_100_and_nothing_lost() -> None:
    assert (value(host()), score_host(host()).words) == (100, "100: nothing lost")


def test_a_single_short_outage_costs_some_ten_points_this_week_and_less_later() -> None:
    today, this_week, this_month, long_ago = (value(host(was_down(5, days_ago=days))) for days in (0.5, 3, 20, 40))
    assert 85 <= today < this_week < this_month < long_ago == 100
    assert 87 <= this_week <= 92


@pytest.mark.parametrize("state", ["offline", "missing", "zombie", "overdue"])
def test_a_host_that_is_down_is_below_50_whatever_it_was_before(state: VerdictState) -> None:
    assert value(host(is_down(days=0.001), state=state)) < 50
    assert value(host(state=state)) < 50  # the row of its outage is not there yet


def test_a_host_that_flaps_is_below_50_though_it_is_online() -> None:
    outages = [was_down(1, days_ago=hour / 24) for hour in (0.1, 0.3, 0.5, 0.7)]
    assert value(host(*outages, flapping=True)) < 50


def test_of_a_host_that_is_down_its_history_still_tells() -> None:
    first_time = value(host(is_down(days=0.01), state="offline"))
    for_days = value(host(is_down(days=2), state="offline"))
    again = value(host(*(was_down(30, days_ago=days) for days in (1, 2, 3, 4, 5)), is_down(days=0.01), state="offline"))
    assert first_time > for_days
    assert first_time > again > 0


def test_a_long_outage_costs_more_than_a_short_one() -> None:
    costs = [100 - value(host(was_down(hours * 60, days_ago=6))) for hours in (0.1, 6, 24, 72, 120)]
    assert costs == sorted(set(costs))
    assert costs[-1] == WEIGHTS["outages"].points


def test_the_first_outage_costs_more_than_the_second_and_the_second_more_than_the_third() -> None:
    values = [value(host(*(was_down(5, days_ago=2 + n) for n in range(count)))) for count in range(4)]
    steps = [one - two for one, two in pairwise(values)]
    assert steps == sorted(steps, reverse=True)
    assert steps[-1] > 0


def test_an_announced_absence_costs_nothing_while_it_lasts_and_afterwards() -> None:
    away = is_down(days=0.5, cause="away")
    assert value(host(away, state="away")) == 100
    assert value(host(was_down(600, days_ago=2, cause="away"))) == 100
    assert value(host(away, was_down(5, days_ago=3), state="away")) == value(host(was_down(5, days_ago=3)))


def test_a_host_that_flapped_and_is_away_as_announced_does_not_flap_now() -> None:
    assert "present" not in lost(host(state="away", flapping=True))


@pytest.mark.parametrize("sent", [1, 2, 24, 168, 399, 400, 1_440, 100_000])
def test_one_lost_heartbeat_costs_one_point_at_most_though_the_host_is_late(sent: int) -> None:
    figures = host(state="late", beats_24_hours=Beats(sent, 1), beats_7_days=Beats(sent, 1))
    assert value(figures) >= 99


def test_heartbeats_that_are_lost_all_day_cost_what_they_are() -> None:
    values = [value(host(beats_24_hours=Beats(1_440, lost), beats_7_days=Beats(10_080, lost))) for lost in (15, 50, 90)]
    assert values == [97, 90, 85]
    assert value(host(beats_7_days=Beats(10_080, 400))) == 88  # not today, but this week


def test_each_small_thing_costs_something_and_no_more_than_its_weight() -> None:
    irregular = {
        "regularity": host(jitter_seconds=30.0),
        "latency": host(latency_seconds=5.0),
        "spool": host(spool=10**6),
    }
    irregular["clock"] = host(skew_seconds=-90.0)
    for name, figures in irregular.items():
        assert lost(figures) == {name: WEIGHTS[name].points}


def test_a_few_milliseconds_more_are_not_slow_and_a_second_is_no_wrong_clock() -> None:
    figures = host(latency_seconds=0.18, usual_latency_seconds=0.004, skew_seconds=1.0, jitter_seconds=0.5, spool=300)
    assert value(figures) == 100


def test_a_host_over_http_is_scored_by_its_outages_and_what_is_not_told_is_said() -> None:
    assert value(http_host(was_down(5, days_ago=3))) == value(host(was_down(5, days_ago=3)))
    assert score_host(http_host(was_down(5, days_ago=3))).words == "89: down once in 7 days, for 5 min (−11)"
    words = score_host(http_host()).words
    assert words == "100: nothing lost; not known: loss, regularity, latency, spool, clock"


def test_a_host_that_was_not_heard_yet_has_no_score_and_is_told_why() -> None:
    score = score_host(host(state="new"))
    assert (score.value, score.parts, score.words) == (None, (), "no score: nothing heard yet")


def test_the_sentence_names_the_two_largest_losses() -> None:
    outages = [was_down(10, days_ago=days) for days in (2, 4, 6)]
    figures = host(*outages, beats_24_hours=Beats(1_440, 52), skew_seconds=90.0)
    assert score_host(figures).words == (
        "68: down 3 times in 7 days, for 30 min (−19); 3.6 % of heartbeats lost in 24 h (−11)"
    )


def test_all_that_can_go_wrong_leaves_nothing() -> None:
    outages = [was_down(60, days_ago=day) for day in (1, 2, 3, 4, 5, 6, 6.5)]
    figures = host(*outages, is_down(days=0.5), state="offline", flapping=True)
    bad = dataclasses.replace(
        figures, beats_24_hours=Beats(100, 900), beats_7_days=Beats(1_000, 900), jitter_seconds=1e9,
        latency_seconds=float("inf"), spool=10**30, skew_seconds=-1e300,
    )  # fmt: skip
    assert value(bad) == 0


@pytest.mark.parametrize(
    ("figures", "words"),
    [
        (host(state="offline"), "47: offline now (−40); down just now (−13)"),
        (
            host(was_down(5, days_ago=2), is_down(days=0.01), state="offline", flapping=True),
            "43: offline now, and flapping (−40); down 2 times in 7 days, for 19 min (−17)",
        ),
        (
            host(was_down(90, days_ago=2), was_down(90, days_ago=12)),
            "87: down once in 7 days and 2 times in 30, for 3 h (−13)",
        ),
        (host(was_down(60, days_ago=12)), "94: down once in 30 days, for 60 min (−6)"),
        (host(beats_7_days=Beats(168, 20)), "85: 20 of 168 heartbeats lost in 7 days (−15)"),
        (host(jitter_seconds=15.0), "98: heartbeats come with a jitter of 25 % of the interval (−2)"),
        (host(latency_seconds=1.25), "97: heartbeats take 1.2 s, usually 20 ms (−3)"),
        (
            host(spool=60_000, skew_seconds=-42.0),
            "98: 60,000 events wait in its spool (−1); its clock is 42 s off (−1)",
        ),
    ],
)
def test_a_score_is_said_in_a_sentence(figures: Figures, words: str) -> None:
    assert score_host(figures).words == words
