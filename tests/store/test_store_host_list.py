"""The list of hosts, a page at a time, in every order and by every filter."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import product

import pytest
from host_status import read_status
from store_samples import NOW, a_batch, an_event

from core.messages import VerdictState
from store import CONDITIONS, SORTS, Beat, FoundScore, HeldVerdict, Host, HostFilter, HostPage, Sort, Store, host_pages

_VERDICTS: list[tuple[str, VerdictState, str]] = [
    ("a-online", "online", ""), ("b-crashed", "offline", "crashed"), ("C-late", "late", ""), ("d-new", "new", ""),
    ("e-silent", "offline", "silent"), ("f-zombie", "zombie", ""), ("g_stopped", "offline", "stopped"),
    ("h-crashed", "offline", "crashed"), ("i-online", "online", ""),
]  # fmt: skip


EVERY = HostFilter()


def judge(store: Store, *told: tuple[str, VerdictState, str], version: int = 0) -> None:
    moments = (NOW - timedelta(minutes=number % 4) for number in range(len(told)))
    transitions = [
        HeldVerdict(host, state, reason, since, None, version)
        for (host, state, reason), since in zip(told, moments, strict=False)
    ]
    for _ in store.claim(transitions, NOW):
        pass


@pytest.fixture
def filled(store: Store) -> Store:
    """Hosts of each kind: with equal values to sort by, without any, one that was never heard, one never judged."""
    judge(store, *_VERDICTS)
    heard = [host for host, state, _ in _VERDICTS if state != "new"]
    for number, host in enumerate([*heard, "j-unjudged"]):
        store.record_heartbeat(host, ("LINUX", "WINDOWS")[number % 2], NOW - timedelta(seconds=number // 2))
    store.write(a_batch(*(an_event(host) for host in ("a-online", "a-online", "b-crashed"))))
    store.keep_scores([FoundScore("a-online", 99, "{}"), FoundScore("f-zombie", 7, "{}")], NOW)
    store.record_info("a-online", '{"tags":["prod","a%b"]}', NOW)
    store.record_info("f-zombie", '{"tags":["prod-2"]}', NOW)
    return store


def walk(store: Store, sort: Sort, descending: bool, wanted: HostFilter = EVERY, limit: int = 2) -> list[Host]:
    """Every page, one after the other."""
    found: list[Host] = []
    page = HostPage([], None, 0)
    while not found or page.end is not None:
        page = store.host_list.page(wanted, sort, limit, page.end, descending=descending)
        if not page.hosts:
            break
        found += page.hosts
    return found


def names(hosts: list[Host]) -> list[str]:
    return [host.hostname for host in hosts]


def value(host: Host, sort: Sort) -> object:
    """What a list is sorted by, worked out from the host as it is shown."""
    condition = host.reason if host.state == "offline" else host.state or "unjudged"
    return {
        "state": CONDITIONS.index(condition),  # type: ignore[arg-type]
        "hostname": host.hostname,
        "os_type": host.os_type,
        "last_seen": host.last_seen.timestamp() if host.last_seen else 0.0,
        "total_events": host.total_events,
        "score": -1 if host.score is None else host.score,
        "since": host.since.timestamp() if host.since else 0.0,
    }[sort]


def test_the_worst_comes_first_and_equals_in_the_order_of_their_names(filled: Store) -> None:
    assert names(walk(filled, "state", descending=False)) == [
        "b-crashed", "h-crashed", "e-silent", "f-zombie", "C-late", "d-new", "j-unjudged", "g_stopped", "a-online",
        "i-online",
    ]  # fmt: skip


@pytest.mark.parametrize(("sort", "descending"), list(product(SORTS, (False, True))))
def test_pages_have_every_host_once_and_in_order(filled: Store, sort: Sort, descending: bool) -> None:
    whole = walk(filled, sort, descending, limit=1000)
    assert len(whole) == 10
    in_order = sorted(whole, key=lambda host: host.hostname, reverse=descending and sort == "hostname")
    assert whole == sorted(in_order, key=lambda host: value(host, sort), reverse=descending)  # type: ignore[arg-type,return-value]
    for limit in (1, 2, 3, 9, 10):
        assert walk(filled, sort, descending, limit=limit) == whole


@pytest.mark.parametrize("few", [4, 2000])
@pytest.mark.parametrize(("sort", "descending"), list(product(SORTS, (False, True))))
def test_pages_of_few_and_of_many_that_have_a_part_are_the_same(
    filled: Store, sort: Sort, descending: bool, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host_pages, "_FEW", few)
    wanted = HostFilter(q="-")
    expected = [host for host in walk(filled, sort, descending, limit=1000) if "-" in host.hostname]
    assert len(expected) == 9
    for limit in (1, 2, 9, 10):
        assert walk(filled, sort, descending, wanted, limit) == expected
        assert filled.host_list.page(wanted, sort, limit, descending=descending).total == 9


def test_a_count_holds_for_the_pages_that_follow_at_once(filled: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = HostFilter(os_type="LINUX")
    monkeypatch.setattr(host_pages, "_COUNT_SECONDS", -1.0)
    filled.host_list.page(wanted, "state", 1)  # has no count to leave behind
    monkeypatch.setattr(host_pages, "_COUNT_SECONDS", 3600.0)
    first = filled.host_list.page(wanted, "state", 1)
    filled.record_heartbeat("new-1", "LINUX", NOW)
    assert filled.host_list.page(wanted, "state", 1, first.end).total == first.total
    assert filled.host_list.page(wanted, "state", 100).total == first.total + 1


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (HostFilter(q="CRASH"), ["b-crashed", "h-crashed"]),
        (HostFilter(q="_"), ["g_stopped"]),
        (HostFilter(q="%"), []),
        (HostFilter(q="c-late"), ["C-late"]),
        (HostFilter(conditions=frozenset({"crashed", "late"})), ["b-crashed", "h-crashed", "C-late"]),
        (HostFilter(conditions=frozenset({"unjudged"})), ["j-unjudged"]),
        (HostFilter(tag="prod"), ["a-online"]),
        (HostFilter(tag="a%b"), ["a-online"]),
        (HostFilter(tag="a_b"), []),
        (HostFilter(os_type="WINDOWS", q="silent"), ["e-silent"]),
    ],
)
def test_filters_hold_together_and_the_total_is_of_what_fits(
    filled: Store, wanted: HostFilter, expected: list[str]
) -> None:
    assert names(walk(filled, "state", False, wanted)) == expected
    for limit in (1, 100):
        assert filled.host_list.page(wanted, "state", limit).total == len(expected)


def test_a_host_that_was_never_heard_is_listed_as_what_it_is(filled: Store) -> None:
    (host,) = filled.host_list.page(HostFilter(q="d-new"), "state", 10).hosts
    assert (host.os_type, host.last_seen, host.total_events, host.state) == ("", None, 0, "new")


def test_a_host_moves_with_its_verdict_and_its_kind(filled: Store) -> None:
    judge(filled, ("b-crashed", "online", ""), version=1)
    filled.record_heartbeat("b-crashed", "MACOS", NOW + timedelta(seconds=9))
    assert names(walk(filled, "state", False, HostFilter(conditions=frozenset({"crashed"})))) == ["h-crashed"]
    assert names(walk(filled, "state", False, HostFilter(os_type="MACOS"))) == ["b-crashed"]


def test_hosts_are_counted_by_what_they_are_held_to_be(filled: Store) -> None:
    counted = filled.host_list.count()
    assert list(counted) == list(CONDITIONS)
    assert {name: count for name, count in counted.items() if count} == {
        "crashed": 2, "silent": 1, "zombie": 1, "late": 1, "new": 1, "unjudged": 1, "stopped": 1, "online": 2,
    }  # fmt: skip


def test_since_when_the_first_host_is_what_it_is(filled: Store) -> None:
    found = filled.host_list.first_since(["crashed", "online", "missing", "unjudged"])
    assert found == {"crashed": NOW - timedelta(minutes=3), "online": NOW}


def test_tags_beyond_what_an_index_holds_are_left_out(store: Store) -> None:
    long = ["x" * 400, "y" * 400, "small", "with\\nline"]
    store.record_info("web-01", '{"tags":[' + ",".join(f'"{tag}"' for tag in long) + "]}", NOW)
    (host,) = store.host_list.page(HostFilter(), "state", 10).hosts
    assert host.tags == ["x" * 400, "small"]


def test_a_host_has_the_same_in_a_page_as_alone_and_in_the_whole_answer(filled: Store) -> None:
    paged = {host.hostname: host for host in walk(filled, "hostname", False)}
    assert all(filled.get_host(name) == host for name, host in paged.items())
    status = read_status(filled, 15, NOW)
    assert {host.hostname: host for host in [*status.active, *status.inactive]} == {
        name: host for name, host in paged.items() if name != "d-new"
    }


def test_outages_of_some_hosts_are_those_that_lasted(filled: Store) -> None:
    judge(filled, ("b-crashed", "online", ""), version=1)
    found = filled.read_outages_of(["b-crashed", "h-crashed", "i-online"], NOW - timedelta(hours=24))
    assert [(name, [one.cause for one in outages]) for name, outages in found.items()] == [
        ("b-crashed", ["crashed"]), ("h-crashed", ["crashed"]), ("i-online", []),
    ]  # fmt: skip
    assert filled.read_outages_of(["b-crashed"], NOW + timedelta(hours=1)) == {"b-crashed": []}


def test_a_beat_that_was_heard_before_lists_nobody_twice(store: Store) -> None:
    store.record_heartbeats([Beat("web-01", "LINUX", NOW), replace(Beat("web-01", "LINUX", NOW), at=NOW)])
    assert store.host_list.page(HostFilter(), "state", 10).total == 1
