"""The line from the broker to the database: a real Mosquitto, `heimdall ingest`, and who publishes and listens."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
from heimdall_home import outside
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from sqlalchemy import func, select
from waiting import wait_until

from broker.mosquitto import find_binary
from core.clock import rfc3339, utc_now
from core.home import Credential, Home
from core.ids import uuid7
from core.topics import DEAD, EVENTS, RECEIPT, SERVICES, every_host, host_topic
from store import open_store
from store.tables import dead_letters, logs

# reason codes (MQTT 5, section 2.4)
NOBODY_SUBSCRIBED, UNSPECIFIED, MALFORMED_PACKET, NOT_AUTHORIZED, PACKET_TOO_LARGE = 0x10, 0x80, 0x81, 0x87, 0x95
# no limits, no rights: what Heimdall's own configuration keeps away comes through
PLAIN = "allow_anonymous true\npersistence false\nmax_queued_messages 1000000\nset_tcp_nodelay true\n"


def event(host: str, **changed: Any) -> dict[str, Any]:
    return {
        "event_id": str(uuid7()), "timestamp": rfc3339(utc_now()), "source_host": host, "os_type": "LINUX",
        "event_type": "LOGIN_FAIL", "severity": 3, "source_ip": "203.0.113.9", "user": "root", "raw_message": "x",
        **changed,
    }  # fmt: skip


def encoded(message: Any) -> bytes:
    return json.dumps(message).encode()


class Client:
    """An MQTT 5 client that knows nothing of Heimdall's agent: `publish` tells the broker's reason code."""

    def __init__(self, port: int, client_id: str, credential: Credential | None, *filters: str) -> None:
        self.received: list[paho.MQTTMessage] = []
        self.ended: list[int] = []  # reason codes of disconnects
        self._codes: dict[int, int] = {}
        self._subscribed = threading.Event()
        self._client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id, protocol=paho.MQTTv5)
        if credential is not None:
            self._client.username_pw_set(*credential)
        self._client.on_connect = lambda client, *_: client.subscribe([(name, 1) for name in filters or ("nothing",)])
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = lambda _client, _data, message: self.received.append(message)
        self._client.on_publish = lambda _client, _data, mid, code, _properties: self._codes.update({mid: code.value})
        self._client.on_disconnect = self._note_end
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        assert self._subscribed.wait(10)

    def _note_end(self, client: paho.Client, _data: object, _flags: object, code: Any, _properties: object) -> None:
        self.ended.append(code.value)
        client.disconnect()  # a client that comes back would send again what the broker refuses

    def send(self, topic: str, payload: bytes, *, retain: bool = False, response: str | None = None) -> int:
        """Publish at QoS 1 without waiting; the number under which `code` has the answer."""
        properties = Properties(PacketTypes.PUBLISH)
        if response is not None:
            properties.ResponseTopic, properties.CorrelationData = response, b"a batch"
        return self._client.publish(topic, payload, qos=1, retain=retain, properties=properties).mid

    def code(self, number: int) -> int:
        wait_until(lambda: number in self._codes or self.ended, "the broker answers a publish")
        assert self.ended == []
        return self._codes[number]

    def publish(self, topic: str, payload: bytes, **options: Any) -> int:
        return self.code(self.send(topic, payload, **options))

    def close(self) -> None:
        self._client.on_disconnect = None
        self._client.disconnect()
        self._client.loop_stop()


class Line:
    """One broker, one ingestor, one database. `plain`: a Mosquitto without Heimdall's limits and rights."""

    def __init__(self, folder: Path, url: str, stack: ExitStack, *, plain: bool) -> None:
        self.folder, self.plain, self._stack = folder, plain, stack
        self.home = Home(folder / "home")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self._environment = {
            **outside(), "HEIMDALL_HOME": str(self.home.path), "HEIMDALL_MQTT_PORT": str(self.port),
            "HEIMDALL_DATABASE_URL": url, "HEIMDALL_HOST": "test-box",
            **({"HEIMDALL_BROKER_USER": "@ingestor", "HEIMDALL_BROKER_PASSWORD": "any"} if plain else {}),
        }  # fmt: skip
        self._broker = self._start_broker()
        wait_until(self._answers, f"Mosquitto answers: {self.said('broker')}")
        self.store = open_store(url)
        stack.callback(self.store.close)
        self.observer = self.client("ops", DEAD, f"{SERVICES}/#", every_host(RECEIPT))
        self.publisher = self.client("api")
        self._ingestor: subprocess.Popen[bytes] | None = None

    def _spawn(self, name: str, *command: str) -> subprocess.Popen[bytes]:
        with (self.folder / name).open("ab") as log:
            process = subprocess.Popen(command, env=self._environment, stdout=log, stderr=log)
        self._stack.callback(end, process)
        return process

    def _start_broker(self) -> subprocess.Popen[bytes]:
        if not self.plain:
            return self._spawn("broker", sys.executable, "-m", "heimdall", "broker", "--broker", "mosquitto")
        configuration = self.folder / "plain.conf"
        configuration.write_text(f"listener {self.port} 127.0.0.1\n{PLAIN}")
        return self._spawn("broker", str(find_binary()), "-c", str(configuration))

    def _answers(self) -> bool:
        assert self._broker.poll() is None, self.said("broker")
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def said(self, name: str) -> str:
        path = self.folder / name
        return path.read_text(errors="replace") if path.exists() else ""

    def client(self, name: str, *filters: str) -> Client:
        """A client with the rights of the service `name`; on the plain broker everybody has all."""
        credential = None if self.plain else self.home.credential(name)
        client = Client(self.port, f"@{name}-{len(filters)}-{time.monotonic_ns()}", credential, *filters)
        self._stack.callback(client.close)
        return client

    def start_ingestor(self) -> None:
        """Start it, or kill it and start another, and wait until that one has subscribed."""
        if self._ingestor is not None:
            end(self._ingestor, signal.SIGKILL)
        earlier = {status["session"] for status in self._signs()}
        self._ingestor = self._spawn("ingest", sys.executable, "-m", "heimdall", "ingest")
        wait_until(
            lambda: any(
                status["session"] not in earlier and status["parts"]["events"] == status["parts"]["presence"] == "ok"
                for status in self._signs()
            ),
            "the ingestor has subscribed",
        )

    def _signs(self) -> list[dict[str, Any]]:
        signs = [json.loads(m.payload) for m in list(self.observer.received) if m.topic.startswith(SERVICES)]
        return [sign for sign in signs if sign["state"] == "online"]

    def notices(self, topic: str) -> list[dict[str, Any]]:
        """What was said on `heimdall/v1/dead` of messages on `topic`."""
        found = [json.loads(m.payload) for m in list(self.observer.received) if m.topic == DEAD]
        return [notice for notice in found if notice["topic"] == topic]

    def letters(self, topic: str) -> list[Any]:
        with self.store.database.reading() as connection:
            query = select(dead_letters).where(dead_letters.c.topic == topic).order_by(dead_letters.c.id)
            return list(connection.execute(query))

    def count_letters(self) -> int:
        with self.store.database.reading() as connection:
            return connection.execute(select(func.count()).select_from(dead_letters)).scalar_one()

    def stored(self, host: str) -> list[str]:
        """The ids of the host's events, in the order in which they were stored."""
        with self.store.database.reading() as connection:
            query = select(logs.c.event_id).where(logs.c.source_host == host).order_by(logs.c.id)
            return list(connection.execute(query).scalars())

    def prove_it_goes_on(self, host: str) -> None:
        """A valid event that is published now is stored, and with it all that was published before it."""
        last = event(host)
        assert self.publisher.publish(host_topic(host, EVENTS), encoded(last)) == 0
        wait_until(lambda: last["event_id"] in self.stored(host), "a valid event is stored")


def end(process: subprocess.Popen[bytes], number: int = signal.SIGTERM) -> None:
    if process.poll() is None:
        process.send_signal(number)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def running(database: str, *, plain: bool = False) -> Iterator[Line]:
    """A line on `database` ("sqlite" or "postgresql"), its ingestor not started yet."""
    folder = Path(tempfile.mkdtemp(prefix="heimdall-bad-input-"))
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        url = f"sqlite:///{folder / 'mini_siem.db'}"
        if database == "postgresql":
            from postgresql_server import database as fresh

            url = stack.enter_context(fresh())
        yield Line(folder, url, stack, plain=plain)
