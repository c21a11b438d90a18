"""What a channel is told of an incident, and when: the complaints of other systems' users, one by one."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from core.ids import stable_id, uuid7
from core.messages import Alert
from store.notices import Decision, Telling
from watch.telling import PARTLY, STILL, Later, decide

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
WAIT = timedelta(seconds=10)
INCIDENT = str(uuid7())
FLAPPING = str(stable_id("flapping", "web-01"))


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def missed(host: str, seconds: float, incident: str = INCIDENT) -> Alert:
    alert_id = str(uuid7())
    text = f"{host} is offline: nothing is heard of it"
    return Alert(alert_id, "silent", "open", at(seconds), at(seconds), text, host, incident=incident)


def back(alert: Alert, seconds: float) -> Alert:
    return replace(alert, state="resolved", resolved_at=at(seconds))


class Person:
    """Who is told: what is known of the incident, and what was said."""

    def __init__(self) -> None:
        self.alerts: dict[str, Alert] = {}
        self.heard: set[str] = set()
        self.ended: set[str] = set()
        self.said: list[tuple[str, str]] = []
        self.bodies: list[str] = []

    def learn(self, *alerts: Alert) -> None:
        self.alerts.update({one.id: one for one in alerts})

    def listen(self, seconds: float) -> datetime | None:
        """Until there is nothing to tell at that time; when there will be."""
        while True:
            tellings = [Telling(one, key in self.heard, key in self.ended) for key, one in self.alerts.items()]
            found = decide(tellings, WAIT, at(seconds))
            if isinstance(found, Later):
                return found.at
            self.take(found)

    def take(self, found: Decision) -> None:
        assert found.opened or found.resolved, "or it would be told for ever"
        self.heard.update(found.opened)
        self.ended.update(found.resolved)
        if found.words is not None:
            self.said.append((found.words.kind, found.words.title))
            self.bodies.append(found.words.body)


def test_a_host_that_is_missed_and_comes_back_is_told_twice() -> None:
    person, alert = Person(), missed("web-01", 0)
    person.learn(alert)
    assert person.listen(9.9) == at(10)
    assert person.said == []
    person.listen(10)
    assert person.said == [("opened", alert.text)]
    assert person.listen(3_600) is None, "and not again while it lasts"
    person.learn(back(alert, 4_000))
    assert person.listen(4_009) == at(4_010)
    person.listen(4_010)
    assert person.said[1:] == [("resolved", "web-01 is back, after 66 minutes")]
    assert "silent from 2026-11-20 12:00:00Z to 2026-11-20 13:06:40Z" in person.bodies[-1]


def test_what_comes_and_goes_within_the_wait_is_not_told() -> None:
    person, alert = Person(), missed("web-01", 0)
    person.learn(back(alert, 9))
    person.listen(60)
    assert (person.said, person.ended) == ([], {alert.id})


def test_what_is_over_when_it_can_be_told_is_told_once() -> None:
    person, alert = Person(), missed("web-01", 0)
    person.learn(back(alert, 900))
    person.listen(3_600)
    assert person.said == [("opened", "web-01 was missed for 15 minutes")]


def test_five_hundred_hosts_lost_together_are_one_message_and_one_recovery_with_the_list() -> None:
    person = Person()
    alerts = [missed(f"host-{number:03}", number / 100) for number in range(500)]
    person.learn(*alerts)
    person.listen(15)
    assert person.said == [("opened", "500 hosts missed: host-000, host-001, host-002 and 497 more")]
    lines = person.bodies[0].splitlines()
    assert (len(lines), lines[99].split()[0]) == (101, "host-099")
    assert lines[100] == f"… and 400 more of 500: GET /alerts?incident={INCIDENT}"
    for number, alert in enumerate(alerts):
        person.learn(back(alert, 600 + number / 10))
        person.listen(600 + number / 10)
    person.listen(700)
    assert [kind for kind, _ in person.said] == ["opened", "resolved"]
    assert person.said[1][1] == "500 hosts back: host-000, host-001, host-002 and 497 more"


def test_hosts_that_keep_falling_are_not_waited_for_longer_than_a_minute() -> None:
    person = Person()
    for second in range(0, 66, 5):
        person.learn(missed(f"host-{second}", second))
        person.listen(second)
    assert [kind for kind, _ in person.said] == ["opened"]
    person.listen(100)
    assert person.said[1] == ("opened", "1 host more missed: host-65")


def test_one_that_stays_away_does_not_keep_the_others_return_from_being_told() -> None:
    person = Person()
    alerts = [missed(f"host-{number}", 0) for number in range(5)]
    person.learn(*alerts)
    person.listen(10)
    person.learn(*(back(alert, 100) for alert in alerts[:4]))
    assert person.listen(200) == at(100) + PARTLY
    person.listen(400)
    assert person.said[1] == ("partly", "4 hosts back, 1 still missed: host-4")
    person.learn(back(alerts[4], 5_000))
    person.listen(5_010)
    assert person.said[2] == ("resolved", "1 host back, and with it all: host-4")


def test_a_flapping_host_is_told_once_and_its_end_when_it_has_stayed() -> None:
    person = Person()
    for turn in range(20):
        alert = missed("web-01", turn * 60, FLAPPING)
        person.learn(alert)
        person.listen(turn * 60 + 15)
        person.learn(back(alert, turn * 60 + 30))
        person.listen(turn * 60 + 59)
    assert person.said == [("flapping", "web-01 is flapping: it comes and goes")]
    last = 19 * 60 + 30
    assert person.listen(last + 100) == at(last) + STILL
    person.listen(last + 600)
    assert [kind for kind, _ in person.said] == ["flapping", "resolved"]


def test_a_second_outage_is_told_again() -> None:
    person, again = Person(), missed("web-01", 1_000, str(uuid7()))
    decision: Any = decide([Telling(again)], WAIT, at(1_010))
    person.take(decision)
    assert person.said == [("opened", again.text)]
