"""What goes into the store and what comes out of it. Every time is UTC; every text is as it was sent."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import pairwise
from typing import NamedTuple

from core.messages import DEFAULT_INTERVAL_SECONDS, Alert, Event, VerdictState

# upper ends of the buckets of heartbeats' latency, in seconds; the last bucket has none
LATENCY_BOUNDS = (0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)


@dataclass(slots=True)  # not frozen, which would double the time to make one
class Beat:
    """A sign of life of a host: `at` is the server's clock when the message came in.

    The rest is the heartbeat's own; without `seq` and `boot`, which are told together, no loss is judged.
    `delay_seconds` is from `sent_at` to when it came in, by two clocks.
    """

    source_host: str
    os_type: str
    at: datetime
    seq: int | None = None
    boot: str | None = None
    interval_s: float = DEFAULT_INTERVAL_SECONDS
    spool: int | None = None
    delay_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """What was refused, and why. `size` is in bytes, of the whole; of `payload` 64 KiB are kept."""

    topic: str
    source_host: str | None
    reason: str
    payload: bytes
    size: int


@dataclass(slots=True)
class WriteBatch:
    """What one transaction of the ingestor stores. `received_at` is the server's clock.

    Hosts that the ingestor itself holds off are treated as if they were barred in the database.
    """

    events: list[Event]
    received_at: datetime
    dead: list[DeadLetter] = field(default_factory=list)
    beats: list[Beat] = field(default_factory=list)
    held_off: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Written:
    """What became of a batch's events: each is counted once, but those that no database can store.

    These and the conflicts are among `letters`, all that were stored with the batch. `dropped` counts what came
    of barred hosts (`barred`), heartbeats and dead letters too; no message of the `unanswered` may have a receipt.
    """

    stored: int
    duplicates: int
    conflicts: int
    letters: Sequence[DeadLetter] = field(default=(), compare=False, repr=False)
    dropped: int = 0
    unanswered: frozenset[str] = frozenset()


@dataclass(slots=True)
class Host:
    """One host. `last_seen` is `None` when an old database holds no readable time for it.

    `state`, `since` and `reason` are its verdict: `None` when nobody has judged it yet, and so is `score`.
    """

    hostname: str
    os_type: str
    last_seen: datetime | None
    total_events: int
    tags: list[str]
    state: VerdictState | None = None
    since: datetime | None = None
    reason: str | None = None
    score: int | None = None
    back_by: datetime | None = None


@dataclass(frozen=True, slots=True)
class KnownHost:
    """A host, and when it was first heard."""

    source_host: str
    since: datetime | None
    tags: list[str]


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events are asked for; `None` asks for all.

    `since` (at or after) and `until` (before) are about when an event was stored, `happened_since` and
    `happened_until` about its timestamp. `q` is a part of the message or the user, in either case of letters.
    """

    source_host: str | None = None
    event_type: str | None = None
    os_type: str | None = None
    source_ip: str | None = None
    severity_gte: int | None = None
    q: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    happened_since: datetime | None = None
    happened_until: datetime | None = None


@dataclass(slots=True)
class StoredEvent:
    """A row of `logs`. Times are RFC 3339 in UTC; what cannot be read as a time is as it was stored.

    What a row of an old database lacks is "" (`severity`: `None`).
    """

    id: int
    event_id: str
    timestamp: str
    source_host: str
    os_type: str
    event_type: str
    severity: int | None
    source_ip: str
    user: str
    raw_message: str
    created_at: str


@dataclass(frozen=True, slots=True)
class Key:
    """Who holds an API key or a session, and what it may do. `host` binds an agent's key to its host.

    `expires_at` is its end, `None` for never.
    """

    name: str
    scopes: frozenset[str]
    host: str | None = None
    expires_at: datetime | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class KeyRow:
    """An API key as it is listed: `id` is the beginning of its hash, which tells nothing of the key."""

    id: str
    name: str
    scopes: frozenset[str]
    host: str | None
    created_at: datetime
    expires_at: datetime | None
    last_used: datetime | None


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """Who did what to what, and when."""

    id: int
    at: datetime
    who: str
    action: str
    target: str
    detail: str


@dataclass(frozen=True, slots=True)
class Order:
    """What the keeper is told to do: `kind` is enroll, revoke or disable. `error` says why a done one was
    not possible."""

    id: int
    kind: str
    host: str
    sealed: bytes | None
    done: bool
    error: str | None


@dataclass(frozen=True, slots=True)
class Outage:
    """An interval in which a host was not alive. `ended_at` is `None` while it lasts.

    `cause` is the last thing that was known of it: crashed, stopped, shutdown, silent, zombie, away (as announced),
    overdue (announced, and longer), revoked, or unseen (while nobody watched).
    """

    source_host: str
    began_at: datetime
    ended_at: datetime | None
    cause: str


@dataclass(frozen=True, slots=True)
class BeatHour:
    """What was counted about a host's heartbeats in an hour that began at `hour`.

    `expected` is what its interval asked for since the beat before; `lost` what is missing in `seq`, less what came
    late and was counted as lost before, so it may be below zero. Latency is from `sent_at` to when it came in, in
    seconds, with the clock's skew taken out: its sum, and of its distribution the counts of the buckets.
    """

    source_host: str
    hour: datetime
    beats: int
    expected: float
    lost: int
    latency_sum: float
    latency_counts: Sequence[int]

    @property
    def latency_mean(self) -> float | None:
        """Seconds; `None` when no heartbeat told when it was sent."""
        observed = sum(self.latency_counts)
        return self.latency_sum / observed if observed else None

    @property
    def latency_p95(self) -> float | None:
        """The latency (seconds) that 95 % did not exceed, between its bucket's ends by proportion; `None` as above.

        What lies in the last bucket, which has no end, is told by the last bound.
        """
        left = sum(self.latency_counts) * 0.95
        if not left:
            return None
        for (low, high), count in zip(pairwise((0.0, *LATENCY_BOUNDS)), self.latency_counts, strict=False):
            if left <= count:
                return low + (high - low) * left / count
            left -= count
        return LATENCY_BOUNDS[-1]


def latency_of(hours: Iterable[BeatHour]) -> tuple[float | None, float | None]:
    """Mean and 95 % of the latency of several hours together, in seconds; as of one hour."""
    told = list(hours)
    if not told:
        return None, None
    counts = [sum(column) for column in zip(*(hour.latency_counts for hour in told), strict=True)]
    whole = replace(told[0], latency_sum=sum(hour.latency_sum for hour in told), latency_counts=counts)
    return whole.latency_mean, whole.latency_p95


@dataclass(frozen=True, slots=True)
class BeatFigures:
    """What is known of a host's heartbeats. Counts are since `began_at`, its first one; seconds throughout.

    `lost` is of boots that told `seq`, and `loss` its share of what they sent; `None` when none did. Latency is of the
    last 24 hours; `skew` is how far the host's clock is behind the server's, and the shortest journey. `boot_returns`
    counts how often a boot came back after another had taken its place, as with two agents of one name.
    """

    source_host: str
    boot: str | None
    interval_s: float
    spool: int | None
    beat_at: datetime
    began_at: datetime
    total: int
    expected: float
    lost: int
    loss: float | None
    latency_mean: float | None
    latency_p95: float | None
    jitter: float | None
    skew: float | None
    boot_returns: int
    boot_returned_at: datetime | None


class Signal(NamedTuple):
    """What tells whether a host is alive. `last_seen` is renewed by events too, `beat_at` by heartbeats alone.

    `interval_s` is in seconds. The last three are `None` for a host that has sent no heartbeat yet.
    """

    source_host: str
    last_seen: datetime | None
    beat_at: datetime | None
    interval_s: float | None
    boot: str | None


@dataclass(frozen=True, slots=True)
class HeldVerdict:
    """What a host is held to be. `version` counts its transitions: 0 when there was none yet."""

    source_host: str
    state: VerdictState
    reason: str
    since: datetime
    back_by: datetime | None
    version: int


@dataclass(frozen=True, slots=True)
class Claims:
    """What came of transitions that were claimed: those that are ours now, and of the others what holds instead.

    `opened` and `resolved` are the alerts that came and went with ours. Of hosts that were `forgotten` nothing holds.
    """

    won: list[HeldVerdict]
    lost: list[HeldVerdict]
    opened: list[Alert]
    resolved: list[Alert]
    forgotten: frozenset[str] = frozenset()
