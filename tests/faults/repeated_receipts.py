"""Receipts that come a second time: heard as an operator hears them, said again with the ingestor's right to do so."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from faults_site import Site
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from waiting import wait_until

from core.topics import RECEIPT, every_host, host_topic, parse_host_topic


class Receipts:
    """Every receipt heard so far, by host, in the order of their first coming."""

    def __init__(self, site: Site) -> None:
        self.heard: defaultdict[str, dict[bytes, None]] = defaultdict(dict)
        self._ears, self._mouth = self._connect(site, "ops"), self._connect(site, "ingestor")
        self._ears.on_message = self._hear
        self._ears.subscribe(every_host(RECEIPT))

    def _connect(self, site: Site, name: str) -> Client:
        credential = site.home.credential(name)
        client = Client(CallbackAPIVersion.VERSION2, f"{credential.user}-test", protocol=MQTTProtocolVersion.MQTTv5)
        client.username_pw_set(*credential)
        client.connect("127.0.0.1", site.mqtt_port)
        client.loop_start()
        wait_until(client.is_connected, f"{name} is connected")
        return client

    def _hear(self, _client: Client, _data: Any, message: MQTTMessage) -> None:
        found = parse_host_topic(message.topic)
        assert found is not None
        self.heard[found.host][message.properties.CorrelationData] = None

    def say_again(self, host: str) -> int:
        """Publish all receipts of `host` once more; returns how many."""
        again = [*self.heard[host]]
        for correlation in again:
            properties = Properties(PacketTypes.PUBLISH)
            properties.CorrelationData = correlation
            sent = self._mouth.publish(host_topic(host, RECEIPT), b"", properties=properties)
            sent.wait_for_publish(10)
        return len(again)

    def close(self) -> None:
        for client in (self._ears, self._mouth):
            client.disconnect()
            client.loop_stop()


@contextmanager
def receipts(site: Site) -> Iterator[Receipts]:
    """The site's receipts from now on."""
    made = Receipts(site)
    try:
        yield made
    finally:
        made.close()
