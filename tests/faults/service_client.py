"""A service's own client at the site's broker: says what that service may say, and keeps what it hears."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from faults_site import Site
from paho.mqtt.client import Client, MQTTMessage, MQTTMessageInfo
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from waiting import wait_until

_numbers = itertools.count(1)


class ServiceClient:
    """`name` is one of `core.home.SERVICES`. `heard` grows by itself."""

    def __init__(self, site: Site, name: str) -> None:
        user, password = site.home.credential(name)
        self.heard: list[MQTTMessage] = []
        self._subscribed = False
        self._client = client = Client(
            CallbackAPIVersion.VERSION2, f"{user}-test-{next(_numbers)}", protocol=MQTTProtocolVersion.MQTTv5,
            reconnect_on_failure=False,
        )  # fmt: skip
        client.username_pw_set(user, password)
        client.max_inflight_messages_set(1_000)
        client.on_message = lambda _client, _data, message: self.heard.append(message)
        client.on_subscribe = self._note_subscribed
        client.connect("127.0.0.1", site.mqtt_port)
        client.loop_start()
        wait_until(client.is_connected, f"@{name} is connected")

    def _note_subscribed(self, _client: Client, _data: Any, _mid: int, codes: list[Any], _properties: Any) -> None:
        self._subscribed = not any(code.is_failure for code in codes)

    def subscribe(self, topic_filter: str) -> None:
        """Hear `topic_filter` from now on, at QoS 1."""
        self._subscribed = False
        self._client.subscribe(topic_filter, qos=1)
        wait_until(lambda: self._subscribed, f"{topic_filter} is subscribed")

    def start_publish(self, topic: str, payload: bytes, qos: int = 1, **properties: Any) -> MQTTMessageInfo:
        """Publish with MQTT 5's `properties`, such as CorrelationData, without waiting for the PUBACK."""
        given = Properties(PacketTypes.PUBLISH)
        for key, value in properties.items():
            setattr(given, key, value)
        sent = self._client.publish(topic, payload, qos, properties=given)
        assert sent.rc == MQTTErrorCode.MQTT_ERR_SUCCESS
        return sent

    def publish(self, topic: str, payload: bytes, **properties: Any) -> None:
        """Publish at QoS 1, and wait until the broker has it."""
        self.start_publish(topic, payload, **properties).wait_for_publish(30)

    def publish_retained(self, topic: str, payload: bytes) -> None:
        """Publish at QoS 1 what the broker is to retain, and wait until it has it."""
        self._client.publish(topic, payload, 1, retain=True).wait_for_publish(30)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@contextmanager
def service_client(site: Site, name: str, *filters: str) -> Iterator[ServiceClient]:
    """A client of the service `name`, subscribed to `filters`."""
    client = ServiceClient(site, name)
    try:
        for topic_filter in filters:
            client.subscribe(topic_filter)
        yield client
    finally:
        client.close()
