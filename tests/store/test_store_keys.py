"""API keys, sessions, login links and leases, on both databases."""

from __future__ import annotations

import threading
from datetime import timedelta

from sqlalchemy import select
from store_samples import NOW

from store import Key, Store
from store.tables import api_keys


def test_a_key_is_found_by_its_hash_until_it_expires(store: Store) -> None:
    store.add_key("h1", "curl", frozenset({"agent", "read"}))
    store.add_key("h2", "agent", ("agent",), host="web-01", expires_at=NOW)
    assert store.find_key("h1", NOW) == Key("curl", frozenset({"agent", "read"}), None)
    assert store.find_key("h2", NOW - timedelta(seconds=1)) == Key("agent", frozenset({"agent"}), "web-01")
    assert store.find_key("h2", NOW) is None
    assert store.find_key("h3", NOW) is None


def test_a_key_added_again_is_one_key(store: Store) -> None:
    store.add_key("h1", "curl", ("read",))
    store.add_key("h1", "curl", ("read", "agent"))
    with store.database.reading() as connection:
        [row] = connection.execute(select(api_keys)).all()
    assert row.scopes == "agent read"


def test_the_last_use_of_a_key_is_noted_once_a_minute(store: Store) -> None:
    store.add_key("h1", "curl", ("read",))

    def last_used(seconds: float) -> object:
        store.find_key("h1", NOW + timedelta(seconds=seconds))
        with store.database.reading() as connection:
            return connection.execute(select(api_keys.c.last_used)).scalar()

    assert last_used(0) == NOW
    assert last_used(59) == NOW
    assert last_used(60) == NOW + timedelta(seconds=60)


def test_a_login_link_lets_in_once(store: Store) -> None:
    store.add_login_link("link", "admin", NOW + timedelta(minutes=5))
    store.add_login_link("old", "admin", NOW)
    got: list[str | None] = []
    threads = [threading.Thread(target=lambda: got.append(store.use_login_link("link", NOW))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(str, got)) == ["None", "None", "None", "admin"]
    assert store.use_login_link("old", NOW) is None
    assert store.use_login_link("unknown", NOW) is None


def test_a_session_lasts_until_it_ends_or_expires(store: Store) -> None:
    store.add_session("s1", "admin", ("admin", "read"), NOW + timedelta(days=400))
    assert store.find_session("s1", NOW) == Key("admin", frozenset({"admin", "read"}))
    assert store.find_session("s1", NOW + timedelta(days=400)) is None
    store.end_session("s1")
    store.end_session("s1")
    assert store.find_session("s1", NOW) is None


def nobody(holder: str) -> bool:
    return False


def test_the_smallest_slot_that_can_be_had_is_taken(store: Store) -> None:
    assert store.take_lease("ingestor", "a", NOW, 30, nobody) == 1
    assert store.take_lease("ingestor", "b", NOW, 60, nobody) == 2
    assert store.take_lease("other", "b", NOW, 30, nobody) == 1
    assert store.take_lease("ingestor", "a", NOW, 30, nobody) == 1
    assert store.take_lease("ingestor", "c", NOW, 30, lambda holder: holder == "b") == 2
    assert store.take_lease("ingestor", "d", NOW + timedelta(seconds=30), 30, nobody) == 1
    store.release_lease("ingestor", 1, "a")
    assert store.take_lease("ingestor", "e", NOW, 30, nobody) == 3


def test_a_lease_is_renewed_by_its_holder_alone(store: Store) -> None:
    slot = store.take_lease("ingestor", "a", NOW, 30, nobody)
    assert store.renew_lease("ingestor", slot, "a", NOW + timedelta(seconds=20), 30)
    assert store.take_lease("ingestor", "b", NOW + timedelta(seconds=40), 30, nobody) == 2
    assert store.take_lease("ingestor", "b", NOW + timedelta(seconds=50), 30, nobody) == 1
    assert not store.renew_lease("ingestor", slot, "a", NOW + timedelta(seconds=51), 30)
    store.release_lease("ingestor", slot, "a")
    assert store.renew_lease("ingestor", slot, "b", NOW, 30)


def test_holders_at_once_get_different_slots(store: Store) -> None:
    slots: list[int] = []
    threads = [
        threading.Thread(target=lambda name=str(number): slots.append(store.take_lease("x", name, NOW, 30, nobody)))
        for number in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(slots) == [1, 2, 3, 4, 5, 6]
