"""A whole API for the tests: a real server, a real store, a real broker, and an ingestor of a few lines."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from paho.mqtt.client import CallbackAPIVersion, Client, MQTTMessage, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions
from waiting import free_port, wait_until

from api.app import create_app
from api.auth import register_keys
from api.bridge import Bridge
from api.gateway import Gateway
from core.clock import utc_now
from core.home import Home, read_secret
from core.messages import ServiceStatus, encode
from core.settings import Settings, load
from core.spool import Spool
from core.topics import parse_host_topic, service_topic
from store import Store, open_store


class Broker:
    """Mosquitto on a free port, without rights: they are tested elsewhere."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._config = folder / "mosquitto.conf"
        self._config.write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous true\nmax_inflight_messages 1000\n"
            "max_queued_messages 1000000\n"  # as `broker.mosquitto` has it
        )
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(
            ["/usr/sbin/mosquitto", "-c", str(self._config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

        def listens() -> bool:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return True
            return False

        wait_until(listens, "Mosquitto listens")

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@dataclass
class Ingestor:
    """Takes what agents send, keeps it in memory, and sends receipts and signs of life."""

    port: int
    events: list[MQTTMessage] = field(default_factory=list)
    beats: list[MQTTMessage] = field(default_factory=list)
    infos: list[MQTTMessage] = field(default_factory=list)
    sends_receipts: bool = True

    def start(self) -> None:
        self._client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
        self._client.on_message = self._take
        ready = threading.Event()
        self._client.on_subscribe = lambda *_: ready.set()
        self._client.connect("127.0.0.1", self.port)
        self._client.loop_start()
        options = SubscribeOptions(qos=1)
        kinds = ("events", "heartbeat", "info")
        self._client.subscribe([(f"heimdall/v1/hosts/+/{kind}", options) for kind in kinds])
        assert ready.wait(10)

    def _take(self, client: Client, _: Any, message: MQTTMessage) -> None:
        topic = parse_host_topic(message.topic)
        assert topic is not None
        {"events": self.events, "heartbeat": self.beats, "info": self.infos}[topic.kind].append(message)
        if topic.kind == "events" and self.sends_receipts:
            properties = Properties(PacketTypes.PUBLISH)
            properties.CorrelationData = message.properties.CorrelationData
            client.publish(message.properties.ResponseTopic, b"", 0, properties=properties)

    def sign(self, **changes: Any) -> None:
        """Give a sign of life, as the real one does every 2 s."""
        parts = {"broker": "ok", "database": "ok"}
        values: dict[str, Any] = {
            "state": "online",
            "session": "s1",
            "at": utc_now(),
            "reason": "start",
            "parts": parts,
        }
        status = ServiceStatus(**(values | changes))
        self._client.publish(service_topic("ingestor", "1"), encode(status), 1, retain=True).wait_for_publish(5)

    def stop(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@dataclass
class Api:
    """A running API. `client` sends the key, `anyone` does not."""

    settings: Settings
    store: Store
    bridge: Bridge
    spool: Spool
    url: str
    key: str
    client: httpx.Client
    anyone: httpx.Client


def make_settings(home: Path, mqtt_port: int, http_port: int, **more: str) -> Settings:
    return load(
        {
            "HEIMDALL_HOME": str(home),
            "HEIMDALL_HTTP_PORT": str(http_port),
            "HEIMDALL_MQTT_PORT": str(mqtt_port),
            "HEIMDALL_BROKER_USER": "@api",
            "HEIMDALL_BROKER_PASSWORD": "secret",
            **more,
        }
    )


class Server(uvicorn.Server):
    """Ends the streams before it waits for what is under way, as the API's own does."""

    def __init__(self, config: uvicorn.Config, let_go: Callable[[], None]) -> None:
        super().__init__(config)
        self._let_go = let_go

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._let_go()
        await super().shutdown(sockets)


@contextlib.contextmanager
def running_api(settings: Settings) -> Iterator[Api]:
    """The API of `settings` on its port, in a thread."""
    home = Home(settings.home)
    home.prepare()
    store = open_store(settings.database_url, checkpointer=True)
    register_keys(settings, store)
    spool = Spool(home.gateway_spool)
    bridge = Bridge(settings, spool, "test")
    app = create_app(settings, store, bridge, Gateway(spool, bridge.wake))
    config = uvicorn.Config(app, port=settings.http_port, log_config=None, access_log=False, server_header=False)
    server = Server(config, app.state.parts.feed.end)
    thread = threading.Thread(target=server.run)
    thread.start()
    wait_until(lambda: server.started, "the server has started")
    url = f"http://127.0.0.1:{settings.http_port}"
    key = read_secret(home.api_key)
    try:
        with httpx.Client(base_url=url, headers={"api-key": key}) as client, httpx.Client(base_url=url) as anyone:
            yield Api(settings, store, bridge, spool, url, key, client, anyone)
    finally:
        server.should_exit = True
        thread.join()
        spool.close()
        store.close()
