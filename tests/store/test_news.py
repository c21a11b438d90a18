"""What was stored since somebody looked last."""

from __future__ import annotations

from core.clock import utc_now
from core.ids import uuid7
from core.messages import Event
from store import Store, WriteBatch


def write(store: Store, *texts: str) -> None:
    now = utc_now()
    store.write(WriteBatch([Event(uuid7(), now, "web-01", "LINUX", "LOGIN_FAIL", 3, text) for text in texts], now))


def test_who_looks_for_the_first_time_is_told_from_where_on(store: Store) -> None:
    write(store, "old")
    first = store.read_news(None)
    assert (first.stored, first.events) == (0, [])
    assert first.settled == first.newest
    write(store, "one", "two")
    news = store.read_news(first.settled)
    assert (news.stored, [one.raw_message for one in news.events]) == (2, ["two", "one"])
    assert store.read_news(news.settled).stored == 0


def test_of_many_all_are_counted_and_the_newest_shown(store: Store) -> None:
    before = store.read_news(None).settled
    write(store, *(f"no {number}" for number in range(50)))
    news = store.read_news(before)
    assert (news.stored, len(news.events), news.events[0].raw_message) == (50, 20, "no 49")
