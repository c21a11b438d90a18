"""What rules find in planted days, and what they do not: the default rules, and some of our own."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.clock import rfc3339
from core.messages import EVENT_TYPES, OS_TYPES
from store import StoredEvent
from store.found_alerts import Finding, Subject
from watch.detection import Detection
from watch.event_rules import EventRule
from watch.rules import read_rules

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
ATTACKER, OTHER = "203.0.113.9", "198.51.100.7"


class Day:
    """Events, in the order in which they are stored, a second after they happened."""

    def __init__(self) -> None:
        self._planted: list[tuple[float, dict[str, Any]]] = []

    def happens(self, seconds: float, event_type: str, **more: Any) -> None:
        self._planted.append((seconds, {"event_type": event_type, **more}))

    def fails(self, seconds: float, source_ip: str = ATTACKER, host: str = "web-01", user: str = "root") -> None:
        self.happens(seconds, "LOGIN_FAIL", source_ip=source_ip, source_host=host, user=user)

    def events(self) -> list[StoredEvent]:
        planted = sorted(self._planted, key=lambda one: one[0])
        return [_event(number, seconds, **more) for number, (seconds, more) in enumerate(planted, 1)]


def _event(number: int, seconds: float, **more: Any) -> StoredEvent:
    values = {
        "event_id": str(number), "source_host": "web-01", "os_type": "LINUX", "severity": 2, "source_ip": "N/A",
        "user": "N/A", "raw_message": "", "timestamp": rfc3339(at(seconds)), "created_at": rfc3339(at(seconds + 1)),
    }  # fmt: skip
    return StoredEvent(id=number, **(values | more))


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


@pytest.fixture
def rules(tmp_path: Any) -> dict[str, EventRule]:
    return dict(read_rules(tmp_path / "none.toml").rule)


def found_by(rules: dict[str, EventRule], events: Sequence[StoredEvent]) -> list[Finding]:
    """What is found when somebody looks each second, forgets what is over, and is killed now and then."""
    detection, kept, found = Detection(rules), dict[Subject, str](), list[Finding]()
    chance = random.Random(7)
    for event in events:
        found += detection.take([event])
        detection.forget(_ms(event.created_at))
        for subject in detection.changed:
            packed = detection.pack(subject)
            kept.pop(subject, None)
            if packed is not None:
                kept[subject] = packed
        detection.changed.clear()
        if chance.random() < 0.05:
            detection = Detection(rules)
            detection.remember(kept)
    return found


def _ms(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


def names(found: Sequence[Finding]) -> list[tuple[str, str]]:
    return [(one.subject.rule, one.subject.name) for one in found]


def test_brute_force_from_one_address_over_forty_hosts_is_found_once(rules: dict[str, EventRule]) -> None:
    day = Day()
    for number in range(400):
        day.fails(number * 2, host=f"web-{number % 40:02}")
    [found] = found_by(rules, day.events())
    assert (found.subject, found.severity, found.lasts) == (Subject("brute_force", ATTACKER), 4, True)
    assert found.since == at(0)
    assert found.source_host is None
    assert found.text == (
        "many failed logins: 10 events within 5 minutes, from 203.0.113.9, on web-00, web-01, web-02, web-03, web-04"
        " and 5 more"
    )


def test_one_that_stays_under_the_rate_is_found_by_its_patience(rules: dict[str, EventRule]) -> None:
    day = Day()
    for number in range(60):
        day.fails(number * 300, host=f"web-{number % 3}")
    assert names(found_by(rules, day.events())) == [("slow_brute_force", ATTACKER)]


def test_a_second_attack_after_a_pause_is_found_again(rules: dict[str, EventRule]) -> None:
    day = Day()
    for begun in (0, 3_600):
        for number in range(30):
            day.fails(begun + number)
    assert names(found_by(rules, day.events())) == [("brute_force", ATTACKER)] * 2


def test_a_login_after_failed_ones_is_worse(rules: dict[str, EventRule]) -> None:
    day = Day()
    for number in range(6):
        day.fails(number * 10)
        day.fails(number * 10, OTHER)
    day.happens(70, "LOGIN_SUCCESS", source_ip=ATTACKER, source_host="db-01", user="root")
    day.happens(90_000, "LOGIN_SUCCESS", source_ip=OTHER, source_host="db-01", user="root")
    [found] = found_by(rules, day.events())
    assert found.subject == Subject("login_after_failures", ATTACKER)
    assert (found.severity, found.source_host, found.lasts) == (5, "db-01", False)
    assert found.text == "a login after failed ones, from 203.0.113.9, on db-01"


def test_mistakes_before_an_earlier_login_are_forgiven(rules: dict[str, EventRule]) -> None:
    day = Day()
    for begun in (0, 60, 120):
        for number in range(3):
            day.fails(begun + number * 5)
        day.happens(begun + 20, "LOGIN_SUCCESS", source_ip=ATTACKER)
    assert found_by(rules, day.events()) == []


def test_a_blocked_query_and_a_login_are_joined_by_their_address(rules: dict[str, EventRule]) -> None:
    day = Day()
    for number in range(5):
        day.happens(number, "DNS_BLOCK", os_type="PIHOLE", source_host="pihole", source_ip="192.168.1.44")
    day.happens(600, "LOGIN_SUCCESS", source_ip="192.168.1.44", source_host="nas")
    day.happens(610, "LOGIN_SUCCESS", source_ip="192.168.1.45", source_host="nas")
    assert names(found_by(rules, day.events())) == [("login_after_block", "192.168.1.44")]


@pytest.mark.parametrize(
    ("event_type", "rule", "subject"),
    [
        ("LOG_TAMPERING", "log_tampering", "web-01"),
        ("SERVICE_INSTALL", "new_service", "web-01"),
        ("PORT_SCAN", "port_scan", ATTACKER),
    ],
)
def test_what_is_bad_by_itself_is_found_once_while_it_goes_on(
    rules: dict[str, EventRule], event_type: str, rule: str, subject: str
) -> None:
    day = Day()
    for seconds in (0, 1, 2, 300, 5_000):
        day.happens(seconds, event_type, source_ip=ATTACKER)
    assert names(found_by(rules, day.events())) == [(rule, subject)] * 2, "and again when there was none for long"


def test_on_a_quiet_day_nothing_is_found(rules: dict[str, EventRule]) -> None:
    day, chance = Day(), random.Random(1)
    usual = [kind for kind in EVENT_TYPES if kind not in ("LOG_TAMPERING", "SERVICE_INSTALL", "PORT_SCAN")]
    for number in range(5_000):
        day.happens(
            number * 17, chance.choice(usual), source_ip=f"192.168.{chance.randrange(4)}.{chance.randrange(250)}",
            source_host=f"host-{chance.randrange(50)}", severity=chance.randrange(1, 6),
        )  # fmt: skip
    for morning in range(30):  # people mistype, and then do not
        for again in range(3):
            day.fails(morning * 2_000 + again * 5, f"10.0.0.{morning}")
        day.happens(morning * 2_000 + 20, "LOGIN_SUCCESS", source_ip=f"10.0.0.{morning}")
    assert found_by(rules, day.events()) == []


def test_failures_without_an_address_are_nobodys(rules: dict[str, EventRule]) -> None:
    day = Day()
    for number in range(100):
        day.fails(number, "N/A")
    assert found_by(rules, day.events()) == []


def test_who_sprays_passwords_over_users_is_found_by_how_many_they_are() -> None:
    spray = EventRule("spraying", "LOGIN_FAIL", by="source_ip", count=5, distinct="user", within_minutes=60)
    day = Day()
    for number in range(50):
        day.fails(number * 10, user="root")
        day.fails(number * 60, OTHER, user=f"user-{number}")
    [found] = found_by({"spraying": spray}, day.events())
    assert found.subject == Subject("spraying", OTHER)
    assert "5 users within 60 minutes" in found.text


def test_a_rule_looks_at_what_it_says_alone() -> None:
    rule = EventRule(
        "sudo on servers", ["SUDO_ESCALATION"], "LINUX", severity_at_least=3, hosts=["web-*", "db-?"],
        contains=["TTY=", "/bin/BASH"], by="source_host",
    )  # fmt: skip
    day, fits = Day(), {"os_type": "LINUX", "severity": 3, "source_host": "db-1", "raw_message": "tty=x; /bin/bash"}
    wrong = [
        {"os_type": "MACOS"}, {"severity": 2}, {"source_host": "db-10"}, {"raw_message": "tty=x"},
        {"source_host": "my-web-1"},
    ]  # fmt: skip
    for number, change in enumerate([*wrong, {}]):
        day.happens(number, "SUDO_ESCALATION", **(fits | change))
    day.happens(99, "LOGIN_FAIL", **fits)
    assert names(found_by({"sudo": rule}, day.events())) == [("sudo", "db-1")]


def test_what_a_host_sends_a_day_late_counts_when_it_happened(rules: dict[str, EventRule]) -> None:
    events = []
    for number in range(1, 21):
        event = _event(number, number * 3_600, event_type="LOGIN_FAIL", source_ip=ATTACKER)
        event.created_at = rfc3339(at(100_000))
        events.append(event)
    assert found_by(rules, events) == [], "twenty within a second of their storing, but twenty hours apart"


def test_a_clock_that_is_ahead_hides_nothing(rules: dict[str, EventRule]) -> None:
    events = [_event(number, number, event_type="LOGIN_FAIL", source_ip=ATTACKER) for number in range(1, 12)]
    for event in events:
        event.timestamp = rfc3339(at(10_000_000))
    [found] = found_by(rules, events)
    assert found.since < at(60)


def test_an_event_that_cannot_be_looked_at_stops_nothing(rules: dict[str, EventRule]) -> None:
    class Broken:
        def match(self, event: StoredEvent) -> list[Any]:
            raise KeyError(event.event_id) if event.id == 1 else ValueError

    day = Day()
    day.happens(0, "LOG_TAMPERING")
    detection = Detection(rules)
    assert names(detection.take(day.events())) == [("log_tampering", "web-01")]
    detection.sigma = Broken()
    assert detection.take(day.events()) == []
    detection.sigma = None
    assert names(detection.take([_event(2, 5_000, event_type="LOG_TAMPERING")])) == [("log_tampering", "web-01")]


def test_of_a_rule_that_is_gone_nothing_is_remembered(rules: dict[str, EventRule]) -> None:
    detection = Detection({})
    detection.remember({Subject("brute_force", ATTACKER): "[0, true, []]"})
    assert detection.changed == {Subject("brute_force", ATTACKER)}
    assert detection.pack(Subject("brute_force", ATTACKER)) is None


@given(
    st.lists(
        st.builds(
            lambda kind, os_type, seconds, text, severity: _event(
                1, seconds, event_type=kind, os_type=os_type, source_ip=text, user=text, raw_message=text,
                source_host=text, severity=severity,
            ),
            st.sampled_from([*EVENT_TYPES, "", "x"]), st.sampled_from([*OS_TYPES, ""]),
            st.floats(-1e9, 1e9), st.text(max_size=20), st.none() | st.integers(1, 5),
        ),
        max_size=50,
    )
)  # fmt: skip
def test_no_event_stops_it(events: list[StoredEvent]) -> None:
    rules = {
        "every": EventRule("all", by="user", count=2, distinct="source_ip", contains=["\u0130"]),
        "one": EventRule("one", "PORT_SCAN", by="source_host", hosts=["[", "*"]),
    }
    for one in found_by(rules, events):
        assert one.text.isprintable()
