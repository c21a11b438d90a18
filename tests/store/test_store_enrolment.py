"""Who may enrol, decided in one transaction, on both databases."""

from __future__ import annotations

import contextlib
import threading
from datetime import timedelta

import pytest
from sqlalchemy import event
from store_samples import NOW

from core.errors import Conflict
from store import EnrolledHosts, Store

LATER = NOW + timedelta(minutes=30)
END = NOW + timedelta(hours=1)


def add(store: Store, pattern: str = "web-01", uses: int = 1, replaces: bool = False, token: str = "token") -> None:
    store.add_token(token, pattern, uses, END, "local:eva", NOW, replaces=replaces)


def use(store: Store, host: str = "web-01", secret: str = "secret", token: str = "token") -> int | None:
    return store.use_token(token, host, secret, b"sealed", LATER)


def test_a_token_enrols_its_host_and_orders_it_of_the_keeper(store: Store) -> None:
    add(store)
    number = use(store)
    [order] = store.read_orders()
    assert (order.id, order.kind, order.host, order.sealed, order.done) == (
        number,
        "enroll",
        "web-01",
        b"sealed",
        False,
    )
    store.finish_order(order.id, None, LATER)
    assert store.read_orders() == []
    assert (store.read_order(order.id).done, store.read_order(order.id).sealed) == (True, None)
    assert [entry.action for entry in store.audit(10)] == ["host.enrolled", "token.made"]


def test_a_lost_answer_does_no_harm(store: Store) -> None:
    add(store)
    first = use(store)
    assert use(store) == first
    store.finish_order(first or 0, None, LATER)
    assert use(store) == first


def test_an_order_that_the_broker_refused_is_given_again(store: Store) -> None:
    add(store)
    first = use(store)
    store.finish_order(first or 0, "the broker said no", LATER)
    second = use(store)
    assert second != first
    assert [order.id for order in store.read_orders()] == [second]


@pytest.mark.parametrize(
    ("host", "secret", "says"),
    [("web-01", "other", "has been used"), ("db-01", "secret", "has been used"), ("WEB-01", "secret", "only in case")],
)
def test_a_token_is_good_for_one_host_and_one_secret(store: Store, host: str, secret: str, says: str) -> None:
    add(store)
    use(store)
    with pytest.raises(Conflict, match=says):
        use(store, host, secret)
    assert len(store.read_orders()) == 1


def test_a_token_is_for_the_host_that_it_names(store: Store) -> None:
    add(store)
    with pytest.raises(Conflict, match="for web-01, not for db-01"):
        use(store, "db-01")


def test_an_unknown_or_expired_token_enrols_nobody(store: Store) -> None:
    add(store)
    assert use(store, token="another") is None
    assert store.use_token("token", "web-01", "secret", b"sealed", END) is None
    assert store.read_orders() == []


def test_a_token_of_many_uses_is_good_for_names_that_fit_and_no_more_of_them(store: Store) -> None:
    add(store, "web-*", uses=2)
    assert use(store, "web-01", "one") is not None
    with pytest.raises(Conflict, match=r"for web-\*, not for db-01"):
        use(store, "db-01", "other")
    assert use(store, "web-02", "two") is not None
    with pytest.raises(Conflict, match="has been used"):
        use(store, "web-03", "three")
    assert use(store, "web-02", "two") is not None


def test_of_many_at_once_a_single_use_has_one_winner(store: Store) -> None:
    add(store)
    won: list[int | None] = []

    def try_it(number: int) -> None:
        with contextlib.suppress(Conflict):
            won.append(use(store, secret=f"secret-{number}"))

    threads = [threading.Thread(target=try_it, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == len(store.read_orders()) == 1


def test_a_name_that_is_enrolled_or_alive_is_given_away_only_when_that_is_said(store: Store) -> None:
    add(store)
    use(store)
    store.record_heartbeat("db-01", "LINUX", NOW)
    store.record_heartbeat("old-01", "LINUX", NOW - timedelta(minutes=16))
    for host in ("web-01", "db-01"):
        with pytest.raises(Conflict, match=f"{host} is .*--replace"):
            add(store, host, token="second")
    add(store, "old-01", token="third")
    add(store, "*", uses=5, token="fleet")
    with pytest.raises(Conflict, match="--replace"):
        use(store, "web-01", "another", "fleet")
    add(store, "web-01", replaces=True, token="fourth")
    assert use(store, "web-01", "another", "fourth") is not None


def test_a_revoked_host_may_be_enrolled_again_by_a_new_token(store: Store) -> None:
    add(store)
    use(store)
    number = store.revoke_host("web-01", "local:eva", LATER)
    assert store.read_orders()[-1].id == number
    with pytest.raises(Conflict, match="has been used"):
        use(store)
    add(store, token="second")
    assert use(store, token="second") is not None


def test_the_names_of_enrolled_hosts_follow_enrolments_and_revocations(store: Store) -> None:
    other = EnrolledHosts(store.database)  # of another process
    other.refresh()
    assert other.names == set()
    add(store, "*", uses=3)
    for host in ("web-01", "Web-02", "web-03"):
        use(store, host)
    other.refresh()
    assert other.names == {"web-01", "web-02", "web-03"}
    store.revoke_host("Web-02", "local:eva", LATER)
    store.revoke_host("never-heard-of", "local:eva", LATER)
    other.refresh()
    assert other.names == {"web-01", "web-03"}
    add(store, "Web-02", replaces=True, token="another")
    use(store, "Web-02", token="another")
    other.refresh()
    assert other.names == {"web-01", "web-02", "web-03"}


def test_only_what_has_changed_is_read_of_the_enrolled_hosts(store: Store) -> None:
    add(store)
    use(store)
    store.enrolled.refresh()
    asked: list[str] = []

    def note(_c: object, _k: object, statement: str, *_: object) -> None:
        asked.append(statement)

    event.listen(store.database.reader, "before_cursor_execute", note)
    try:
        store.enrolled.refresh()
        assert len([statement for statement in asked if "FROM" in statement]) == 1
        add(store, "web-02", token="another")
        use(store, "web-02", token="another")
        store.enrolled.names.add("a mark that reading all would wipe away")
        store.enrolled.refresh()
        assert len(store.enrolled.names) == 3
    finally:
        event.remove(store.database.reader, "before_cursor_execute", note)


def test_who_has_been_enrolled_since_is_read_without_all_the_others(store: Store) -> None:
    assert store.read_enrolled() == ([], 0)
    for host in ("web-01", "web-02"):
        add(store, host, token=host)
        use(store, host, token=host)
    hosts, newest = store.read_enrolled()
    assert sorted(hosts) == ["web-01", "web-02"]
    assert store.read_enrolled(newest) == ([], newest)
    store.revoke_host("web-01", "local:eva", LATER)
    add(store, "web-03", token="third")
    use(store, "web-03", token="third")
    assert store.read_enrolled(newest)[0] == ["web-03"]
    assert sorted(store.read_enrolled()[0]) == ["web-02", "web-03"]
