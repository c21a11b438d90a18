"""Many hosts in one client: their births, wills and heartbeats as the broker would pass them on."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from uuid import uuid4

from faults_site import Site
from service_client import ServiceClient, service_client

from core.clock import utc_now
from core.messages import Heartbeat, Info, Reason, State, Status, encode
from core.topics import HEARTBEAT, INFO, STATUS, host_topic

INTERVAL_SECONDS = 2.0


class Hosts:
    """Those that are up beat each second."""

    def __init__(self, client: ServiceClient) -> None:
        self._client = client
        self._up: dict[str, str] = {}  # by their sessions
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def come(self, names: Iterable[str]) -> None:
        """They are born, and beat from now on."""
        with self._lock:
            for name in names:
                self._up[name] = str(uuid4())
                self._say(name, "online", "start")
                info = Info("LINUX", "1", interval_s=INTERVAL_SECONDS, boot=self._up[name])
                self._client.publish_retained(host_topic(name, INFO), encode(info))

    def die(self, names: Iterable[str]) -> None:
        """Their connections break: the broker says their wills."""
        with self._lock:
            for name in names:
                self._say(name, "offline", "lost")
                del self._up[name]

    def _say(self, name: str, state: State, reason: Reason) -> None:
        status = Status(state, self._up[name], utc_now(), reason)
        self._client.publish_retained(host_topic(name, STATUS), encode(status))

    def _beat(self) -> None:
        while not self._stop.wait(1.0):
            with self._lock:
                for name, boot in self._up.items():
                    beat = Heartbeat("LINUX", interval_s=INTERVAL_SECONDS, boot=boot)
                    self._client.start_publish(host_topic(name, HEARTBEAT), encode(beat))

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()


@contextmanager
def pretended_hosts(here: Site) -> Iterator[Hosts]:
    """Hosts that speak through the API's right to speak for every host."""
    with service_client(here, "api") as client:
        hosts = Hosts(client)
        hosts.start()
        yield hosts
        hosts.stop()
