"""A simulation in a home of Heimdall's own, where every host and service has rights of its own."""

from __future__ import annotations

import json

import pytest
from heimdall_home import running
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from waiting import wait_until

from core.topics import EVERYTHING

pytestmark = pytest.mark.mosquitto


def test_in_our_own_home_hosts_are_seen_events_accepted_and_nothing_stays_retained() -> None:
    with running("mosquitto") as up:
        done = up.run("sim", "--hosts", "20", "--interval", "1", "--events", "40", "--for", "5", "--json")
        assert done.returncode in (0, 1), done.stderr  # 1: whoever judges has not said enough
        fleet = json.loads(done.stdout)["fleet"]
        assert (fleet["connected"], fleet["lost"]) == (20, 0)
        assert fleet["events_accepted"] > 0
        wait_until(lambda: up.get("/hosts")["total_active"] >= 20, "the hosts are seen")
        retained: set[str] = set()
        ended: list[bool] = []

        def hear(_client: Client, _data: object, message: MQTTMessage) -> None:
            if message.retain:
                retained.add(message.topic)

        credential = up.credential("ops")
        client = Client(CallbackAPIVersion.VERSION2, "@ops-test", protocol=MQTTProtocolVersion.MQTTv5)
        client.username_pw_set(*credential)
        client.on_message = hear
        client.on_subscribe = lambda *_: ended.append(True)
        client.connect("127.0.0.1", up.mqtt_port)
        client.loop_start()
        client.subscribe(EVERYTHING, qos=0)
        wait_until(lambda: ended and any("/services/" in topic for topic in retained), "what is retained has come")
        client.disconnect()
        client.loop_stop()
        assert not [topic for topic in retained if "/sim-" in topic and topic.endswith(("/status", "/info"))]
