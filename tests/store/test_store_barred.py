"""Of hosts that are revoked or disabled nothing is stored, on both databases; and who is disabled, once."""

from __future__ import annotations

from contextlib import closing
from datetime import timedelta

import pytest
from store_samples import NOW, a_batch, an_event

from store import Beat, DeadLetter, EventFilter, Store, WriteBatch, open_store

END = NOW + timedelta(hours=1)


def enroll(store: Store, host: str, token: str) -> None:
    store.add_token(token, host, 1, END, "local:eva", NOW, replaces=True)
    number = store.use_token(token, host, token, b"sealed", NOW)
    store.finish_order(number or 0, None, NOW)


def carry_out(store: Store) -> None:
    for order in store.read_orders():
        store.finish_order(order.id, None, NOW)


def everything_of(*hosts: str) -> WriteBatch:
    return a_batch(
        *(an_event(host) for host in hosts),
        dead=[DeadLetter(f"heimdall/v1/hosts/{host}/events", host, "bad", b"x", 1) for host in hosts],
        beats=[Beat(host, "LINUX", NOW) for host in hosts],
    )


def stored_hosts(store: Store) -> set[str]:
    return {event.source_host for event in store.events(EventFilter(), 100).events}


def test_nothing_of_a_revoked_host_is_stored_and_its_neighbours_are(store: Store) -> None:
    for host in ("web-01", "web-02"):
        enroll(store, host, host)
    store.revoke_host("web-01", "local:eva", NOW)
    written = store.write(everything_of("web-01", "web-02", "never-enrolled"))
    assert (written.stored, written.dropped, written.unanswered) == (2, 3, {"web-01"})
    assert {letter.source_host for letter in written.letters} == {"web-02", "never-enrolled"}
    assert stored_hosts(store) == {"web-02", "never-enrolled"}
    assert store.get_host("web-01") is None
    assert not store.record_info("web-01", "{}", NOW)
    assert store.record_info("web-02", "{}", NOW)
    assert store.get_info("web-01") is None


def test_once_it_is_cut_off_a_receipt_on_its_topic_can_only_be_a_gateways(store: Store) -> None:
    enroll(store, "web-01", "web-01")
    store.revoke_host("web-01", "local:eva", NOW)
    assert store.write(everything_of("web-01")).unanswered == {"web-01"}
    carry_out(store)
    written = store.write(everything_of("web-01"))
    assert (written.dropped, written.unanswered) == (3, frozenset())


def test_enrolled_again_it_is_stored_at_once_whoever_enrolled_it(store: Store, url: str) -> None:
    enroll(store, "web-01", "web-01")
    with closing(open_store(url)) as another:
        for number in range(3):
            another.revoke_host("web-01", "local:eva", NOW)
            assert store.write(everything_of("web-01")).stored == 0
            enroll(another, "web-01", f"again-{number}")
            assert store.write(everything_of("web-01")).stored == 1


def test_what_no_database_can_store_of_a_barred_host_is_dropped_too(store: Store) -> None:
    enroll(store, "web-01", "web-01")
    store.revoke_host("web-01", "local:eva", NOW)
    written = store.write(a_batch(an_event("web-01", raw_message="\0"), an_event("web-02")))
    assert (written.stored, written.dropped, list(written.letters)) == (1, 1, [])


def test_whom_the_ingestor_holds_off_is_treated_the_same(store: Store) -> None:
    batch = everything_of("web-01", "web-02")
    batch.held_off = frozenset({"web-01"})
    written = store.write(batch)
    assert (written.stored, written.dropped, written.unanswered) == (1, 3, {"web-01"})


@pytest.mark.parametrize("enrolled", [True, False])
def test_a_host_is_disabled_once_and_again_after_it_was_enrolled_anew(store: Store, enrolled: bool) -> None:
    if enrolled:
        enroll(store, "web-01", "web-01")
    number = store.disable_host("web-01", "too much", NOW)
    assert [(order.id, order.kind, order.host) for order in store.read_orders()] == [(number, "disable", "web-01")]
    assert store.disable_host("web-01", "too much", NOW) is None
    store.finish_order(number or 0, "the broker does not know it", NOW)
    assert store.disable_host("web-01", "too much", NOW) is None
    [entry] = [entry for entry in store.audit(10) if entry.action == "host.disabled"]
    assert (entry.who, entry.target, entry.detail) == ("ingestor", "web-01", "too much")
    # who was never enrolled has no row that could say so
    assert store.write(a_batch(an_event("web-01"))).dropped == enrolled
    enroll(store, "web-01", "anew")
    assert store.write(a_batch(an_event("web-01"))).dropped == 0
    assert store.disable_host("web-01", "too much", NOW) is not None
    store.revoke_host("web-01", "local:eva", NOW)
    assert store.disable_host("web-01", "too much", NOW) is None
