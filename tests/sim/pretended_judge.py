"""A judge of silence of the tests' own: it knows wills and the grace alone, and is wrong about the hosts it is told."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from core.clock import rfc3339, utc_now
from core.messages import Alert, encode
from core.topics import ALERTS, STATUS, VERDICT, every_host, host_topic, parse_host_topic

GRACE_SECONDS = 3.1
SLOW_SECONDS = 11.0
REASONS = {"lost": "crashed", "stop": "stopped", "shutdown": "shutdown"}


@dataclass
class Wrong:
    """About whom it says nothing, speaks too late, lies, or opens two alerts."""

    silent: Collection[str] = ()
    slow: Collection[str] = ()
    lying: Collection[str] = ()
    doubling: Collection[str] = ()


class Judge:
    """Judges until it is closed. `wrong` may be changed at any time."""

    def __init__(self, port: int) -> None:
        self.wrong = Wrong()
        self._due: dict[str, tuple[float, str]] = {}
        self._held: dict[str, str] = {}
        self._alerts: dict[str, list[str]] = {}
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
        self._client.on_message = self._hear
        self._client.connect("127.0.0.1", port)
        self._client.subscribe(every_host(STATUS), qos=0)
        self._client.loop_start()
        self._thread = threading.Thread(target=self._speak_when_due, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._closing.set()
        self._thread.join()
        self._client.disconnect()
        self._client.loop_stop()

    def _hear(self, _client: Client, _data: Any, message: MQTTMessage) -> None:
        found = parse_host_topic(message.topic)
        if found is None or message.retain or not message.payload:
            return
        status = json.loads(message.payload)
        with self._lock:
            if status["state"] == "online":
                self._due.pop(found.host, None)
                self._say(found.host, "online", "")
            elif status["state"] == "away":
                self._say(found.host, "away", status["reason"])
            else:
                wait = SLOW_SECONDS if found.host in self.wrong.slow else GRACE_SECONDS
                self._due[found.host] = (time.monotonic() + wait, REASONS[status["reason"]])

    def _speak_when_due(self) -> None:
        while not self._closing.wait(0.02):
            with self._lock:
                now = time.monotonic()
                for host in [host for host, (at, _) in self._due.items() if at <= now]:
                    self._say(host, "offline", self._due.pop(host)[1])

    def _say(self, host: str, state: str, reason: str) -> None:
        if host in self.wrong.lying and self._held.get(host) == "online":
            self._publish(host, "late", "no heartbeat")
        if state == self._held.get(host) or (host in self.wrong.silent and state == "offline"):
            return
        self._held[host] = state
        self._publish(host, state, reason)
        if reason == "crashed":
            for _ in range(2 if host in self.wrong.doubling else 1):
                self._open_alert(host)
        elif state == "online":
            for alert_id in self._alerts.pop(host, []):
                self._client.publish(f"{ALERTS}/{alert_id}", b"", qos=0, retain=True)

    def _publish(self, host: str, state: str, reason: str) -> None:
        verdict = {"state": state, "since": rfc3339(utc_now()), "reason": reason}
        self._client.publish(host_topic(host, VERDICT), json.dumps(verdict), qos=0, retain=True)

    def _open_alert(self, host: str) -> None:
        now = utc_now()
        alert = Alert(str(uuid4()), "crashed", "open", now, now, f"{host} has crashed", host)
        self._alerts.setdefault(host, []).append(alert.id)
        self._client.publish(f"{ALERTS}/{alert.id}", encode(alert), qos=0, retain=True)
