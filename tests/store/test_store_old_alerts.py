"""Old alerts go with what was told of them; what is open, or was resolved lately, stays however old it is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import func, select

from store import HeldVerdict, Store
from store.notices import Decision, Words
from store.silences import Silence
from store.tables import notices, silences, told

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
SAID = Words("opened", "t", "b")


def at(days: float) -> datetime:
    return NOON + timedelta(days=days)


def lose(store: Store, host: str, days: float) -> str:
    [claims] = store.claim([HeldVerdict(host, "offline", "silent", at(days), None, 0)], at(days))
    [alert] = claims.opened
    store.outbox.decide("ops", alert.incident, Decision(SAID, [alert.id]), at(days))
    return alert.id


def find(store: Store, host: str, days: float) -> None:
    list(store.claim([HeldVerdict(host, "online", "", at(days), None, 1)], at(days)))


def count(store: Store) -> list[int]:
    with store.database.reading() as connection:
        return [
            int(connection.execute(select(func.count()).select_from(table)).scalar_one())
            for table in (told, notices, silences)
        ]


def test_old_alerts_go_with_what_was_told_of_them(store: Store) -> None:
    store.outbox.keep_channels(["ops"])
    lose(store, "old", 0)
    find(store, "old", 1)
    still = lose(store, "still-open", 2)
    lately = lose(store, "back-lately", 3)
    find(store, "back-lately", 50)
    store.silences.add(Silence(["*"], at(0), at(1)), "eva", at(0))
    while notice := store.outbox.take("ops", at(4)):
        store.outbox.end(notice, at(4) if notice.id > 1 else at(0))
    assert store.forget_alerts(at(90.5)) == 0, "the alert was resolved less than 90 days ago"
    assert store.forget_alerts(at(92)) == 1
    assert [one.id for one in store.read_alerts(10)] == [lately, still]
    assert count(store) == [2, 2, 0]
    assert store.forget_alerts(at(92)) == 0


def test_thousands_go_in_parts(store: Store) -> None:
    hosts = [f"host-{number:04}" for number in range(2_100)]
    list(store.claim([HeldVerdict(host, "offline", "silent", at(0), None, 0) for host in hosts], at(0)))
    list(store.claim([HeldVerdict(host, "online", "", at(1), None, 1) for host in hosts], at(1)))
    assert store.forget_alerts(at(100)) == 2_100
    assert store.read_alerts(10) == []
