"""API keys, sessions, login links and leases, on both databases."""

from __future__ import annotations

import contextlib
import threading
from datetime import timedelta

import pytest
from sqlalchemy import select
from store_samples import NOW

from core.errors import Conflict, Unavailable
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


def make(store: Store, name: str, key_hash: str = "") -> None:
    store.make_key(key_hash or f"{name}-hash-of-a-key", name, ("read",), None, None, "local:eva")


def test_a_key_is_made_under_a_name_of_its_own(store: Store) -> None:
    make(store, "grafana")
    with pytest.raises(Conflict, match="'grafana'"):
        make(store, "grafana", "another-hash")
    [row] = store.list_keys()
    assert (row.id, row.name, row.scopes, row.last_used) == ("grafana-hash", "grafana", frozenset({"read"}), None)


def test_of_several_that_make_one_name_at_once_one_succeeds(store: Store) -> None:
    made: list[str] = []

    def make_one(number: int) -> None:
        with contextlib.suppress(Conflict):
            make(store, "grafana", f"{number}-hash")
            made.append(f"{number}")

    threads = [threading.Thread(target=make_one, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == len(store.list_keys()) == len(store.audit(10)) == 1


@pytest.mark.parametrize("called", ["grafana", "grafana-hash"])
def test_a_key_is_revoked_by_its_name_or_id(store: Store, called: str) -> None:
    make(store, "grafana")
    make(store, "other")
    row = store.revoke_key(called, "local:eva")
    assert row is not None
    assert row.name == "grafana"
    assert store.find_key("grafana-hash-of-a-key", NOW) is None
    assert store.find_key("other-hash-of-a-key", NOW) is not None
    assert store.revoke_key(called, "local:eva") is None


def test_of_two_keys_with_one_name_the_one_meant_must_be_said(store: Store) -> None:
    store.add_key("first-of-two-hashes", "api-key", ("read",))
    store.add_key("second-of-two-hashes", "api-key", ("read",))
    with pytest.raises(Conflict, match="first-of-two, second-of-tw"):
        store.revoke_key("api-key", "local:eva")
    assert store.revoke_key("second-of-tw", "local:eva") is not None
    assert store.revoke_key("api-key", "local:eva") is not None


def test_the_audit_trail_grows_and_the_database_refuses_any_other_change(store: Store) -> None:
    make(store, "grafana")
    make(store, "other")
    before = store.audit(10)
    for change in ("UPDATE audit SET who = 'nobody'", "DELETE FROM audit"):
        with pytest.raises(Unavailable, match="append-only"), store.database.writing() as connection:
            connection.exec_driver_sql(change)
    assert store.audit(10) == before
    assert [(entry.who, entry.action, entry.target) for entry in before] == [
        ("local:eva", "key.made", "other"), ("local:eva", "key.made", "grafana"),
    ]  # fmt: skip
    assert store.audit(1, before[0].id) == before[1:]
