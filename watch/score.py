"""The score: how well a host does, from 0 to 100, with what it lost and for what, and a sentence.

Each part measures one thing, and loses of its points by how much there is of it: none up to `free`, all from `full` on.
The score is 100 less the sum. docs/score.md says what the numbers are for.

1. One lost heartbeat costs 1 at most. It can make a host late, so `late` costs nothing.
2. A host that is down or flaps is below 50, whatever it was before. An announced absence costs nothing.
3. What is not told costs nothing, and the part says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from core.messages import VerdictState
from watch.uptime import HOUR_SECONDS, Uptime, say_length


class Weight(NamedTuple):
    """What a part can lose. Between `free` and `full` it loses points by the way gone, to the power of `power`."""

    points: int
    free: float
    full: float
    power: float = 1.0


WEIGHTS: Mapping[str, Weight] = {
    "present": Weight(40, free=0, full=1),  # 1: it is down or flaps
    "outages": Weight(34, free=0, full=10, power=0.5),  # outages of this week; the first one tells most
    "loss": Weight(15, free=0, full=0.05),  # share of the heartbeats, of 24 h or of 7 days, whichever is larger
    "regularity": Weight(4, free=0.05, full=0.5),  # jitter ÷ interval
    "latency": Weight(3, free=2, full=10),  # times the usual one
    "spool": Weight(2, free=1_000, full=100_000),  # events that wait
    "clock": Weight(2, free=5, full=60),  # seconds off
}
# an outage of the last 24 h is in all three windows and counts as 1.5, one of this week as 1, an older one as a quarter
IN_24_HOURS, IN_7_DAYS, IN_30_DAYS = 0.5, 0.75, 0.25
OUTAGE_HOURS = 12.0  # so long down counts like one more outage
LEAST_BEATS = 400  # of fewer heartbeats a lost one is not the share that it seems
LEAST_LATENCY_SECONDS = 0.1  # below this nobody is slow
_DOWN: frozenset[VerdictState] = frozenset({"offline", "missing", "zombie", "overdue"})
_PRESENT: Mapping[VerdictState, str] = {
    "new": "new",
    "online": "online",
    "late": "late, which costs nothing",
    "zombie": "a zombie now: it has a session and gives no heartbeats",
    "offline": "offline now",
    "missing": "missing: not heard for 30 days",
    "away": "away, as announced",
    "overdue": "overdue now",
}


class Beats(NamedTuple):
    """How many heartbeats a host sent within a time, by their numbers, and how many of these were lost."""

    sent: int
    lost: int


@dataclass(frozen=True, slots=True)
class Figures:
    """What a host is judged by; `None` is what is not told, as by an agent over HTTP, whose beats have no numbers.

    `latency_seconds` is what 95 % of the heartbeats of the last 24 h did not exceed, `usual_latency_seconds` the same
    of the last 7 days. `skew_seconds` is how far its clock is off, in either direction; `spool` counts events.
    """

    state: VerdictState
    uptime_24_hours: Uptime
    uptime_7_days: Uptime
    uptime_30_days: Uptime
    flapping: bool = False
    beats_24_hours: Beats | None = None
    beats_7_days: Beats | None = None
    interval_seconds: float | None = None
    jitter_seconds: float | None = None
    latency_seconds: float | None = None
    usual_latency_seconds: float | None = None
    spool: int | None = None
    skew_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a score: how many points it lost, and what was measured, in words."""

    name: str
    points_lost: int
    words: str


@dataclass(frozen=True, slots=True)
class Score:
    """`value` is 100 less what all parts lost; `None`, without parts, for a host that was not heard yet.

    `words` has the two largest losses: `70: down 3 times in 7 days, for 31 min (−19); 3.6 % of heartbeats lost (−11)`.
    """

    value: int | None
    parts: tuple[Part, ...]
    words: str


class _Measure(NamedTuple):
    """How much there is of what a part is about, `None` when it is not told."""

    amount: float | None
    words: str


def score_host(figures: Figures) -> Score:
    """The score of a host. More of anything that loses points never makes it higher."""
    if figures.state == "new":
        return Score(None, (), "no score: nothing heard yet")
    measures = {name: measure(figures) for name, measure in _MEASURES.items()}
    parts = tuple(
        Part(name, 0 if amount is None else _lose(WEIGHTS[name], amount), words)
        for name, (amount, words) in measures.items()
    )
    value = 100 - sum(part.points_lost for part in parts)
    largest = sorted((part for part in parts if part.points_lost), key=lambda part: -part.points_lost)[:2]
    words = "; ".join(f"{part.words} (−{part.points_lost})" for part in largest) or "nothing lost"
    untold = [name for name, measure in measures.items() if measure.amount is None]
    if untold and not largest:
        words += f"; not known: {', '.join(untold)}"
    return Score(value, parts, f"{value}: {words}")


def _lose(weight: Weight, amount: float) -> int:
    # `max` in this order makes of NaN what is free
    reached = min(max(weight.free, amount), weight.full)
    way = (reached - weight.free) / (weight.full - weight.free)
    return int(weight.points * way**weight.power + 0.5)


def _in_trouble(figures: Figures) -> bool:
    return figures.state in _DOWN or (figures.flapping and figures.state != "away")


def _measure_present(figures: Figures) -> _Measure:
    words = _PRESENT[figures.state]
    if figures.flapping and figures.state != "away":
        words = f"{words}, and flapping" if figures.state in _DOWN else "flapping now"
    return _Measure(float(_in_trouble(figures)), words)


def _measure_outages(figures: Figures) -> _Measure:
    day, week, month = figures.uptime_24_hours, figures.uptime_7_days, figures.uptime_30_days
    amount = sum(
        weight * (uptime.outages + uptime.down_seconds / (OUTAGE_HOURS * HOUR_SECONDS))
        for weight, uptime in ((IN_24_HOURS, day), (IN_7_DAYS, week), (IN_30_DAYS, month))
    )
    if _in_trouble(figures):
        # the row of the outage that has just begun may be newer than these
        amount = max(amount, IN_24_HOURS + IN_7_DAYS + IN_30_DAYS)
    words = _say_outages(week, month)
    return _Measure(amount, "down just now" if amount and not month.outages else words)


def _say_outages(week: Uptime, month: Uptime) -> str:
    if not month.outages:
        return "no outage in 30 days"
    if not week.outages:
        return f"down {_times(month.outages)} in 30 days, for {say_length(month.down_seconds)}"
    if week.outages == month.outages:
        return f"down {_times(week.outages)} in 7 days, for {say_length(week.down_seconds)}"
    in_30 = f"{_times(month.outages)} in 30, for {say_length(month.down_seconds)}"
    return f"down {_times(week.outages)} in 7 days and {in_30}"


def _measure_loss(figures: Figures) -> _Measure:
    windows = ((figures.beats_24_hours, "24 h"), (figures.beats_7_days, "7 days"))
    found = [(_share_lost(beats), *beats, window) for beats, window in windows if beats is not None]
    if not found:
        return _Measure(None, "loss is not known: its heartbeats have no numbers")
    share, sent, lost, window = max(found)
    if share <= 0:
        return _Measure(0.0, "no heartbeat lost")
    told = f"{lost} of {sent} heartbeats" if sent < LEAST_BEATS else f"{_percent(share)} of heartbeats"
    return _Measure(share, f"{told} lost in {window}")


def _share_lost(beats: Beats) -> float:
    return min(beats.lost, beats.sent) / max(beats.sent, LEAST_BEATS)


def _measure_regularity(figures: Figures) -> _Measure:
    jitter, interval = figures.jitter_seconds, figures.interval_seconds
    if jitter is None or not interval or interval < 0:
        return _Measure(None, "regularity is not known: its heartbeats do not tell when they were sent")
    return _Measure(
        jitter / interval, f"heartbeats come with a jitter of {_percent(jitter / interval)} of the interval"
    )


def _measure_latency(figures: Figures) -> _Measure:
    latency, usual = figures.latency_seconds, figures.usual_latency_seconds
    if latency is None or usual is None:
        return _Measure(None, "latency is not known: its heartbeats do not tell when they were sent")
    ratio = latency / max(usual, LEAST_LATENCY_SECONDS)
    return _Measure(ratio, f"heartbeats take {_seconds(latency)}, usually {_seconds(usual)}")


def _measure_spool(figures: Figures) -> _Measure:
    if figures.spool is None:
        return _Measure(None, "spool is not known: its heartbeats do not tell how many events wait")
    return _Measure(figures.spool, f"{figures.spool:,} events wait in its spool" if figures.spool else "no events wait")


def _measure_clock(figures: Figures) -> _Measure:
    if figures.skew_seconds is None:
        return _Measure(None, "its clock is not known: its heartbeats do not tell when they were sent")
    skew = abs(figures.skew_seconds)
    return _Measure(skew, f"its clock is {_seconds(skew)} off")


_MEASURES: Mapping[str, Callable[[Figures], _Measure]] = {
    "present": _measure_present,
    "outages": _measure_outages,
    "loss": _measure_loss,
    "regularity": _measure_regularity,
    "latency": _measure_latency,
    "spool": _measure_spool,
    "clock": _measure_clock,
}


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"


def _percent(share: float) -> str:
    if 0 < share < 0.0005:
        return "<0.1 %"
    return f"{100 * share:.0f} %" if share >= 0.0995 else f"{100 * share:.1f} %".replace(".0 ", " ")


def _seconds(seconds: float) -> str:
    if seconds < 1:
        return f"{1000 * seconds:.0f} ms"
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
