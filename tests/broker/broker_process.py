"""What the broker's tests share: a real broker in a process of its own, and a client that tells reason codes."""

from __future__ import annotations

import os
import queue
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from waiting import free_port, wait_until

from broker.launcher import wait_ready
from core.home import Credential, Home
from core.settings import BrokerAddress, Settings, load

HOST = "web-01"  # this machine's agent
PATIENCE_SECONDS = 10.0
_START = """
import sys
from broker.launcher import run
from core.errors import HeimdallError
from core.settings import load
try:
    sys.exit(run(load(), sys.argv[1]))
except HeimdallError as error:
    sys.exit(f"{error.code}: {error}")
"""


class Broker:
    """A broker process of one home; `start` may be called again after `stop`."""

    def __init__(self, folder: Path, kind: str, port: int | None = None) -> None:
        self.kind = kind
        self.environment = {
            "HEIMDALL_HOME": str(folder),
            "HEIMDALL_MQTT_PORT": str(port or free_port()),
            "HEIMDALL_HOST": HOST,
        }
        self.settings: Settings = load(self.environment)
        self.home = Home(folder)
        self.address: BrokerAddress = self.settings.broker
        self.dynsec = self.home.broker / "dynsec.json"
        self.process: subprocess.Popen[str] | None = None

    def launch(self) -> subprocess.Popen[str]:
        """The process, whether or not it will get ready."""
        self.process = subprocess.Popen(
            [sys.executable, "-c", _START, self.kind],
            env=os.environ | self.environment,
            cwd=Path(__file__).parents[2],
            stderr=subprocess.PIPE,
            text=True,
        )
        return self.process

    def start(self) -> Broker:
        process = self.launch()
        wait_until(lambda: process.poll() is not None or self._answers(), f"the broker at {self.address} answers")
        if process.poll() is not None:
            pytest.fail(f"the broker ended with {process.returncode}: {process.communicate()[1]}")
        return self

    def _answers(self) -> bool:
        with socket.socket() as probe:
            if probe.connect_ex((self.address.host, self.address.port)):
                return False
        wait_ready(self.address, self.home.credential("ops"))
        return True

    def stop(self, number: int = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        self.process.communicate(timeout=PATIENCE_SECONDS)
        return self.process.returncode

    def session(self, name: str, **options: Any) -> Session:
        """A session of the credential `name`; the agent's under its own client id."""
        credential = self.home.credential(name)
        client_id = credential.user if name == "agent" else f"{credential.user}-test"
        return Session(self.address, credential, options.pop("client_id", client_id), **options)


class Session:
    """One MQTT 5 connection whose calls return the broker's reason codes."""

    def __init__(
        self,
        address: BrokerAddress,
        credential: Credential | None,
        client_id: str,
        will: tuple[str, bytes] | None = None,
        expiry_seconds: int = 0,
        clean: bool = True,
    ) -> None:
        self.received: queue.Queue[paho.MQTTMessage] = queue.Queue()
        self._answers: queue.Queue[int] = queue.Queue()
        self.maximum_packet_size = 0  # of CONNACK, in bytes
        self._client = client = paho.Client(
            paho.CallbackAPIVersion.VERSION2, client_id, protocol=paho.MQTTv5, reconnect_on_failure=False
        )
        if credential:
            client.username_pw_set(*credential)
        if will:
            client.will_set(*will, qos=1, retain=True)
        client.on_connect = self._connected
        client.on_connect_fail = lambda _c, _u: self._answers.put(-1)
        client.on_publish = lambda _c, _u, _m, code, _p: self._answers.put(code.value)
        client.on_subscribe = lambda _c, _u, _m, codes, _p: self._answers.put(codes[0].value)
        client.on_unsubscribe = lambda _c, _u, _m, codes, _p: self._answers.put(codes[0].value)
        client.on_message = lambda _c, _u, message: self.received.put(message)
        client.on_disconnect = lambda _c, _u, _f, code, _p: self._answers.put(0x100 + code.value)
        properties = Properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = expiry_seconds
        client.connect(address.host, address.port, clean_start=clean, properties=properties)
        client.loop_start()
        self.code = self.answer()  # of CONNACK, or 0x100 and more when the connection was closed instead

    def _connected(self, _client: object, _data: object, _flags: object, code: Any, properties: Any) -> None:
        self.maximum_packet_size = getattr(properties, "MaximumPacketSize", 0)
        self._answers.put(code.value)

    @property
    def connected(self) -> bool:
        return self._client.is_connected()

    def publish(self, topic: str, payload: bytes = b"{}", retain: bool = False) -> int:
        self._client.publish(topic, payload, qos=1, retain=retain)
        return self.answer()

    def subscribe(self, topic_filter: str) -> int:
        self._client.subscribe(topic_filter, qos=1)
        return self.answer()

    def unsubscribe(self, topic_filter: str) -> int:
        self._client.unsubscribe(topic_filter)
        return self.answer()

    def next(self) -> paho.MQTTMessage:
        return self.received.get(timeout=PATIENCE_SECONDS)

    def answer(self) -> int:
        """The next reason code; 0x100 and more for the end of the connection."""
        return self._answers.get(timeout=PATIENCE_SECONDS)

    def drop(self) -> None:
        """End like a process that was killed: without DISCONNECT."""
        self._client.on_disconnect = None
        sock = self._client.socket()
        assert sock is not None
        sock.shutdown(socket.SHUT_RDWR)
        self._client.loop_stop()

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@contextmanager
def running(folder: Path, kind: str, port: int | None = None) -> Iterator[Broker]:
    broker = Broker(folder, kind, port)
    try:
        yield broker.start()
    finally:
        if broker.process is not None and broker.process.poll() is None:
            broker.stop(signal.SIGKILL)
