"""The observer, by the packets that it gets: what it could not hear it takes from what is retained."""

from __future__ import annotations

from typing import Any

import mqtt5

from core.clock import utc_now
from core.messages import Alert, encode
from core.topics import alert_topic
from heimdall.sim.observer import Observer


class QuietLink:
    """Takes what the observer sends, and says nothing by itself."""

    heard_at = sent_at = 0.0

    def subscribe(self, *filters: str) -> None:
        """As the broker would, the test answers."""

    def ping(self) -> None:
        """Likewise."""


class Heard:
    """An observer of `web-01` on one link after another."""

    def __init__(self) -> None:
        self.now = 0.0
        self.observer = Observer(None, None, "observer", frozenset(["web-01"]), lambda: self.now)  # type: ignore[arg-type]
        self._link: Any = None

    def connect(self, *retained: mqtt5.PublishPacket, settled: bool = True) -> None:
        """`settled`: the connection lasts until all that is retained has come."""
        self._link = QuietLink()
        self.observer.opened(self._link)
        for packet in (
            mqtt5.ConnAckPacket(),
            mqtt5.SubAckPacket(1, [mqtt5.SubAckReasonCode.GRANTED_QOS_AT_MOST_ONCE]),
            *retained,
        ):
            self.hear(packet)
        if settled:
            self.hear(mqtt5.PingRespPacket())

    def lose(self) -> None:
        self.observer.ended(self._link, "cut")

    def hear(self, packet: mqtt5.Packet) -> None:
        self.observer.heard(self._link, packet)


def opened(alert_id: str) -> mqtt5.PublishPacket:
    alert = Alert(alert_id, "zombie", "open", utc_now(), utc_now(), "web-01 is a zombie", "web-01")
    return mqtt5.PublishPacket(alert_topic(alert_id), encode(alert))


def test_an_alert_that_was_resolved_while_it_could_not_hear_is_resolved_when_it_hears_again() -> None:
    heard = Heard()
    heard.connect()
    for alert_id in ("gone", "lasting"):
        heard.hear(opened(alert_id))
    heard.now = 5.0
    heard.lose()
    heard.now = 9.0
    heard.connect(opened("lasting"))
    resolved = {alert.id: alert.resolved_at for alert in heard.observer.alerts}
    assert resolved == {"gone": 9.0, "lasting": None}
    assert [(gap.at, gap.until) for gap in heard.observer.gaps] == [(0.0, 9.0)]


def test_what_a_connection_told_that_broke_again_is_not_what_the_next_one_tells() -> None:
    heard = Heard()
    heard.connect()
    heard.hear(opened("gone"))
    heard.lose()
    heard.connect(opened("gone"), settled=False)
    heard.now = 7.0
    heard.lose()
    heard.connect()
    assert [alert.resolved_at for alert in heard.observer.alerts] == [7.0]


def test_what_a_rule_has_found_in_events_is_no_alert_of_the_simulation() -> None:
    heard = Heard()
    heard.connect()
    found = Alert("found", "brute_force", "open", utc_now(), utc_now(), "many failed logins", None, subject="::1")
    clone = Alert("two", "clone", "open", utc_now(), utc_now(), "web-01 is two", "web-01", subject="web-01")
    for alert in (found, clone):
        heard.hear(mqtt5.PublishPacket(alert_topic(alert.id), encode(alert)))
    assert [alert.kind for alert in heard.observer.alerts] == ["clone"]
