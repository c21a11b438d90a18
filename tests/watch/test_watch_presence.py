"""Each rule of the table of verdicts, and what holds for all of them together."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watch.presence import GRACE_SECONDS, MISSING_SECONDS, NEVER, Judgement, Session, Signals, Wait, judge

INTERVAL = 30.0
NOW = 1_000_000.0
DAY = 86_400.0


def look(
    session: Session | None = None, *, beat: float | None = None, heard: float | None = None,
    listening: float = DAY, proven: bool = True,
) -> Judgement | Wait:  # fmt: skip
    """What a host is whose newest heartbeat came `beat` seconds ago, and events `heard` seconds ago."""
    ago = [NEVER if seconds is None else NOW - seconds for seconds in (beat, heard)]
    return judge(Signals(INTERVAL, NOW - listening, session, proven, *ago), None, NOW)


def say(*words: Any, **signals: Any) -> tuple[str, str]:
    found = look(*words, **signals)
    assert isinstance(found, Judgement), found
    return found.state, found.reason


def online(ago: float = DAY / 2) -> Session:
    return Session("s", "online", "start", NOW - ago, born_at=NOW - ago)


def ended(reason: str, ago: float, born: float = DAY / 2) -> Session:
    return Session("s", "offline", reason, NOW - ago, born_at=NOW - born)


def away(ago: float, due_in: float) -> Session:
    return Session("s", "away", "reboot", NOW - ago, due_at=NOW + due_in)


def test_who_is_enrolled_and_was_never_heard_is_new() -> None:
    assert say() == ("new", "nothing heard yet")


def test_who_announced_an_absence_is_away_until_then_and_overdue_after_it() -> None:
    assert say(away(100, 1), beat=130) == ("away", "reboot")
    assert say(away(100, -1), beat=130) == ("overdue", "reboot")
    found = look(away(100, -1), beat=130)
    assert isinstance(found, Judgement)
    assert found.since == NOW - 1, "since it should have been back"


@pytest.mark.parametrize(
    ("said", "reason"), [("lost", "crashed"), ("stop", "stopped"), ("shutdown", "shutdown")]
)  # fmt: skip
def test_a_session_that_ended_and_did_not_return_within_the_grace_is_offline(said: str, reason: str) -> None:
    assert look(ended(said, GRACE_SECONDS - 0.1), beat=10) == Wait(pytest.approx(NOW + 0.1))
    assert say(ended(said, GRACE_SECONDS), beat=10) == ("offline", reason)
    found = look(ended(said, 60), beat=61)
    assert isinstance(found, Judgement)
    assert found.since == NOW - 60, "since the session ended, not since it was said"


def test_with_a_proven_session_it_is_online_late_or_a_zombie_by_its_heartbeats() -> None:
    assert say(online(), beat=2 * INTERVAL - 1) == ("online", "")
    assert say(online(), beat=2 * INTERVAL + 1)[0] == "late"
    assert say(online(), beat=3 * INTERVAL + 1)[0] == "zombie"


def test_events_do_not_make_up_for_the_heartbeats_of_a_session() -> None:
    assert say(online(), beat=3 * INTERVAL + 1, heard=1)[0] == "zombie"


def test_a_birth_is_a_sign_of_life() -> None:
    assert say(online(1)) == ("online", "")


@pytest.mark.parametrize("session", [None, online()], ids=["over HTTP", "a ghost"])
def test_without_a_proven_session_it_is_online_late_or_offline_by_whatever_was_heard(session: Session | None) -> None:
    assert say(session, beat=2 * INTERVAL - 1, proven=False) == ("online", "")
    assert say(session, heard=2 * INTERVAL - 1, proven=False) == ("online", "")
    assert say(session, heard=2 * INTERVAL + 1, proven=False)[0] == "late"
    assert say(session, heard=3 * INTERVAL + 1, proven=False) == ("offline", "silent")


def test_a_stopped_agent_that_beats_over_http_is_online() -> None:
    assert say(ended("stop", 60), beat=10) == ("online", "")
    assert say(ended("stop", 60), beat=61, heard=1) == ("offline", "stopped"), "late events prove nothing"


@pytest.mark.parametrize("session", [ended("lost", MISSING_SECONDS), None, away(2 * MISSING_SECONDS, -MISSING_SECONDS)])
def test_who_is_gone_for_thirty_days_is_missing(session: Session | None) -> None:
    assert say(session, beat=MISSING_SECONDS + 100, listening=2 * MISSING_SECONDS)[0] == "missing"


def test_after_a_blackout_everybody_has_an_interval_and_the_grace_to_speak() -> None:
    for session in (online(), ended("lost", 4), away(100, -1), None):
        for proven in (True, False):
            wait = look(session, beat=1_000, listening=5, proven=proven)
            assert wait == Wait(pytest.approx(NOW - 5 + INTERVAL + GRACE_SECONDS)), session
        assert say(session, beat=1_000, listening=INTERVAL + GRACE_SECONDS)[0] in ("zombie", "offline", "overdue")


def test_a_session_that_began_after_the_blackout_needs_no_more_than_the_grace() -> None:
    assert say(ended("lost", GRACE_SECONDS, born=4), beat=4, listening=5) == ("offline", "crashed")


# --- whatever the signals are

moments = st.floats(NOW - 2 * MISSING_SECONDS, NOW) | st.just(NEVER)
sessions = st.none() | st.builds(
    Session, st.just("s"), st.sampled_from(["online", "offline", "away"]), st.sampled_from(["lost", "stop", "reboot"]),
    st.floats(NOW - 2 * MISSING_SECONDS, NOW), born_at=moments,
    due_at=st.none() | st.floats(NOW - MISSING_SECONDS, NOW + DAY),
)  # fmt: skip
signals = st.builds(
    Signals, st.floats(1, DAY), st.floats(NOW - MISSING_SECONDS, NOW), sessions, st.booleans(), moments, moments
)
later = st.floats(0, 2 * MISSING_SECONDS)


@given(signals, later)
def test_nothing_changes_before_the_time_that_was_named(known: Signals, seconds: float) -> None:
    found = judge(known, None, NOW)
    until = found.until if isinstance(found, Wait) else found.next_at
    assert until > NOW, "it is not due at once again"
    then = judge(known, found if isinstance(found, Judgement) else None, min(NOW + seconds, (NOW + until) / 2))
    if isinstance(found, Judgement):
        assert isinstance(then, Judgement)
        assert (then.state, then.reason, then.since) == (found.state, found.reason, found.since)
    else:
        assert then == found


@given(signals, later, later)
def test_time_alone_makes_nobody_better(known: Signals, first: float, second: float) -> None:
    order = ["new", "online", "late", "away", "zombie", "overdue", "offline", "missing"]
    early, late = (judge(known, None, NOW + seconds) for seconds in sorted((first, second)))
    if isinstance(early, Judgement) and isinstance(late, Judgement):
        assert order.index(early.state) <= order.index(late.state)


@given(signals)
def test_no_verdict_is_without_a_cause(known: Signals) -> None:
    found = judge(known, None, NOW)
    if not isinstance(found, Judgement):
        return
    ages = [NOW - at for at in (known.beat_at, known.heard_at, known.session.at if known.session else NEVER)]
    if found.state in ("online", "late"):
        assert min(ages) < 3 * known.interval_seconds or found.state == "late"
    if found.state in ("zombie", "late") or found.reason == "silent":
        assert known.beat_at <= NOW - 2 * known.interval_seconds
        assert known.listening_since + known.interval_seconds + GRACE_SECONDS <= NOW
    if found.reason in ("crashed", "stopped"):
        assert known.session is not None
        assert known.session.state == "offline"
    assert found.since <= NOW
