"""A service's MQTT 5 session: a connection that comes back by itself."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Awaitable, Callable, Sequence

import mqtt5

from core.errors import HeimdallError
from core.home import Credential
from core.settings import BrokerAddress
from mqtt.connection import KEEP_ALIVE_SECONDS, Connection, Deliver, connect

log = logging.getLogger("mqtt.session")

SESSION_EXPIRY_SECONDS = 600
RECEIVE_MAXIMUM = 5_000
LONGEST_PAUSE_SECONDS = 15.0


class Session:
    """A session: connects, subscribes, and comes back with jitter, until cancelled.

    The broker keeps a `persistent` one, and what comes for it, for ten minutes; another begins empty each time.
    `trouble` is empty while subscribed, else what is wrong. `connected` is told of each new connection, before any
    message of it is delivered. `before_return` is awaited before it comes back under
    its client id, for whoever has that now would be evicted: what it raises ends the session.
    """

    def __init__(
        self,
        address: BrokerAddress,
        credential: Credential,
        client_id: str,
        filters: Sequence[mqtt5.TopicFilter],
        deliver: Deliver,
        will: mqtt5.Will | None = None,
        before_return: Callable[[], Awaitable[None]] | None = None,
        *,
        persistent: bool = True,
        connected: Callable[[], None] = lambda: None,
    ) -> None:
        self._address, self._credential, self._client_id = address, credential, client_id
        self._filters, self._deliver, self._will = filters, deliver, will
        self._before_return = before_return
        self._persistent, self._connected = persistent, connected
        self.connection: Connection | None = None
        self.trouble = "not connected yet"
        self.reconnects = -1  # the first time is none

    async def run(self) -> None:
        """Hold the session. Ends only by being cancelled, or by what `before_return` raises."""
        pause = 0.1
        while True:
            try:
                connection = await self._open()
                pause = 0.1
                log.info("%s is subscribed at %s", self._client_id, self._address)
                await connection.keep_alive()
                reason = connection.closed.result()
            except (HeimdallError, OSError, TimeoutError) as error:
                reason = str(error) or type(error).__name__
            if self.trouble != reason:
                log.warning("%s lost its session at %s: %s", self._client_id, self._address, reason)
            self.trouble = reason
            await self.close()
            await asyncio.sleep(pause * random.uniform(0.5, 1.5))
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
            if self._before_return is not None:
                await self._before_return()

    async def _open(self) -> Connection:
        """Connect and subscribe: always again, for a session may be present with its subscriptions gone."""
        packet = mqtt5.ConnectPacket(
            self._client_id,
            username=self._credential.user,
            password=self._credential.password.encode(),
            clean_start=not self._persistent,
            will=self._will,
            keep_alive=KEEP_ALIVE_SECONDS,
            session_expiry_interval=SESSION_EXPIRY_SECONDS if self._persistent else 0,
            receive_max=RECEIVE_MAXIMUM,
        )
        connection = self.connection = await connect(self._address, packet, self._deliver)
        self._connected()
        await connection.subscribe(self._filters)
        self.trouble = ""
        self.reconnects += 1
        return connection

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Publish JSON at QoS 1; nothing happens without a connection."""
        if self.connection is not None:
            self.connection.publish(topic, payload, retain=retain)

    def unsubscribe(self) -> None:
        """Have the broker keep nothing more for this session; nothing happens without a connection."""
        if self.connection is not None:
            self.connection.unsubscribe(self._filters)

    async def close(self) -> None:
        """Leave the present connection, if there is one."""
        connection, self.connection = self.connection, None
        if connection is not None:
            with contextlib.suppress(OSError):
                await connection.leave()
