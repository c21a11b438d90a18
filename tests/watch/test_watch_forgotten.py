"""What the watch remembers of a host that was forgotten: nothing, once it has looked around."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import mqtt5
import pytest

from core.clock import utc_now
from core.ids import uuid7
from core.messages import Event, Status
from core.topics import VERDICT, host_topic
from store import Beat, HeldVerdict, Outage, Store, WriteBatch, open_store
from watch.clones import Clones
from watch.fleet import Fleet, moment
from watch.forgotten import ForgottenHosts
from watch.hearing import Hearing
from watch.wording import describe_resolved

INTERVAL = 30.0


class Memory:
    """One watch's: a fleet, what it hears, and what it has heard of who is forgotten."""

    def __init__(self, store: Store) -> None:
        self.now = utc_now().timestamp()
        self.fleet = Fleet(self.now - 1_000)
        self.hearing = Hearing(self.fleet, "here", lambda: self.now, lambda: None)
        self.forgotten = ForgottenHosts(store, self.fleet, self.hearing)
        self.forgotten.begin()

    def hear(self, host: str) -> None:
        self.fleet.hear_status(host, Status("online", "s", moment(self.now), "start"), self.now)
        self.fleet.hear_beat(host, INTERVAL, "b", self.now)

    def names(self) -> list[str]:
        return sorted(host.name for host in self.fleet)

    def look_around(self) -> bool:
        return asyncio.run(self.forgotten.drop(None))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(f"sqlite:///{tmp_path / 'mini_siem.db'}", checkpointer=True)
    yield opened
    opened.close()


def live(store: Store, host: str, at: datetime | None = None) -> None:
    at = at or utc_now()
    event = Event(uuid7(), at, host, "LINUX", "LOGIN_FAIL", 3, "failed")
    store.write(WriteBatch([event], at, [], [Beat(host, "LINUX", at)]))


def claim(store: Store, memory: Memory) -> list[str]:
    transitions = memory.fleet.look(memory.now, memory.now).transitions
    won: list[HeldVerdict] = []
    for claims in store.claim(transitions, utc_now(), memory.forgotten.order):
        memory.fleet.hold([*claims.won, *claims.lost])
        won += claims.won
    return sorted(one.source_host for one in won)


def test_a_forgotten_host_is_dropped_by_every_watch_and_claimed_by_none(store: Store) -> None:
    first, second = Memory(store), Memory(store)
    for host in ("web-01", "web-02"):
        live(store, host)
        first.hear(host)
        second.hear(host)
    assert claim(store, first) == ["web-01", "web-02"]
    store.forgetting.forget("web-01", "eva", utc_now())
    # the second has judged nobody yet, and knows nothing of it
    assert claim(store, second) == []
    assert [one.source_host for one in store.read_verdicts()] == ["web-02"]
    for memory in (first, second):
        assert memory.look_around()
        assert memory.names() == ["web-02"]
        memory.now += 10_000
        assert memory.fleet.look(memory.now, memory.now).transitions[0].source_host == "web-02"
        assert not memory.look_around()


def test_one_that_is_heard_again_is_a_new_host(store: Store) -> None:
    first, second = Memory(store), Memory(store)
    live(store, "web-01")
    first.hear("web-01")
    second.hear("web-01")
    assert claim(store, first) == ["web-01"]
    store.forgetting.forget("web-01", "eva", utc_now())
    first.look_around()
    live(store, "web-01")
    first.hear("web-01")
    assert claim(store, first) == ["web-01"]
    # it is judged already by the first, which the second hears of now
    second.look_around()
    assert [(one.source_host, one.version) for one in second.fleet.held(["web-01"])] == [("web-01", 1)]
    assert claim(store, second) == []


def test_who_begins_later_has_nothing_to_drop(store: Store) -> None:
    live(store, "web-01")
    store.forgetting.forget("web-01", "eva", utc_now())
    assert not Memory(store).look_around()


def test_a_verdict_that_is_cleared_is_looked_into_if_it_is_of_a_host_that_is_judged(store: Store) -> None:
    memory = Memory(store)
    memory.hear("web-01")
    for _ in range(2):
        packet = mqtt5.PublishPacket(host_topic("web-01", VERDICT), b"")
        memory.hearing.deliver(None, [packet])  # type: ignore[arg-type]
        cleared = set(memory.hearing.cleared)
        claim(store, memory)
    assert cleared == {"web-01"}
    memory.look_around()
    assert memory.hearing.cleared == set()


def test_what_was_found_of_a_forgotten_host_and_not_kept_yet_is_dropped_too() -> None:
    fleet, clones = Fleet(0.0), Clones()
    for host in ("web-01", "web-02"):
        fleet.hear_beat(host, INTERVAL, "b", 1_000.0)
        fleet.unseen.append(Outage(host, moment(1.0), moment(2.0), "unseen"))
        for boot in ("a", "b", "a"):
            clones.hear(host, boot, 1_000.0)
    fleet.look_again(["web-01", "web-02"])
    fleet.forget(["web-01", "never-heard-of"])
    clones.forget_boots(["web-01", "never-heard-of"])
    assert [one.source_host for one in fleet.unseen] == ["web-02"]
    assert clones.find_quiet(1e9) == ["web-02"]
    assert {one.source_host for one in fleet.look(2_000.0, 2_000.0).transitions} <= {"web-02"}


def test_people_are_told_that_it_was_forgotten_not_that_it_is_back(store: Store) -> None:
    memory = Memory(store)
    began = datetime(2026, 11, 28, 3, 0, tzinfo=UTC)
    for host in ("web-01", "web-02"):
        [claims] = store.claim([HeldVerdict(host, "offline", "crashed", began, None, 0)], began)
        assert len(claims.opened) == 1
    store.forgetting.forget("web-01", "eva", began + timedelta(hours=3))
    [claims] = store.claim([HeldVerdict("web-02", "online", "", began + timedelta(hours=3), None, 1)], began)
    ended = sorted(store.read_alerts(9, "resolved"), key=lambda alert: alert.source_host or "")
    assert memory.look_around()
    assert describe_resolved(ended[:1], ended[:1]).title == "web-01 was forgotten, after it was missed for 3 hours"
    assert describe_resolved(ended, ended).title == "2 hosts back or forgotten: web-01, web-02"
