"""Whatever is held, and when: what is told is told once and in time, and nobody who is still missed is forgotten."""

from __future__ import annotations

from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st
from watch_listener import Listener, at

from core.ids import uuid7
from core.messages import Alert
from store.silences import Silence
from watch.behind import Behind
from watch.hold_sources import hold_silence
from watch.holds import Hold, free_at
from watch.rules import Channel

MINUTES = st.integers(0, 24 * 60)
END = at(6 * 24 * 60)
BEHIND = {"router-0": Behind(("web-*", "switch-*")), "switch-0": Behind(("web-*",))}
WAIT = timedelta(seconds=10)


@st.composite
def days(draw: st.DrawFn) -> Listener:
    """A day of outages, each of another host, a channel, and what is held."""
    channel = Channel(
        "json://h", group_wait_seconds=10, quiet=draw(st.sampled_from(["", "22:00-07:00", "13:00-14:30"])),
        time_zone="Europe/Berlin", after_minutes=draw(st.sampled_from([0, 0, 15])),
    )  # fmt: skip
    person = Listener(channel, draw(st.lists(silences(), max_size=3)), BEHIND)
    incidents = [str(uuid7()) for _ in range(3)]
    hosts = ["router-0", "switch-0", *(f"{name}-{number}" for name in ("web", "db") for number in range(1, 4))]
    for host in draw(st.lists(st.sampled_from(hosts), unique=True, min_size=1)):
        begins, lasts = draw(MINUTES), draw(st.one_of(st.none(), st.integers(1, 600)))
        alert = person.lose(host, begins, draw(st.sampled_from(incidents)))
        if lasts is not None:
            person.find(alert, begins + lasts)
    return person


@st.composite
def silences(draw: st.DrawFn) -> Hold:
    begins = draw(MINUTES)
    hosts = draw(st.sampled_from(["*", "web-*", "db-1", "router-0"]))
    return hold_silence(Silence((hosts,), at(begins), at(begins + draw(st.integers(1, 600)))))


def told_missed(person: Listener, alert: Alert) -> list[datetime]:
    """When it was told that the alert's host is missed, or was."""
    lines = (f"{alert.source_host} is offline: nothing is heard of it, since ", f"{alert.source_host}: silent from ")
    found = []
    for (moment, _), body, kind in zip(person.said, person.bodies, person.kinds, strict=True):
        missed = body.partition("\nBack:\n")[0]
        if kind == "opened" and any(line.startswith(lines) for line in missed.splitlines()):
            found.append(moment)
    return found


@given(days())
def test_nothing_is_told_in_quiet_hours(person: Listener) -> None:
    person.listen(END)
    assert [title for moment, title in person.said if person.channel.is_quiet(moment)] == []


@given(days())
def test_who_is_still_missed_when_all_is_over_was_told_of(person: Listener) -> None:
    person.listen(END)
    open_hosts = {one.source_host for one in person.alerts.values() if one.resolved_at is None}
    for alert in person.alerts.values():
        standing = {"web": {"router-0", "switch-0"}, "switch": {"router-0"}}.get(str(alert.source_host).split("-")[0])
        if alert.resolved_at is None and not (standing or set()) & open_hosts:
            assert told_missed(person, alert), alert


@given(days())
def test_nothing_is_left_to_tell_of_what_is_over(person: Listener) -> None:
    person.listen(END)
    over = {one.id for one in person.alerts.values() if one.resolved_at is not None}
    assert over <= person.heard & person.ended


@given(days())
def test_who_was_told_to_be_missed_is_told_to_be_back_and_not_before(person: Listener) -> None:
    person.listen(END)
    for alert in person.alerts.values():
        missed = told_missed(person, alert)
        if missed and alert.resolved_at is not None and min(missed) < alert.resolved_at:
            backs = [
                moment
                for (moment, _), body in zip(person.said, person.bodies, strict=True)
                if f"{alert.source_host}: silent from " in body
            ]
            assert len(backs) == 1, alert
            assert backs[0] >= alert.resolved_at + WAIT


@given(days())
def test_nobody_is_told_to_be_missed_more_than_once_nor_while_a_silence_holds_it(person: Listener) -> None:
    person.listen(END)
    for alert in person.alerts.values():
        told = told_missed(person, alert)
        assert len(told) <= 1, alert
        for moment in told:
            assert free_at(alert, person.holds, moment) <= moment - WAIT, alert
            assert alert.resolved_at is None or alert.resolved_at >= free_at(alert, person.holds, moment) + WAIT
