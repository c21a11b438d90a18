"""What is said of clones: an alert while there are two, and an event in the log of the host that they say they are."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from core import topics
from core.clock import utc_now
from core.ids import stable_id
from core.messages import CLONE, OS_TYPES, Alert, Event, check_os_type, encode
from mqtt.connection import Connection
from store import Store
from store.found_alerts import Finding, Subject
from watch.clones import Clones, Sighting
from watch.fleet import moment
from watch.speech import publish_alerts

SEVERITY = 4


class CloneAlerts:
    """Opens and resolves them, each once however many watches there are. Raises what the store raises, and goes on."""

    def __init__(self, store: Store, clones: Clones) -> None:
        self._store, self._clones = store, clones

    def remember(self, alerts: Iterable[Alert]) -> None:
        """What was open before we began: it is resolved in its time."""
        for alert in alerts:
            if alert.kind == CLONE and alert.source_host is not None:
                self._clones.remember(alert.source_host, utc_now().timestamp())

    async def tell(self, connection: Connection, now: float) -> None:
        """Say what has been found since the last time."""
        while self._clones.found:
            await self._open(connection, self._clones.found[0])
            self._clones.found.popleft()
        quiet = [Subject(CLONE, host) for host in self._clones.find_quiet(now)]
        if quiet:
            _, resolved = await asyncio.to_thread(self._store.record_findings, [], quiet, utc_now())
            for subject in quiet:
                self._clones.forget(subject.name)
            publish_alerts(connection, [], [alert.id for alert in resolved])

    async def _open(self, connection: Connection, found: Sighting) -> None:
        text = f"{found.host} is two: agents with the boots {found.boots[0]} and {found.boots[1]} take turns"
        finding = Finding(Subject(CLONE, found.host), found.host, SEVERITY, text, moment(found.at), lasts=True)
        alerts, _ = await asyncio.to_thread(self._store.record_findings, [finding], [], utc_now())
        if not alerts:
            return
        publish_alerts(connection, alerts, [])
        [opened] = alerts
        host = await asyncio.to_thread(self._store.get_host, found.host)
        # a row of an old database may hold anything
        os_type = check_os_type(host.os_type if host is not None and host.os_type in OS_TYPES else "LINUX")
        event = Event(
            stable_id(CLONE, opened.id), opened.opened_at, found.host, os_type, "SYSTEM_ALERT", SEVERITY, text
        )  # fmt: skip
        connection.publish(topics.host_topic(found.host, topics.EVENTS), encode(event))
