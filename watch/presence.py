"""What a host is, from its signals: a pure function. Every time is in seconds since 1970, by the server's clock.

Two signals, and neither is believed alone: the session (birth and will) and the heartbeat. The first rule that fits
decides; they are those of the design's table, in its order.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from core.messages import State, VerdictState

GRACE_SECONDS = 3.0  # within which a session that ended may return
LATE_INTERVALS, SILENT_INTERVALS = 2.0, 3.0
MISSING_SECONDS = 30 * 86_400.0
NEVER = -math.inf
REASONS = {"lost": "crashed", "stop": "stopped", "shutdown": "shutdown"}


@dataclass(frozen=True, slots=True)
class Session:
    """The last session that was heard of: `at` is when it came to be what it is.

    `born_at` is when its birth was heard live, `NEVER` for one that was there before us. `due_at` belongs to `away`.
    One that is not `dated` has come to it at some time before `at`.
    """

    id: str
    state: State
    reason: str
    at: float
    born_at: float = NEVER
    due_at: float | None = None
    dated: bool = True


@dataclass(frozen=True, slots=True)
class Signals:
    """All that is known of a host. `beat_at` is its newest heartbeat, `heard_at` that or its newest events.

    `listening_since`: from then on we have heard everything there was to hear. `proven`: the broker that told of the
    session is the one that it is with.
    """

    interval_seconds: float
    listening_since: float
    session: Session | None = None
    proven: bool = True
    beat_at: float = NEVER
    heard_at: float = NEVER


class Judgement(NamedTuple):
    """What a host is, since when and why.

    `ripe_at` is when it came to be so for want of a signal: it may be said once a round trip has shown that none was
    on its way. `NEVER`: a signal says so. `next_at` is when it changes if nothing is heard; `inf`: not by itself.
    `by_events`: events would have been a sign, too.
    """

    state: VerdictState
    reason: str
    since: float
    ripe_at: float = NEVER
    next_at: float = math.inf
    by_events: bool = False


class Wait(NamedTuple):
    """Nothing new may be said before `until`."""

    until: float


def judge(signals: Signals, held: Judgement | None, now: float) -> Judgement | Wait:
    """What the host is at `now`, when it was `held` to be something else or the same so far.

    After we could not hear, everybody has an interval and the grace to speak before anybody is said to be silent.
    """
    session = signals.session
    heard_at = max(signals.beat_at, signals.heard_at)
    if session is None and heard_at == NEVER:
        return Judgement("new", "nothing heard yet", held.since if held else now)
    # a beat from before its end may have been dated by another process; a later one is another agent's, over HTTP
    if session is not None and signals.beat_at <= session.at + GRACE_SECONDS:
        if session.state == "away":
            return _judge_away(session, signals, now)
        if session.state == "offline":
            return _judge_ended(session, signals, now)
    if session is not None and session.state == "online" and signals.proven:
        return _judge_age(signals, max(signals.beat_at, session.at), "zombie", held, now)
    return _judge_age(signals, max(heard_at, session.at if session else NEVER), "offline", held, now)


def _judge_away(session: Session, signals: Signals, now: float) -> Judgement | Wait:
    due_at = session.at if session.due_at is None else session.due_at
    if now < due_at:
        return Judgement("away", session.reason, session.at, next_at=due_at)
    ripe_at = max(due_at, _settled_at(signals))
    if now < ripe_at:
        return Wait(ripe_at)
    missing_at = due_at + MISSING_SECONDS
    if now >= missing_at:
        return Judgement("missing", "overdue", due_at, missing_at)
    return Judgement("overdue", session.reason, due_at, ripe_at, missing_at)


def _judge_ended(session: Session, signals: Signals, now: float) -> Judgement | Wait:
    ripe_at = session.at + GRACE_SECONDS
    if session.born_at < signals.listening_since:
        # its connection may have ended for the same cause as our hearing
        ripe_at = max(ripe_at, _settled_at(signals))
    return _judge_offline(REASONS.get(session.reason, session.reason), session.at, ripe_at, now)


def _judge_offline(reason: str, since: float, ripe_at: float, now: float) -> Judgement | Wait:
    if now < ripe_at:
        return Wait(ripe_at)
    missing_at = since + MISSING_SECONDS
    if now >= missing_at:
        return Judgement("missing", reason, since, missing_at, by_events=reason == "silent")
    return Judgement("offline", reason, since, ripe_at, missing_at, by_events=reason == "silent")


def _judge_age(
    signals: Signals, heard_at: float, silent: VerdictState, held: Judgement | None, now: float
) -> Judgement | Wait:
    """By how long ago the sign was that counts; `silent` is what becomes of a host that gives none."""
    settled_at = _settled_at(signals)
    late_at = heard_at + LATE_INTERVALS * signals.interval_seconds
    silent_at = max(heard_at + SILENT_INTERVALS * signals.interval_seconds, settled_at)
    if now < late_at:
        online = held is not None and held.state == "online"
        return Judgement("online", "", held.since if online and held else heard_at, next_at=late_at)
    if now < settled_at:
        return Wait(settled_at)
    if now < silent_at:
        ripe_at = max(late_at, settled_at)
        return Judgement("late", "no heartbeat", heard_at, ripe_at, silent_at, by_events=silent == "offline")
    if silent == "zombie":
        return Judgement("zombie", "no heartbeat, but a session", heard_at, silent_at)
    return _judge_offline("silent", heard_at, silent_at, now)


def _settled_at(signals: Signals) -> float:
    return signals.listening_since + signals.interval_seconds + GRACE_SECONDS
