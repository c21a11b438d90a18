"""Hosts that were forgotten: the watch drops them from its memory, and what it had said of them from the broker.

Who claims a verdict names the last order that was heard of here, and nothing is claimed of a host that was forgotten by
a later one. So what is still in memory for some seconds brings nobody back.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection

from core.clock import utc_now
from core.text import printable
from mqtt.connection import Connection
from store import HeldVerdict, Store
from watch.fleet import Fleet
from watch.hearing import Hearing
from watch.presence import NEVER
from watch.speech import clear_verdicts, publish_alerts, publish_verdicts

log = logging.getLogger("watch.forgotten")


class ForgottenHosts:
    """`order` is the last that was heard of: who was forgotten by it or before is no longer in `fleet`."""

    def __init__(self, store: Store, fleet: Fleet, hearing: Hearing) -> None:
        self._store, self._fleet, self._hearing = store, fleet, hearing
        self.order = 0

    def begin(self) -> None:
        """What is read from now on is younger than all that was forgotten. Raises `Unavailable`."""
        self.order = self._store.forgetting.newest_order()

    async def drop(self, connection: Connection | None) -> bool:
        """Drop whoever was forgotten since the last time; whether somebody was. Raises `Unavailable`, and goes on.

        A verdict that was cleared at the broker, though the host is still held to be that, is said again.
        """
        found, newest = await asyncio.to_thread(self._store.forgetting.read, self.order)
        if found.hosts:
            await self._drop(found.hosts, found.alert_ids, connection)
        self.order = newest
        cleared, self._hearing.cleared = self._hearing.cleared, set()
        if connection is not None:
            publish_verdicts(connection, self._fleet.held(cleared))
        return bool(found.hosts)

    async def _drop(self, hosts: Collection[str], alert_ids: Collection[str], connection: Connection | None) -> None:
        self._fleet.forget(hosts)
        self._hearing.clones.forget_boots(hosts)
        # after this nothing of before is written any more
        ended = await asyncio.to_thread(self._store.forgetting.sweep, hosts, utc_now())
        again = await asyncio.to_thread(self._read_again, set(hosts))
        self._fleet.learn(await asyncio.to_thread(list, self._store.read_signals(hosts)), NEVER)
        self._fleet.hold(again)
        if connection is not None:
            clear_verdicts(connection, set(hosts) - {one.source_host for one in again})
            publish_alerts(connection, [], [*alert_ids, *ended])
        for host in hosts:
            log.info("%s is forgotten", printable(host))

    def _read_again(self, hosts: Collection[str]) -> list[HeldVerdict]:
        """One that has been heard again since is a new host, and may be judged already by another watch."""
        return [one for one in self._store.read_verdicts() if one.source_host in hosts]
