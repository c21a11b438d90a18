"""Correlations: rules that count how often others are met, by group, within a time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from watch_sigma import windows_event

from core.clock import rfc3339
from store.rows import StoredEvent
from watch.sigma import count
from watch.sigma.collect import convert_files
from watch.sigma.match import PlainRule, Ruleset

BEGIN = datetime(2026, 11, 23, 6, 30, tzinfo=UTC)
BASE = {
    "title": "base", "name": "base", "id": "11111111-1111-4111-8111-111111111111",
    "logsource": {"product": "windows", "service": "security"},
    "detection": {"sel": {"EventID": 4625}, "condition": "sel"},
}  # fmt: skip
COUNTED = {
    "type": "event_count",
    "rules": ["base"],
    "group-by": ["IpAddress"],
    "timespan": "1m",
    "condition": {"gte": 3},
}


def converted(tmp_path: Path, **changes: object) -> tuple[list[PlainRule], list[str]]:
    correlation = {key: value for key, value in {**COUNTED, **changes}.items() if value is not None}
    documents = [{"title": "counted", "level": "high", "correlation": correlation}, BASE]
    (tmp_path / "a.yml").write_text(yaml.safe_dump_all(documents))
    rules, refused = convert_files([tmp_path / "a.yml"])
    return [one.plain for one in rules], [one.reason for one in refused]


def failed(at_seconds: float, address: str = "192.0.2.9", user: str = "alice") -> StoredEvent:
    event = windows_event(4625, TargetUserName=user, LogonType="3", IpAddress=address)
    event.timestamp = rfc3339(BEGIN + timedelta(seconds=at_seconds))
    return event


def told(rules: Ruleset, *events: StoredEvent) -> list[list[str]]:
    return [[rule.title for rule in rules.match(event)] for event in events]


def test_the_third_within_the_time_is_told_and_then_it_counts_anew(tmp_path: Path) -> None:
    rules = Ruleset(converted(tmp_path)[0])
    events = [failed(0), failed(10), failed(20), failed(21), failed(22), failed(23)]
    assert told(rules, *events) == [[], [], ["counted"], [], [], ["counted"]]


def test_what_is_too_long_ago_does_not_count(tmp_path: Path) -> None:
    assert told(Ruleset(converted(tmp_path)[0]), failed(0), failed(30), failed(61), failed(62)) == [
        [], [], [], ["counted"],
    ]  # fmt: skip


def test_what_comes_late_counts_at_its_own_time(tmp_path: Path) -> None:
    rules = Ruleset(converted(tmp_path)[0])
    assert told(rules, failed(100), failed(30), failed(110), failed(50.5)) == [[], [], [], ["counted"]]


def test_each_group_is_counted_by_itself_and_whoever_has_none_is_not(tmp_path: Path) -> None:
    rules = Ruleset(converted(tmp_path)[0])
    assert told(rules, *(failed(second, f"192.0.2.{second % 3}") for second in range(6))) == [[]] * 6
    assert told(rules, failed(7, "192.0.2.0")) == [["counted"]]
    assert told(rules, *(failed(second, "-") for second in range(6))) == [[]] * 6


def test_different_values_are_counted_once_each(tmp_path: Path) -> None:
    rules = Ruleset(converted(tmp_path, type="value_count", condition={"gt": 2, "field": "TargetUserName"})[0])
    users = ["a", "A", "b", "a", "b", "c", "d"]
    found = told(rules, *(failed(second, user=user) for second, user in enumerate(users)))
    assert found == [[], [], [], [], [], ["counted"], []]


def test_the_counted_are_told_too_where_the_rule_says_so(tmp_path: Path) -> None:
    rules = Ruleset(converted(tmp_path, generate=True, condition={"gte": 2})[0])
    assert told(rules, failed(0), failed(1)) == [["base"], ["counted", "base"]]


def test_without_a_group_all_are_counted_and_a_group_may_be_of_the_events_own_fields(tmp_path: Path) -> None:
    rules = Ruleset(converted(tmp_path, **{"group-by": None})[0])
    assert told(rules, failed(0, "192.0.2.1"), failed(1, "192.0.2.2"), failed(2, "-")) == [[], [], ["counted"]]
    rules = Ruleset(converted(tmp_path, **{"group-by": ["source_host", "EventID"]})[0])
    assert told(rules, failed(0, "192.0.2.1"), failed(1, "192.0.2.2"), failed(2, "-")) == [[], [], ["counted"]]


def test_an_alias_names_the_field_of_each_rule(tmp_path: Path) -> None:
    rules, refused = converted(tmp_path, **{"group-by": ["who"], "aliases": {"who": {"base": "TargetUserName"}}})
    assert not refused
    found = told(Ruleset(rules), *(failed(second, f"192.0.2.{second}") for second in range(3)))
    assert found == [[], [], ["counted"]]


def test_what_was_counted_is_kept_when_the_rules_are_read_again(tmp_path: Path) -> None:
    plain, _ = converted(tmp_path)
    first = Ruleset(plain)
    assert told(first, failed(0), failed(1)) == [[], []]
    assert told(Ruleset(plain, before=first), failed(2)) == [["counted"]]
    changed, _ = converted(tmp_path, condition={"gte": 2})
    assert told(Ruleset(changed, before=first), failed(3)) == [[]]


def test_whoever_counts_with_a_memory_of_their_own_is_told_the_group_and_nothing_is_counted(tmp_path: Path) -> None:
    rules = Ruleset(converted(tmp_path, type="value_count", condition={"gte": 2, "field": "TargetUserName"})[0])
    for second in range(5):
        ((rule, record),) = rules.find(failed(second, user=f"User{second}"))
    ((counting, asked),) = rules.counting[rule.id]
    assert (rule.title, counting.title, asked.number, asked.seconds) == ("base", "counted", 2, 60)
    assert rules.silent == {rule.id}
    assert count.find_group(asked, rule.id, record) == (("192.0.2.9",), "user4")
    ((_, without),) = rules.find(failed(0, "-"))
    assert count.find_group(asked, rule.id, without) is None
    assert told(rules, failed(6)) == [[]]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"type": "temporal"}, "of the type temporal is not converted"),
        ({"type": "value_sum", "condition": {"gte": 3, "field": "a"}}, "of the type value_sum is not converted"),
        ({"type": "nothing"}, "it is no correlation"),
        ({"condition": {"lt": 3}}, "its condition is lt"),
        ({"condition": {"neq": 3}}, "its condition is neq"),
        ({"condition": {"gte": 0}}, "out of bounds"),
        ({"condition": {"gte": 10_000_000}}, "out of bounds"),
        ({"timespan": "100y"}, "out of bounds"),
        ({"timespan": "soon"}, "it is no correlation"),
        ({"timespan": None}, "it is no correlation"),
        ({"rules": ["nobody"]}, "no rule of that id or name was converted"),
        ({"rules": []}, "it names no rule to count"),
        ({"group-by": ["Nothing"]}, "no agent tells Nothing"),
        ({"group-by": 5}, "it is no correlation"),
    ],
)
def test_a_correlation_that_cannot_be_counted_is_refused_and_its_rule_stands(
    tmp_path: Path, changes: dict[str, object], reason: str
) -> None:
    rules, (refused,) = converted(tmp_path, **changes)
    assert reason in refused
    assert told(Ruleset(rules), failed(0)) == [["base"]]


def test_forged_addresses_do_not_fill_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(count, "MOST_GROUPS", 5)
    monkeypatch.setattr(count, "MOST_HELD", 7)
    rules = Ruleset(converted(tmp_path, condition={"gte": 5})[0])
    for second in range(200):
        rules.match(failed(second / 10, f"192.0.2.{second % 50}"))
    (counter,) = rules._counters.values()
    assert len(counter._groups) <= 5
    assert counter._held == sum(map(len, counter._groups.values())) <= 7


@given(st.lists(st.tuples(st.integers(0, 300), st.integers(0, 2)), max_size=60))
@settings(max_examples=200, deadline=None)
def test_it_is_told_exactly_when_so_many_lie_within_the_time(events: list[tuple[int, int]]) -> None:
    counter = count.Counter(count.Count({"r": ["IpAddress"]}, False, 60, 3))
    waiting: dict[int, list[int]] = {}
    for at, group in events:
        seen = sorted([*waiting.get(group, []), at])
        seen = [one for one in seen if one > seen[-1] - 60]
        is_full = len(seen) >= 3
        waiting[group] = [] if is_full else seen
        assert counter._add((str(group),), "", at) is is_full
