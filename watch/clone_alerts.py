"""What is said of clones: an alert while there are two, and an event in the log of the host that they say they are."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from core import topics
from core.clock import utc_now
from core.ids import stable_id
from core.messages import OS_TYPES, Alert, Event, check_os_type, encode
from mqtt.session import Connection
from store import Store
from watch.clones import Clones, Sighting
from watch.fleet import moment
from watch.speech import publish_alerts

KIND = "clone"
SEVERITY = 4


class CloneAlerts:
    """Opens and resolves them, each once however many watches there are. Raises what the store raises, and goes on."""

    def __init__(self, store: Store, clones: Clones) -> None:
        self._store, self._clones = store, clones

    def remember(self, alerts: Iterable[Alert]) -> None:
        """What was open before we began: it is resolved in its time."""
        for alert in alerts:
            if alert.kind == KIND and alert.source_host is not None:
                self._clones.remember(alert.source_host, utc_now().timestamp())

    async def tell(self, connection: Connection, now: float) -> None:
        """Say what has been found since the last time."""
        while self._clones.found:
            await self._open(connection, self._clones.found[0])
            self._clones.found.popleft()
        for host in self._clones.find_quiet(now):
            resolved = await asyncio.to_thread(self._store.resolve_alert, KIND, host, utc_now())
            self._clones.forget(host)
            if resolved is not None:
                publish_alerts(connection, [], [resolved.id])

    async def _open(self, connection: Connection, found: Sighting) -> None:
        text = f"{found.host} is two: agents with the boots {found.boots[0]} and {found.boots[1]} take turns"
        opened = await asyncio.to_thread(
            self._store.open_alert, KIND, found.host, text, SEVERITY, moment(found.at), utc_now()
        )  # fmt: skip
        if opened is None:
            return
        publish_alerts(connection, [opened], [])
        host = await asyncio.to_thread(self._store.get_host, found.host)
        # a row of an old database may hold anything
        os_type = check_os_type(host.os_type if host is not None and host.os_type in OS_TYPES else "LINUX")
        event = Event(
            stable_id(KIND, opened.id), opened.opened_at, found.host, os_type, "SYSTEM_ALERT", SEVERITY, text
        )  # fmt: skip
        connection.publish(topics.host_topic(found.host, topics.EVENTS), encode(event))
