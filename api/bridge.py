"""The bridge: from HTTP to MQTT. One session as `@api` publishes for every HTTP agent.

A thread of its own keeps the session: it connects, reconnects with a delay that doubles and jitters,
forwards the gateway's spool, deletes what receipts name (a flush to disk, so never on the network
thread) and gives the API's own sign of life.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import queue
import random
import secrets
import sqlite3
import threading
import time

from paho.mqtt.client import MQTTMessage

from api.connection import NOBODY_SUBSCRIBED, REFUSED_FROM, SUCCESS, Connection, Message
from core.clock import utc_now
from core.errors import HeimdallError, Unavailable
from core.forwarder import Forwarder
from core.home import find_login
from core.messages import SIGN_OF_LIFE_SECONDS, Heartbeat, OsType, Reason, ServiceStatus, State, encode
from core.settings import Settings
from core.spool import Batch, Spool
from core.topics import (
    EVENTS,
    HEARTBEAT,
    INFO,
    RECEIPT,
    SERVICES,
    STATUS,
    VERDICT,
    every_host,
    host_topic,
    service_topic,
)
from mqtt.signs import Signs

SHORTEST_PAUSE_SECONDS = 0.25
LONGEST_PAUSE_SECONDS = 8.0
ANSWER_SECONDS = 5.0  # longer than any healthy broker needs for a PUBACK, shorter than agents wait
WINDOW = 64  # batches without a receipt: many hosts share this spool, so more than an agent's 8
HEADER_BYTES = 1_024  # of a PUBLISH packet: topic, response topic, correlation data, lengths

log = logging.getLogger(__name__)


class Bridge:
    """The session and what goes through it. Methods that are `async` belong to the event loop."""

    def __init__(self, settings: Settings, spool: Spool, instance: str) -> None:
        self._settings = settings
        self._instance = instance
        self.signs = Signs()
        self._forwarder = Forwarder(spool, window=WINDOW)
        self._largest_bytes = self._forwarder.max_bytes
        self._receipts: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._connection: Connection | None = None
        self._trouble = "not connected yet"
        self._pause_seconds = SHORTEST_PAUSE_SECONDS
        self._thread = threading.Thread(target=self._run, name="bridge", daemon=True)

    def start(self) -> None:
        """Begin to connect; returns at once, also when the broker is away."""
        self._thread.start()

    def stop(self) -> None:
        """Say goodbye and end. What waits in the spool stays there."""
        self._stopping.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()

    def wake(self) -> None:
        """Look now: something has been added to the spool, or the connection has ended."""
        self._wake.set()

    def state(self) -> str:
        """`ok` while the broker is there, else what is wrong."""
        return "ok" if self._connection is not None else self._trouble

    async def report_heartbeat(self, host: str, os_type: OsType) -> None:
        """Return when the broker has a heartbeat of `host` and somebody to give it to.

        Raises `Unavailable` when the broker is away, refuses it, or nobody is subscribed (0x10).
        """
        beat = Heartbeat(os_type)
        # two intervals: what waited on the broker is dated back by how much of this is gone
        expiry = int(2 * beat.interval_s)
        code = await self._publish(Message(host_topic(host, HEARTBEAT), encode(beat), expiry_seconds=expiry))
        if code == NOBODY_SUBSCRIBED:
            raise Unavailable("nobody takes heartbeats from the broker: the ingestor is not subscribed")

    async def publish_info(self, host: str, info: bytes) -> None:
        """Return when the broker keeps `info` (a JSON object) for `host`. Raises `Unavailable`."""
        await self._publish(Message(host_topic(host, INFO), info, retain=True))

    async def clear_retained(self, host: str) -> None:
        """Return when the broker retains nothing of `host` any more. Raises `Unavailable`."""
        for kind in (STATUS, INFO, VERDICT):
            await self._publish(Message(host_topic(host, kind), b"", retain=True))

    async def _publish(self, message: Message) -> int:
        """The PUBACK's reason code, success or 0x10."""
        connection = self._connection
        if connection is None:
            raise Unavailable(f"the broker is away: {self._trouble}")
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[int | None] = loop.create_future()

        def settle(code: int | None) -> None:
            if not answer.done():
                answer.set_result(code)

        connection.publish(message, lambda code: loop.call_soon_threadsafe(settle, code))
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                code = await answer
        except TimeoutError as error:
            raise Unavailable(f"the broker has not answered within {ANSWER_SECONDS:.0f} s") from error
        if code is None:
            raise Unavailable("the connection to the broker broke before it answered")
        if code >= REFUSED_FROM:
            raise Unavailable(f"the broker refuses {message.topic} with reason code 0x{code:02x}")
        return code

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._hold_session()
            except (HeimdallError, sqlite3.Error) as error:
                if str(error) != self._trouble:
                    log.warning("%s; trying again", error)
                self._trouble = str(error)
                self._stopping.wait(self._pause_seconds * random.uniform(0.5, 1.5))
                self._pause_seconds = min(self._pause_seconds * 2, LONGEST_PAUSE_SECONDS)

    def _hold_session(self) -> None:
        """Connect and serve until the connection ends or `stop` is called."""
        connection = self._connect()
        self._pause_seconds = SHORTEST_PAUSE_SECONDS
        try:
            self._serve(connection)
        finally:
            self._leave(connection)

    def _connect(self) -> Connection:
        session = secrets.token_hex(8)
        connection = Connection(
            self._settings.broker,
            find_login(self._settings, "api"),
            f"@api-{self._instance}",
            self._sign(session, "offline", "lost"),
            self._deliver,
            self.wake,
        )
        connection.open([every_host(RECEIPT), f"{SERVICES}/+/+"])
        if connection.maximum_packet_bytes:
            self._forwarder.max_bytes = min(self._largest_bytes, connection.maximum_packet_bytes - HEADER_BYTES)
        self._session = session
        self._connection = connection
        log.info("connected to the broker %s", self._settings.broker)
        return connection

    def _serve(self, connection: Connection) -> None:
        """Forward, delete and give signs of life until the connection ends or `stop` is called."""
        next_sign = time.monotonic()
        while not (self._stopping.is_set() or connection.lost.is_set()):
            self._take_receipts()
            now = time.monotonic()
            for batch in self._forwarder.due(now):
                self._forward(connection, batch)
            if now >= next_sign:
                connection.publish(self._sign(self._session, "online", "start"), lambda _code: None)
                next_sign = now + SIGN_OF_LIFE_SECONDS
            # nothing here is due to a second; what cannot wait wakes
            self._wake.wait(1.0)
            self._wake.clear()

    def _leave(self, connection: Connection) -> None:
        self._connection = None
        if self._stopping.is_set() and not connection.lost.is_set():
            said = threading.Event()
            connection.publish(self._sign(self._session, "offline", "stop"), lambda _code: said.set())
            said.wait(1.0)
        else:
            self._trouble = f"the connection ended: {connection.reason}"
            log.warning("the broker is away: %s", connection.reason)
        connection.close()
        self._forwarder.disconnected(time.monotonic())
        self.signs.forget()
        self._take_receipts()

    def _forward(self, connection: Connection, batch: Batch) -> None:
        def settle(code: int | None) -> None:
            if code == SUCCESS:
                self._forwarder.acknowledged(batch)
            elif code is not None and code != NOBODY_SUBSCRIBED:
                log.warning("the broker refuses events of %s with reason code 0x%02x", batch.host, code)

        message = Message(
            host_topic(batch.host, EVENTS),
            batch.payload,
            response_topic=host_topic(batch.host, RECEIPT),
            correlation=self._forwarder.correlation(batch),
        )
        connection.publish(message, settle)

    def _deliver(self, message: MQTTMessage) -> None:
        """On the network thread: hand on a receipt or a sign of life."""
        if message.topic.startswith(SERVICES):
            if (
                self.signs.record(message.topic, bytes(message.payload), message.retain)
                and "/ingestor/" in message.topic
            ):
                # an ingestor has come up: what nobody took (0x10) need not wait for its delay
                self._forwarder.disconnected(time.monotonic())
                self._wake.set()
            return
        correlation = getattr(message.properties, "CorrelationData", None)
        if correlation is not None:
            self._receipts.put(correlation)
            self._wake.set()

    def _take_receipts(self) -> None:
        """Delete what the receipts that have come in name: many in one flush."""
        taken = []
        with contextlib.suppress(queue.Empty):
            while True:
                taken.append(self._receipts.get_nowait())
        try:
            self._forwarder.receipts(taken)
        except Unavailable as error:
            # the batches go out again, and their receipts come again
            log.warning("the gateway's spool cannot be written: %s", error)

    def _sign(self, session: str, state: State, reason: Reason) -> Message:
        spool = self._forwarder.spool
        parts = {"spool": "ok" if spool.used_bytes() < spool.limit_bytes else "full"}
        status = ServiceStatus(state, session, utc_now(), reason, parts=parts)
        return Message(service_topic("api", self._instance), encode(status), retain=True)
