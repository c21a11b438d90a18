"""Births, wills and goodbyes in whatever order they come: a late will does not bury a newer birth."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from core.clock import utc_now
from core.messages import Reason, State, Status
from watch.sessions import LONGEST_AWAY_SECONDS, Sessions

AT = utc_now()


def status(session: str, state: State = "online", reason: Reason = "start", back_in: float | None = None) -> Status:
    back_by = None if back_in is None else AT + timedelta(seconds=back_in)
    return Status(state, session, AT, reason, back_by)


def birth(session: str) -> Status:
    return status(session)


def will(session: str) -> Status:
    return status(session, "offline", "lost")


def heard(*statuses: Status) -> tuple[str, str]:
    sessions = Sessions()
    for moment, one in enumerate(statuses):
        sessions = sessions.hear(one, float(moment))
    assert sessions.last is not None
    return sessions.last.id, sessions.last.state


def test_a_birth_is_online_and_its_will_ends_it() -> None:
    assert heard(birth("a")) == ("a", "online")
    assert heard(birth("a"), will("a")) == ("a", "offline")


def test_a_take_over_leaves_the_new_session_online_whenever_the_old_will_comes() -> None:
    assert heard(birth("a"), will("a"), birth("b")) == ("b", "online")
    assert heard(birth("a"), birth("b"), will("a")) == ("b", "online")


def test_a_will_that_comes_before_its_birth_ends_the_session_all_the_same() -> None:
    assert heard(will("a"), birth("a")) == ("a", "offline")
    assert heard(birth("a"), will("b"), birth("b"))[1] == "offline"


def test_a_repeated_birth_changes_nothing() -> None:
    sessions = Sessions().hear(birth("a"), 1.0)
    again = sessions.hear(birth("a"), 9.0)
    assert again.last == sessions.last


@given(st.integers(1, 4), st.data())
def test_of_sessions_one_after_the_other_the_end_of_the_last_decides_in_any_order_of_wills(
    count: int, data: st.DataObject
) -> None:
    """Births come in order, for each is a connection's first word; a will may come at any time."""
    ends = data.draw(st.lists(st.booleans(), min_size=count, max_size=count))
    words: list[Status] = [birth(str(number)) for number in range(count)]
    for number, ended in enumerate(ends):
        if ended:
            at = data.draw(st.integers(0, len(words)))
            words.insert(at, will(str(number)))
    assert heard(*words) == (str(count - 1), "offline" if ends[-1] else "online")


def test_away_lasts_as_long_as_announced_by_the_agents_own_clock_but_a_day_at_most() -> None:
    told = Sessions().hear(birth("a"), 1.0).hear(status("a", "away", "reboot", 600), 1000.0)
    assert told.last is not None
    assert told.last.due_at == 1600.0
    long = Sessions().hear(status("a", "away", "upgrade", 10 * LONGEST_AWAY_SECONDS), 1000.0)
    assert long.last is not None
    assert long.last.due_at == 1000.0 + LONGEST_AWAY_SECONDS


def test_an_absence_that_ends_before_it_begins_is_over_at_once() -> None:
    told = Sessions().hear(status("a", "away", "reboot", -1e10), 1000.0)
    assert told.last is not None
    assert told.last.due_at == 1000.0


def test_who_is_killed_while_away_is_announced_has_crashed() -> None:
    assert heard(birth("a"), status("a", "away", "reboot", 600), will("a")) == ("a", "offline")


def test_what_is_retained_replaces_what_was_known() -> None:
    sessions = Sessions().hear(birth("a"), 1.0).restore(will("a"), 7.0)
    assert sessions.last is not None
    assert (sessions.last.state, sessions.last.at) == ("offline", 7.0)
    live = Sessions().hear(birth("a"), 1.0)
    assert live.restore(birth("a"), 1.2) == live, "the session that we know, and the broker still does"
