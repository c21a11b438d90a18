"""How a beat changes what is counted: in any order, repeated and split, distinct beats make the same totals."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store import Beat
from store.beats import WINDOW, Counts

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
MINUTE = 60.0


def a_beat(seq: int | None, boot: str | None = "a", minute: float | None = None, **changes: float) -> Beat:
    at = NOON + timedelta(minutes=(seq or 0) if minute is None else minute)
    return Beat("web-01", "LINUX", at, seq, boot, MINUTE, **changes)


def counted(beats: list[Beat]) -> Counts:
    counts = Counts.begin(beats[0])
    for beat in beats:
        counts.count(beat)
    return counts


def totals(counts: Counts) -> tuple[int, int, float]:
    return counts.total, counts.lost, pytest.approx(counts.expected + counts.unsettled())


@given(st.data())
def test_any_order_and_repetition_within_the_window_makes_the_totals_of_one_pass(data: st.DataObject) -> None:
    first = data.draw(st.integers(0, 2**53 - 2 * WINDOW))
    seqs = data.draw(st.lists(st.integers(first, first + WINDOW - 1), min_size=1, unique=True))
    again = data.draw(st.permutations(seqs + data.draw(st.lists(st.sampled_from(seqs), max_size=20))))

    def beats(order: list[int]) -> list[Beat]:
        return [a_beat(seq, minute=seq - first) for seq in order]

    once = counted(beats(sorted(seqs)))
    assert (once.total, once.lost) == (len(seqs), max(seqs) - min(seqs) + 1 - len(seqs))
    assert once.expected + once.unsettled() == pytest.approx(max(seqs) - min(seqs) + 1)
    assert totals(counted(beats(again))) == totals(once)


@given(st.lists(st.integers(0, 400), min_size=1, unique=True), st.data())
def test_a_batch_delivered_again_from_anywhere_counts_nothing(seqs: list[int], data: st.DataObject) -> None:
    seqs.sort()
    begin = data.draw(st.integers(0, len(seqs) - 1))
    end = data.draw(st.integers(begin, len(seqs) - 1))
    redelivered = seqs[: end + 1] + seqs[begin:]
    assert totals(counted([a_beat(seq) for seq in redelivered])) == totals(counted([a_beat(seq) for seq in seqs]))


def test_a_gap_is_a_loss_until_the_late_beat_comes() -> None:
    counts = counted([a_beat(seq) for seq in (0, 1, 5)])
    assert counts.lost == 3
    counts.count(a_beat(3, minute=5.5))
    assert (counts.total, counts.lost) == (4, 2)
    counts.count(a_beat(3, minute=5.6))
    assert (counts.total, counts.lost) == (4, 2)


def test_what_is_older_than_the_window_stays_lost() -> None:
    counts = counted([a_beat(0), a_beat(WINDOW + 1)])
    counts.count(a_beat(1))
    assert (counts.total, counts.lost) == (2, WINDOW)


def test_a_new_boot_is_no_loss_and_the_time_away_is_not_expected() -> None:
    counts = counted([a_beat(0), a_beat(1), a_beat(7, "b", 500), a_beat(8, "b", 501)])
    assert (counts.total, counts.lost, counts.boot_returns) == (4, 0, 0)
    assert counts.expected + counts.unsettled() == pytest.approx(4)


def test_two_agents_of_one_name_show_as_boots_that_return() -> None:
    beats = [a_beat(turn, boot, turn + 0.4 * (boot == "b")) for turn in range(5) for boot in "ab"]
    counts = counted(beats)
    assert (counts.total, counts.lost) == (10, 0)
    assert counts.boot_returns == 8
    assert counts.boot_returned_at == beats[-1].at
    # and each of them delivered again is a repetition
    assert totals(counted(beats + beats)) == totals(counts)


@pytest.mark.parametrize("seq", [8, 9, 11])
def test_a_beat_of_the_boot_before_that_comes_late_is_no_return(seq: int) -> None:
    counts = counted([a_beat(seq, minute=seq / 10) for seq in (7, 10)] + [a_beat(0, "b", 2)])
    counts.count(a_beat(seq, minute=1.5 if seq > 10 else 3))
    assert (counts.total, counts.boot_returns) == (4, 0)
    assert counts.lost == (2 if seq > 10 else 1)
    assert counts.boot is not None
    assert counts.boot.boot == "b"


def test_without_seq_and_boot_no_loss_is_judged_and_a_silence_begins_anew() -> None:
    counts = counted([a_beat(None, None, minute) for minute in (0, 1, 2, 600, 601)])
    assert (counts.total, counts.lost) == (5, 0)
    assert counts.expected + counts.unsettled() == pytest.approx(5)


def test_beats_of_a_gateway_between_an_agents_own_disturb_no_count_of_its_boot() -> None:
    counts = counted([a_beat(0), a_beat(None, None, 0.5), a_beat(1), a_beat(None, None, 1.5), a_beat(4)])
    assert (counts.total, counts.lost) == (5, 2)


def test_the_hours_make_the_totals_whatever_hour_a_beat_says() -> None:
    beats = [a_beat(seq, minute=minute) for seq, minute in ((0, 0), (1, 59), (3, 61), (2, 58), (5, 200), (4, 30))]
    counts = Counts.begin(beats[0])
    hours = [hour for beat in beats if (hour := counts.count(beat)) is not None]
    assert [hour.hour.hour for hour in hours] == [12, 13]
    hours.append(counts.close_hour())
    assert sum(hour.beats for hour in hours) == counts.total == 6
    assert sum(hour.lost for hour in hours) == counts.lost == 0
    assert sum(hour.expected for hour in hours) == pytest.approx(counts.expected + counts.unsettled())


def test_a_clock_that_is_wrong_is_skew_and_what_a_journey_takes_longer_is_latency() -> None:
    delays = [-3600.0, -3599.97, -3600.0, -3599.0]
    counts = counted([a_beat(seq, delay_seconds=delay) for seq, delay in enumerate(delays)])
    assert counts.skew == -3600
    assert counts.hour_latency_counts == [2, 1, 0, 0, 0, 1, 0, 0]
    assert counts.hour_latency_sum == pytest.approx(1.03)
    assert 0 < counts.jitter < 1


def test_a_clock_that_was_set_is_believed_after_two_hours() -> None:
    counts = counted([a_beat(seq, delay_seconds=100.0 if seq > 30 else 0.0) for seq in range(200)])
    assert counts.skew == 100
    assert sum(counts.hour_latency_counts[1:]) == 0


def test_a_hostile_agent_cannot_count_beyond_what_a_database_holds() -> None:
    seqs = [0, 2**53 - 1]
    beats = [a_beat(seq, f"boot-{turn}", turn) for turn in range(3_000) for seq in seqs]
    assert counted(beats).lost == 2**53
