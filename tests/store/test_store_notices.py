"""Incidents and the outbox: what belongs together, who was told, and what is still to be said."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import pytest

from core.ids import uuid7
from core.messages import Alert
from store import HeldVerdict, Store
from store.incidents import is_flapping
from store.notices import Decision, Words

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
SAID = Words("opened", "web-01 is missed", "since noon")


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def lose(store: Store, seconds: float, *hosts: str) -> list[Alert]:
    """These hosts crash, all at once."""
    return [
        alert
        for claims in store.claim(_become(store, hosts, "offline", seconds), at(seconds))
        for alert in claims.opened
    ]


def find(store: Store, seconds: float, *hosts: str) -> list[Alert]:
    """These hosts are back."""
    return [
        one for claims in store.claim(_become(store, hosts, "online", seconds), at(seconds)) for one in claims.resolved
    ]


def _become(store: Store, hosts: Iterable[str], state: str, seconds: float) -> list[HeldVerdict]:
    versions = {one.source_host: one.version for one in store.read_verdicts()}
    reason = "crashed" if state == "offline" else ""
    return [HeldVerdict(host, state, reason, at(seconds), None, versions.get(host, 0)) for host in hosts]  # type: ignore[arg-type]


def test_what_is_opened_together_is_one_incident_and_what_comes_later_another(store: Store) -> None:
    first = [*lose(store, 0, "a", "b"), *lose(store, 20, "c"), *lose(store, 49, "d")]
    assert len({one.incident for one in first}) == 1
    [later] = lose(store, 80, "e")
    assert later.incident != first[0].incident


def test_an_incident_takes_in_no_more_after_five_minutes(store: Store) -> None:
    alerts = [alert for turn in range(20) for alert in lose(store, turn * 25, f"host-{turn}")]
    incidents = [one.incident for one in alerts]
    assert len(set(incidents)) == 2
    assert incidents.count(incidents[0]) == 13


def test_the_third_alert_of_a_host_within_half_an_hour_begins_an_incident_of_its_own(store: Store) -> None:
    found = []
    for turn in range(5):
        lost = lose(store, turn * 200, "web-01", *(["db-01"] if turn == 2 else []))
        found.append(next(one for one in lost if one.source_host == "web-01"))
        find(store, turn * 200 + 100, "web-01")
    assert [is_flapping(one.incident) for one in found] == [False, False, True, True, True]
    assert len({one.incident for one in found[2:]}) == 1
    [db] = [one for one in store.read_alerts(100, None, None) if one.source_host == "db-01"]
    assert not is_flapping(db.incident)
    [calm] = lose(store, 10_000, "web-01")
    assert not is_flapping(calm.incident), "it has been well for two hours"


def test_a_new_channel_is_told_of_nothing_that_is_past(store: Store) -> None:
    lose(store, 0, "old")
    store.outbox.keep_channels(["ops"])
    assert store.outbox.read_tellings("ops") == {}
    [alert] = lose(store, 100, "web-01")
    assert [one.alert for one in store.outbox.read_tellings("ops")[alert.incident]] == [alert]
    store.outbox.keep_channels(["ops", "mail"])
    assert store.outbox.read_tellings("mail") == {}
    assert store.outbox.read_tellings("ops"), "the others keep what is theirs"


def test_what_is_told_is_told_once_by_each_channel(store: Store) -> None:
    store.outbox.keep_channels(["ops", "mail"])
    [alert] = lose(store, 0, "web-01")
    decision = Decision(SAID, [alert.id])
    assert store.outbox.decide("ops", alert.incident, decision, at(1))
    assert not store.outbox.decide("ops", alert.incident, decision, at(1)), "another watch was first"
    [telling] = store.outbox.read_tellings("ops")[alert.incident]
    assert (telling.heard, telling.ended) == (True, False)
    assert not store.outbox.read_tellings("mail")[alert.incident][0].heard
    find(store, 60, "web-01")
    end = Decision(Words("resolved", "web-01 is back", ""), (), [alert.id])
    assert store.outbox.decide("ops", alert.incident, end, at(61))
    assert not store.outbox.decide("ops", alert.incident, end, at(61))
    assert store.outbox.read_tellings("ops") == {}
    said = []
    while (notice := store.outbox.take("ops", at(100))) is not None:
        said.append(notice.words.kind)
        store.outbox.end(notice, at(100))
    assert said == ["opened", "resolved"]


def test_an_alert_that_is_told_before_an_older_one_hides_it_from_nobody(store: Store) -> None:
    store.outbox.keep_channels(["ops"])
    [older] = lose(store, 0, "a")
    [newer] = lose(store, 100, "b")
    assert store.outbox.decide("ops", newer.incident, Decision(SAID, [newer.id], [newer.id]), at(101))
    assert list(store.outbox.read_tellings("ops")) == [older.incident]


def test_thousands_of_alerts_are_told_at_once(store: Store) -> None:
    store.outbox.keep_channels(["ops"])
    alerts = lose(store, 0, *(f"host-{number}" for number in range(2_500)))
    ids = [one.id for one in alerts]
    assert len({one.incident for one in alerts}) == 1
    assert store.outbox.decide("ops", alerts[0].incident, Decision(SAID, ids), at(1))
    assert store.outbox.decide("ops", alerts[0].incident, Decision(SAID, (), ids), at(2))
    assert store.outbox.read_tellings("ops") == {}


def test_a_notice_that_must_wait_holds_up_those_behind_it(store: Store) -> None:
    for title in ("first", "second"):
        store.outbox.add("ops", SAID._replace(title=title), at(0))
    notice = store.outbox.take("ops", at(0))
    assert notice is not None
    assert (notice.words.title, notice.attempts) == ("first", 1)
    assert store.outbox.take("ops", at(0)) is None, "it is being sent"
    store.outbox.postpone(notice, at(30), "error 500")
    assert store.outbox.next_due("ops") == at(30)
    assert store.outbox.take("ops", at(29)) is None
    again = store.outbox.take("ops", at(30))
    assert again is not None
    assert (again.id, again.attempts) == (notice.id, 2)
    store.outbox.end(again, at(31))
    behind = store.outbox.take("ops", at(31))
    assert behind is not None
    assert behind.words.title == "second"


@pytest.mark.parametrize("failed", [False, True])
def test_what_somebody_was_sending_who_is_gone_is_due_at_once(store: Store, failed: bool) -> None:
    store.outbox.add("ops", SAID, at(0))
    notice = store.outbox.take("ops", at(0))
    assert notice is not None
    if failed:
        store.outbox.postpone(notice, at(50), "error 500")
    store.outbox.release(at(1))
    assert store.outbox.next_due("ops") == at(50 if failed else 1)


def test_a_channel_that_is_gone_is_forgotten_with_what_it_had_to_say(store: Store) -> None:
    store.outbox.keep_channels(["ops"])
    [alert] = lose(store, 0, "web-01")
    store.outbox.decide("ops", alert.incident, Decision(SAID, [alert.id]), at(1))
    store.outbox.keep_channels([])
    store.outbox.keep_channels(["ops"])
    assert store.outbox.read_tellings("ops") == {}
    assert store.outbox.take("ops", at(100)) is None


def test_what_is_told_together_belongs_together_whatever_incident_it_was_of(store: Store) -> None:
    store.outbox.keep_channels(["ops", "mail"])
    [first], [second], [third] = (lose(store, seconds, f"web-{seconds}") for seconds in (0, 100, 200))
    together = str(uuid7())
    store.outbox.decide("ops", together, Decision(SAID, [first.id, second.id]), at(300))
    tellings = store.outbox.read_tellings("ops")
    assert {key: [one.alert.id for one in found] for key, found in tellings.items()} == {
        together: [first.id, second.id], third.incident: [third.id],
    }  # fmt: skip
    assert set(store.outbox.read_tellings("mail")) == {one.incident for one in (first, second, third)}


def test_what_is_dropped_is_no_part_of_its_incident_any_more(store: Store) -> None:
    store.outbox.keep_channels(["ops"])
    first, second = lose(store, 0, "web-1", "web-2")
    assert store.outbox.decide("ops", "", Decision(None, [first.id], [first.id]), at(1))
    assert [one.alert for one in store.outbox.read_tellings("ops")[first.incident]] == [second]
    assert store.outbox.take("ops", at(100)) is None
