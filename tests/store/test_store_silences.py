"""Silences, maintenance and acknowledgements: who said what, and until when it holds."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from core.errors import Conflict, Invalid
from store import HeldVerdict, Store
from store.found_alerts import Finding, Subject
from store.silences import Silence

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
WEB = Silence(("web-*", "db-1"), NOON, NOON + HOUR, kinds=("crashed", "silent"), reason="a new switch")


def lose(store: Store, host: str) -> str:
    [claims] = store.claim([HeldVerdict(host, "offline", "crashed", NOON, None, 0)], NOON)
    return claims.opened[0].id


def acts(store: Store) -> list[tuple[str, str, str]]:
    return [(one.who, one.action, one.target) for one in store.audit(100)]


def test_a_silence_is_kept_as_it_was_said_until_it_is_over(store: Store) -> None:
    made = store.silences.add(WEB, "eva", NOON)
    assert made == replace(WEB, id=made.id, made_by="eva", made_at=NOON)
    assert store.silences.read(False, NOON + HOUR / 2) == [made]
    assert store.silences.read(True, NOON) == [], "it is no maintenance"
    assert store.silences.read(False, NOON + HOUR) == []
    assert acts(store) == [("eva", "silence.made", "web-* db-1")]
    assert store.audit(1)[0].detail == "until 2026-11-20T13:00:00.000000Z, crashed silent: a new switch"


def test_a_silence_that_is_ended_is_over_from_then_on_and_is_ended_once(store: Store) -> None:
    made = store.silences.add(WEB, "eva", NOON)
    ended = store.silences.end(made.id, False, "ann", NOON + HOUR / 2)
    assert ended is not None
    assert ended.over_at == NOON + HOUR / 2
    assert store.silences.end(made.id, False, "bob", NOON + HOUR / 2 + timedelta(minutes=1)) == ended
    assert store.silences.read(False, NOON + HOUR / 2) == []
    assert store.silences.read_since(NOON + HOUR / 4) == [ended], "what it kept from being told is still known"
    assert acts(store)[0] == ("ann", "silence.ended", "web-* db-1")
    assert len(acts(store)) == 2


def test_one_that_is_over_by_itself_stays_as_it_was(store: Store) -> None:
    made = store.silences.add(WEB, "eva", NOON)
    assert store.silences.end(made.id, False, "ann", NOON + HOUR) == made


def test_maintenance_is_announced_and_no_silence_by_its_id(store: Store) -> None:
    made = store.silences.add(replace(WEB, begins_at=NOON + HOUR, until=NOON + 2 * HOUR, maintenance=True), "eva", NOON)
    assert store.silences.read(True, NOON) == [made]
    assert store.silences.end(made.id, False, "ann", NOON) is None
    cancelled = store.silences.end(made.id, True, "ann", NOON)
    assert cancelled is not None
    assert cancelled.over_at < cancelled.begins_at, "it never begins"
    assert [action for _, action, _ in acts(store)] == ["maintenance.ended", "maintenance.made"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"hosts": ()}, "1 to 100 patterns"),
        ({"hosts": ("web 1",)}, "'web 1' fits no host name"),
        ({"hosts": ("[a-z]",)}, "fits no host name"),
        ({"hosts": ("*",) * 101}, "1 to 100 patterns"),
        ({"kinds": ()}, "1 to 100 kinds"),
        ({"kinds": ("a b",)}, "'a b' is no kind"),
        ({"reason": "x" * 501}, "500 characters"),
        ({"reason": "\0"}, "no NUL"),
        ({"until": NOON}, "over already"),
        ({"begins_at": NOON - 2 * HOUR, "until": NOON - HOUR}, "over already"),
        ({"until": NOON + timedelta(days=366)}, "365 days"),
        ({"begins_at": NOON + timedelta(days=400), "until": NOON + timedelta(days=401)}, "too far ahead"),
    ],
)
def test_what_does_not_fit_is_refused_with_what_would(store: Store, change: dict[str, Any], says: str) -> None:
    with pytest.raises(Invalid, match=says):
        store.silences.add(replace(WEB, **change), "eva", NOON)
    assert acts(store) == []


def test_an_alert_is_acknowledged_once_by_the_first(store: Store) -> None:
    alert_id = lose(store, "web-1")
    acked = store.ack_alert(alert_id, "eva", NOON + HOUR)
    assert acked is not None
    assert (acked.acked_by, acked.acked_at) == ("eva", NOON + HOUR)
    assert store.ack_alert(alert_id, "ann", NOON + 2 * HOUR) == acked
    assert store.read_open_alerts() == [acked]
    assert acts(store) == [("eva", "alert.acked", alert_id)]


def test_what_is_resolved_cannot_be_acknowledged_nor_what_there_is_not(store: Store) -> None:
    alert_id = lose(store, "web-1")
    list(store.claim([HeldVerdict("web-1", "online", "", NOON + HOUR, None, 1)], NOON + HOUR))
    with pytest.raises(Conflict, match="resolved"):
        store.ack_alert(alert_id, "eva", NOON + HOUR)
    assert store.ack_alert("01a21f40-c070-7001-a8ce-56267eb7d031", "eva", NOON) is None


def test_who_was_missed_lately_is_known_of_those_who_are_asked_for(store: Store) -> None:
    for host in ("web-1", "web-2", "db-1"):
        lose(store, host)
    list(store.claim([HeldVerdict("web-1", "online", "", NOON + HOUR, None, 1)], NOON + HOUR))
    store.record_findings([Finding(Subject("clone", "web-2"), "web-2", 4, "it is two", NOON, lasts=True)], [], NOON)
    every = ["web-1", "web-2", "nobody"]
    assert [one.source_host for one in store.read_missed(every, NOON)] == ["web-1", "web-2"]
    assert [one.source_host for one in store.read_missed(every, NOON + HOUR)] == ["web-2"]
