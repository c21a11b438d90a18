"""A client that publishes all at once, as no agent of ours does: no spool, no receipts, no window."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from uuid import UUID

import paho.mqtt.client as paho
from faults_site import Site

from core.messages import Event, encode
from core.topics import host_topic


def publish(here: Site, host: str, kind: str, payloads: Iterable[bytes]) -> None:
    """Publish `payloads` as `host`, whose agent must not run, and wait until the broker has acknowledged each."""
    login = here.agent_home(host).credential("agent")
    client = paho.Client(paho.CallbackAPIVersion.VERSION2, host, protocol=paho.MQTTv5)
    client.username_pw_set(login.user, login.password)
    client.max_inflight_messages_set(1_000)
    client.connect("127.0.0.1", here.mqtt_port)
    client.loop_start()
    try:
        for sent in [client.publish(host_topic(host, kind), payload, qos=1) for payload in payloads]:
            sent.wait_for_publish(60)
            assert sent.is_published()
    finally:
        client.disconnect()
        client.loop_stop()


def long_events(host: str, ids: Iterable[str]) -> bytes:
    """Events of `host`, 10 kB each, as one message."""
    now = datetime.now(UTC)
    events = (Event(UUID(made), now, host, "LINUX", "LOGIN_FAIL", 3, "long " * 2_000) for made in ids)
    return b"[" + b",".join(map(encode, events)) + b"]"
