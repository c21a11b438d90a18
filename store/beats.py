"""What is counted about a host's heartbeats: a row, and how a beat changes it. No clock, no database.

A repetition changes nothing, so a batch that is delivered again after a crash counts nothing twice.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache

from store.rows import LATENCY_BOUNDS, Beat, BeatHour

LATENCY_BUCKETS = len(LATENCY_BOUNDS) + 1

WINDOW = 63  # how many of the newest seqs of a boot are known one by one: the bits of a positive bigint
SEEN_MASK = (1 << WINDOW) - 1
MOST = 2**53  # what a hostile agent can bring its figures to: every sum of them fits a bigint, and JavaScript
SHORTEST_INTERVAL_SECONDS = 0.001
JITTER_SHARE = 16  # RFC 3550, section 6.4.1

_FORMER_BOOTS = 3
# a beat of a boot that has been left is late, not the boot's return, when it came in before its successor: the broker
# tells how long it waited in whole seconds
_LATE = timedelta(seconds=1)
# without a boot nothing tells a new start but that it was silent for longer than a host that is alive can be
_AWAY_INTERVALS = 3


@dataclass(slots=True)
class Boot:
    """One start of an agent: its newest seq, the first that came, and in `seen` a bit for each of the newest 63."""

    boot: str
    seq: int
    first_seq: int
    seen: int
    began_at: datetime

    def take(self, seq: int) -> int | None:
        """How many beats more are missing now that `seq` has come, `None` when it had come before.

        -1: it was counted as lost. What is older than the window is taken for a repetition.
        """
        ahead = seq - self.seq
        if ahead > 0:
            self.seen = (self.seen << ahead | 1) & SEEN_MASK if ahead < WINDOW else 1
            self.seq = seq
            return ahead - 1
        bit = 1 << min(-ahead, WINDOW)
        if bit > SEEN_MASK or self.seen & bit:
            return None
        self.seen |= bit
        if seq >= self.first_seq:
            return -1
        missing = self.first_seq - seq - 1
        self.first_seq = seq
        return missing


@lru_cache(64)
def hour_of(at: datetime) -> datetime:
    """The beginning of the hour that `at` lies in."""
    return at.replace(minute=0, second=0, microsecond=0)


@dataclass(slots=True)
class Counts:
    """What is counted about one host's heartbeats.

    `expected` is counted up to `expected_at`: what lies between it and `beat_at` is added by who reads. The hour that
    is open is part of it, and becomes a row of its own when a beat of a later hour comes. `formers` are the boots
    before `boot`, the last one first. `delay` is what the newest beat's journey took by two clocks, `skew` the least
    of this hour and the last: the clocks' difference, and what is beyond it is latency.
    """

    source_host: str
    beat_at: datetime
    began_at: datetime
    expected_at: datetime
    hour: datetime
    interval_s: float
    boot: Boot | None = None
    formers: list[Boot] = field(default_factory=list)
    boot_returns: int = 0
    boot_returned_at: datetime | None = None
    spool: int | None = None
    total: int = 0
    expected: float = 0.0
    lost: int = 0
    delay: float | None = None
    skew: float | None = None
    skew_low: float | None = None
    jitter: float = 0.0
    hour_beats: int = 0
    hour_expected: float = 0.0
    hour_lost: int = 0
    hour_latency_sum: float = 0.0
    hour_latency_counts: list[int] = field(default_factory=lambda: [0] * LATENCY_BUCKETS)

    @classmethod
    def begin(cls, beat: Beat) -> Counts:
        """The row of a host before its first beat, which is to be counted next."""
        return cls(beat.source_host, beat.at, beat.at, beat.at, hour_of(beat.at), _interval(beat))

    def count(self, beat: Beat) -> BeatHour | None:
        """Count `beat`, unless it is a repetition. Returns the hour that it closes."""
        if beat.boot is None or beat.seq is None:
            closed = self._open_hour(beat.at)
            silent = (beat.at - self.beat_at).total_seconds()
            if self.boot is None and (not self.total or silent > _AWAY_INTERVALS * self.interval_s):
                self._expect_anew(beat.at)
            self._add(beat, 0)
            return closed
        if self.boot is not None and self.boot.boot == beat.boot:
            return self._count_current(self.boot, beat, beat.seq)
        former = next((one for one in self.formers if one.boot == beat.boot), None)
        if former is None or self.boot is None:
            return self._begin_boot(Boot(beat.boot, beat.seq, beat.seq, 1, beat.at), beat, 0)
        is_late = beat.seq <= former.seq or beat.at <= self.boot.began_at + _LATE
        missing = former.take(beat.seq)
        if missing is None:
            return None
        if is_late:
            closed = self._open_hour(beat.at)
            self._tally(missing)
            return closed
        self.formers.remove(former)
        self.boot_returns += 1
        self.boot_returned_at = beat.at
        return self._begin_boot(former, beat, missing)

    def close_hour(self) -> BeatHour:
        """The open hour as it stands."""
        return BeatHour(
            self.source_host, self.hour, self.hour_beats, self.hour_expected + self.unsettled(), self.hour_lost,
            self.hour_latency_sum, self.hour_latency_counts,
        )  # fmt: skip

    def unsettled(self) -> float:
        """How many beats were expected from `expected_at` to `beat_at`."""
        return max(0.0, (self.beat_at - self.expected_at).total_seconds()) / self.interval_s

    def _count_current(self, boot: Boot, beat: Beat, seq: int) -> BeatHour | None:
        newest = seq > boot.seq
        missing = boot.take(seq)
        if missing is None:
            return None
        closed = self._open_hour(beat.at)
        if beat.at < boot.began_at:
            self._expect((boot.began_at - beat.at).total_seconds() / self.interval_s)
            boot.began_at = beat.at
        self._add(beat, missing)
        self._time(beat.delay_seconds, newest)
        return closed

    def _begin_boot(self, boot: Boot, beat: Beat, missing: int) -> BeatHour | None:
        closed = self._open_hour(beat.at)
        if self.boot is not None:
            self.formers = [self.boot, *self.formers][:_FORMER_BOOTS]
        self.boot = boot
        # a machine's clock is set at its start
        self.delay = self.skew = self.skew_low = None
        self._expect_anew(beat.at)
        self._add(beat, missing)
        self._time(beat.delay_seconds, True)
        return closed

    def _open_hour(self, at: datetime) -> BeatHour | None:
        """A beat that comes later than its hour's end counts in the hour that is open."""
        hour = hour_of(at)
        if hour <= self.hour:
            return None
        self._settle()
        closed = self.close_hour()
        self.hour, self.hour_beats, self.hour_expected, self.hour_lost = hour, 0, 0.0, 0
        self.hour_latency_sum, self.hour_latency_counts = 0.0, [0] * LATENCY_BUCKETS
        self.skew, self.skew_low = self.skew if self.skew_low is None else self.skew_low, None
        return closed

    def _settle(self) -> None:
        self._expect(self.unsettled())
        self.expected_at = max(self.expected_at, self.beat_at)

    def _expect(self, beats: float) -> None:
        self.expected += beats
        self.hour_expected += beats

    def _expect_anew(self, at: datetime) -> None:
        """One beat, and none for the time since the last."""
        self._settle()
        self._expect(1)
        self.expected_at = max(self.expected_at, at)

    def _tally(self, missing: int) -> None:
        self.total += 1
        self.hour_beats += 1
        self.lost = min(self.lost + missing, MOST)
        self.hour_lost = min(self.hour_lost + missing, MOST)

    def _add(self, beat: Beat, missing: int) -> None:
        self._tally(missing)
        self.began_at = min(self.began_at, beat.at)
        if beat.at >= self.beat_at:
            if self.interval_s != _interval(beat):
                self._settle()
                self.interval_s = _interval(beat)
            self.beat_at = beat.at
            self.spool = beat.spool

    def _time(self, delay: float | None, newest: bool) -> None:
        if delay is None:
            return
        self.skew = delay if self.skew is None else min(self.skew, delay)
        self.skew_low = delay if self.skew_low is None else min(self.skew_low, delay)
        latency = delay - self.skew
        self.hour_latency_sum += latency
        self.hour_latency_counts[bisect_left(LATENCY_BOUNDS, latency)] += 1
        if newest:
            if self.delay is not None:
                self.jitter += (abs(delay - self.delay) - self.jitter) / JITTER_SHARE
            self.delay = delay


def _interval(beat: Beat) -> float:
    return max(beat.interval_s, SHORTEST_INTERVAL_SECONDS)
