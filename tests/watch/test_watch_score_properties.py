"""The score, for whatever figures there are: it is what its parts say, and what gets worse never makes it higher."""

from __future__ import annotations

import dataclasses
import math

from hypothesis import given, settings
from hypothesis import strategies as st

from core.messages import VerdictState
from watch.score import WEIGHTS, Beats, Figures, score_host
from watch.uptime import DAY_SECONDS, Uptime

STATES: list[VerdictState] = ["online", "late", "away", "zombie", "offline", "missing", "overdue"]
examples = settings(max_examples=400, deadline=None)
# where a part begins to lose and where it has lost all, and far beyond
seconds = st.floats(0, 700) | st.sampled_from([0.0, 1e-9, 0.1, 5.0, 60.0, 1e9, 1e300])
numbers = st.integers(0, 12) | st.integers(0, 20_000)
beats = st.none() | st.builds(Beats, numbers, numbers)


def spent(days: int, outages: int, down_seconds: int) -> Uptime:
    window = days * DAY_SECONDS
    down = min(down_seconds, window)
    return Uptime(window, window, window - down, down, 0, 0, outages, 1 - down / window)


def down_in(days: int) -> st.SearchStrategy[Uptime]:
    return st.builds(spent, st.just(days), st.integers(0, 30), st.integers(0, days * DAY_SECONDS))


figures = st.builds(
    Figures, st.sampled_from(STATES), down_in(1), down_in(7), down_in(30), st.booleans(), beats, beats,
    st.none() | st.sampled_from([0.0, 5.0, 60.0, 3600.0]), st.none() | seconds, st.none() | seconds,
    st.none() | seconds, st.none() | st.integers(0, 200_000), st.none() | seconds | seconds.map(lambda one: -one),
)  # fmt: skip


def value(of: Figures) -> int:
    found = score_host(of).value
    assert found is not None
    return found


@examples
@given(figures)
def test_a_score_is_100_less_what_its_parts_lost_and_no_part_loses_more_than_its_weight(of: Figures) -> None:
    score = score_host(of)
    assert score.value == 100 - sum(part.points_lost for part in score.parts)
    assert 0 <= score.value <= 100
    assert [part.name for part in score.parts] == list(WEIGHTS)
    assert all(0 <= part.points_lost <= WEIGHTS[part.name].points for part in score.parts)
    assert all(part.words for part in score.parts)


@examples
@given(figures)
def test_the_sentence_begins_with_the_value_and_names_two_losses_at_most_the_largest(of: Figures) -> None:
    score = score_host(of)
    losses = sorted((part.points_lost for part in score.parts if part.points_lost), reverse=True)[:2]
    assert score.words.startswith(f"{score.value}: ")
    assert ("nothing lost" in score.words) == (score.value == 100)
    assert score.words.count("(−") == len(losses)
    assert all(f"(−{points})" in score.words for points in losses)


@examples
@given(figures, st.data())
def test_more_of_what_is_bad_never_makes_a_score_higher(of: Figures, data: st.DataObject) -> None:
    more = data.draw(st.integers(0, 5_000), "more")

    def longer(uptime: Uptime, outages: int) -> Uptime:
        return spent(uptime.window_seconds // DAY_SECONDS, uptime.outages + outages, uptime.down_seconds + more)

    # an outage of the last 24 h is one of this week and of this month too
    age = data.draw(st.sampled_from([1, 7, 30]), "age")
    again = data.draw(st.integers(0, 2), "outages")
    worse = dataclasses.replace(
        of,
        uptime_24_hours=longer(of.uptime_24_hours, again) if age == 1 else of.uptime_24_hours,
        uptime_7_days=longer(of.uptime_7_days, again) if age <= 7 else of.uptime_7_days,
        uptime_30_days=longer(of.uptime_30_days, again),
    )
    assert value(worse) <= value(of)
    for name, changed in {
        "beats_24_hours": of.beats_24_hours and of.beats_24_hours._replace(lost=of.beats_24_hours.lost + more),
        "beats_7_days": of.beats_7_days and of.beats_7_days._replace(lost=of.beats_7_days.lost + more),
        "jitter_seconds": None if of.jitter_seconds is None else of.jitter_seconds + more,
        "latency_seconds": None if of.latency_seconds is None else of.latency_seconds + more,
        "spool": None if of.spool is None else of.spool + more,
        "skew_seconds": None if of.skew_seconds is None else of.skew_seconds + math.copysign(more, of.skew_seconds),
        "flapping": of.flapping or bool(more),
    }.items():
        assert value(dataclasses.replace(of, **{name: changed})) <= value(of), name


@examples
@given(figures, st.sampled_from(["offline", "missing", "zombie", "overdue"]))
def test_a_host_that_is_down_is_below_50_and_never_above_what_it_was(of: Figures, state: VerdictState) -> None:
    down = value(dataclasses.replace(of, state=state))
    assert down < 50
    assert down <= value(of)
    online = value(dataclasses.replace(of, state="online", flapping=False))
    assert value(dataclasses.replace(of, state="away")) == online


@examples
@given(figures, st.sampled_from(("online", "late")), st.booleans())
def test_one_lost_heartbeat_costs_one_point_at_most(of: Figures, state: VerdictState, was_counted: bool) -> None:
    """It was sent, whether or not it was counted as sent before, and it may make the host late."""
    of = dataclasses.replace(of, state=state)

    def with_one_more(found: Beats | None) -> Beats | None:
        return found and Beats(found.sent + (not was_counted), found.lost + 1)

    after = dataclasses.replace(
        of,
        state="late",
        beats_24_hours=with_one_more(of.beats_24_hours),
        beats_7_days=with_one_more(of.beats_7_days),
    )
    assert value(after) >= value(of) - 1


@examples
@given(figures, st.sampled_from([math.nan, math.inf, -math.inf, -1.0]), st.integers(-(2**70), 2**70))
def test_figures_that_cannot_be_raise_nothing(of: Figures, number: float, count: int) -> None:
    odd = dataclasses.replace(
        of, beats_24_hours=Beats(count, count), beats_7_days=Beats(1, 10**400), interval_seconds=number,
        jitter_seconds=number, latency_seconds=number, usual_latency_seconds=number, spool=count, skew_seconds=number,
    )  # fmt: skip
    assert 0 <= value(odd) <= 100
