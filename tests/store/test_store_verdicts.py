"""Transitions: each is claimed once, and outages and alerts follow from it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from core.messages import VerdictState
from store import Claims, HeldVerdict, Outage, Store

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def at(minutes: float) -> datetime:
    return NOON + timedelta(minutes=minutes)


class History:
    """One host, whose transitions follow one another."""

    def __init__(self, store: Store, host: str = "web-01") -> None:
        self.store, self.host, self.version = store, host, 0

    def becomes(self, state: VerdictState, minutes: float, reason: str = "", **more: Any) -> Claims:
        wanted = HeldVerdict(self.host, state, reason, at(minutes), more.get("back_by"), self.version)
        [claims] = self.store.claim([wanted], at(minutes))
        self.version += len(claims.won)
        return claims

    def outages(self) -> list[tuple[str, float, float | None]]:
        def minutes(moment: datetime | None) -> float | None:
            return None if moment is None else (moment - NOON).total_seconds() / 60

        found = self.store.read_outages(self.host, 100)
        return [(one.cause, minutes(one.began_at) or 0.0, minutes(one.ended_at)) for one in reversed(found)]


def test_of_two_who_claim_a_transition_one_gets_it_and_the_other_is_told_what_holds(store: Store) -> None:
    wanted = HeldVerdict("web-01", "online", "", at(0), None, 0)
    [first] = store.claim([wanted], at(0))
    [second] = store.claim([wanted], at(1))
    assert [one.version for one in first.won] == [1]
    assert (second.won, second.lost) == ([], first.won)
    assert store.read_verdicts() == first.won


def test_an_outage_lasts_from_the_last_sign_to_the_return_and_has_one_alert(store: Store) -> None:
    host = History(store)
    host.becomes("online", 0)
    assert not host.becomes("late", 5, "no heartbeat").opened
    [alert] = host.becomes("offline", 6, "silent").opened
    assert (alert.kind, alert.source_host, alert.state, alert.since) == ("silent", "web-01", "open", at(6))
    assert store.read_open_alerts() == [alert]
    [resolved] = host.becomes("online", 9).resolved
    assert (resolved.id, resolved.state, resolved.resolved_at) == (alert.id, "resolved", at(9))
    assert store.read_open_alerts() == []
    assert host.outages() == [("silent", 6, 9)]


def test_who_says_goodbye_is_down_and_nobody_is_woken(store: Store) -> None:
    host = History(store)
    host.becomes("online", 0)
    for reason in ("stopped", "shutdown"):
        assert not host.becomes("offline", 1, reason).opened
    assert host.outages() == [("shutdown", 1, None)]


def test_a_zombie_that_then_crashes_is_one_outage_with_one_alert(store: Store) -> None:
    host = History(store)
    host.becomes("online", 0)
    [alert] = host.becomes("zombie", 1, "no heartbeat").opened
    assert not host.becomes("offline", 3, "crashed").opened
    assert not host.becomes("missing", 3, "crashed").opened
    assert [one.id for one in host.becomes("online", 50).resolved] == [alert.id]
    assert host.outages() == [("crashed", 1, 50)]


def test_an_announced_absence_is_counted_apart_from_what_follows_it(store: Store) -> None:
    host = History(store)
    host.becomes("online", 0)
    assert not host.becomes("away", 1, "reboot", back_by=at(11)).opened
    [alert] = host.becomes("overdue", 11, "reboot", back_by=at(11)).opened
    assert alert.kind == "overdue"
    host.becomes("online", 20)
    assert host.outages() == [("away", 1, 11), ("overdue", 11, 20)]


def test_a_crashed_host_that_is_then_stopped_has_not_come_back(store: Store) -> None:
    host = History(store)
    host.becomes("offline", 0, "crashed")
    assert not host.becomes("offline", 5, "stopped").resolved
    assert len(store.read_open_alerts()) == 1


def test_a_revoked_host_is_offline_because_it_is_revoked(store: Store) -> None:
    store.add_token("t", "web-01", 1, at(60), "ops", at(0), replaces=False)
    store.use_token("t", "web-01", "s", b"sealed", at(0))
    store.revoke_host("web-01", "ops", at(1))
    claims = History(store).becomes("offline", 2, "crashed")
    assert [one.reason for one in claims.won] == ["revoked"]
    assert not claims.opened


def test_thousands_are_claimed_in_parts_and_each_tells_what_came_of_it(store: Store) -> None:
    wanted = [HeldVerdict(f"host-{n:05}", "offline", "silent", at(0), None, 0) for n in range(2_500)]
    parts = list(store.claim(wanted, at(0)))
    assert [len(part.won) for part in parts] == [1_000, 1_000, 500]
    assert len(store.read_open_alerts()) == sum(len(part.opened) for part in parts) == 2_500
    again = list(store.claim(wanted, at(1)))
    assert sum(len(part.won) for part in again) == 0
    assert len(store.read_verdicts()) == 2_500


def test_pages_of_alerts_are_newest_first(store: Store) -> None:
    for number in range(5):
        History(store, f"host-{number}").becomes("offline", number, "crashed")
    first = store.read_alerts(2, None, None)
    second = store.read_alerts(10, "open", first[-1].id)
    assert [alert.source_host for alert in [*first, *second]] == [f"host-{number}" for number in (4, 3, 2, 1, 0)]
    assert store.read_alerts(10, "resolved", None) == []


def test_an_outage_that_nobody_saw_is_kept_unless_another_is_known_of_that_time(store: Store) -> None:
    host = History(store)
    host.becomes("offline", 10, "crashed")
    host.becomes("online", 20)
    assert store.add_outage(Outage("web-01", at(30), at(40), "unseen"))
    assert not store.add_outage(Outage("web-01", at(30), at(41), "unseen")), "another watch was first"
    assert not store.add_outage(Outage("web-01", at(15), at(50), "unseen"))
    assert host.outages() == [("crashed", 10, 20), ("unseen", 30, 40)]
