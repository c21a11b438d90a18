"""The bridge: from HTTP to MQTT. One session as `@api` publishes for every HTTP agent.

A task keeps the session: it connects, reconnects with a delay that doubles and jitters, forwards the gateway's spool,
deletes what receipts name, and gives the API's own sign of life. What touches the disk is done in a thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import secrets
import sqlite3
import time
from collections.abc import Callable
from functools import cache

import mqtt5

from core.clock import utc_now
from core.errors import HeimdallError, Invalid, Unavailable
from core.forwarder import Forwarder
from core.home import find_login
from core.messages import SIGN_OF_LIFE_SECONDS, Heartbeat, OsType, Reason, ServiceStatus, State, encode
from core.settings import Settings
from core.spool import Batch, Spool
from core.topics import (
    ALERTS,
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
from mqtt.connection import KEEP_ALIVE_SECONDS, Connection, connect, retained_will
from mqtt.publisher import NOBODY_SUBSCRIBED, REFUSED_FROM, SUCCESS, Message, Publisher
from mqtt.signs import Signs

SHORTEST_PAUSE_SECONDS = 0.25
LONGEST_PAUSE_SECONDS = 8.0
ANSWER_SECONDS = 5.0  # longer than any healthy broker needs for a PUBACK, shorter than agents wait
WINDOW = 64  # batches without a receipt: many hosts share this spool, so more than an agent's 8
HEADER_BYTES = 1_024  # of a PUBLISH packet: topic, response topic, correlation data, lengths

log = logging.getLogger(__name__)


class Bridge:
    """The session and what goes through it. It belongs to the event loop, but for what says otherwise."""

    def __init__(self, settings: Settings, spool: Spool, instance: str) -> None:
        if settings.broker.websockets:
            raise Invalid(f"HEIMDALL_BROKER_URL={settings.broker}: the API speaks mqtt:// or mqtts://")
        self._settings = settings
        self._instance = instance
        self.signs = Signs()
        # told of verdicts and alerts as they come, and of each connection that is made
        self.heard: Callable[[str, bytes], object] = lambda _topic, _payload: None
        self.connected: Callable[[], object] = lambda: None
        self._forwarder = Forwarder(spool, window=WINDOW)
        self._largest_bytes = self._forwarder.max_bytes
        self._receipts: list[bytes] = []
        self._wake = asyncio.Event()
        self._publisher: Publisher | None = None
        self._trouble = "not connected yet"
        self._pause_seconds = SHORTEST_PAUSE_SECONDS
        self._stopping = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to connect; returns at once, also when the broker is away."""
        self._task = asyncio.create_task(self._run(), name="bridge")

    async def stop(self) -> None:
        """Say goodbye and end. What waits in the spool stays there."""
        self._stopping = True
        self.wake()
        if self._task is not None:
            if self._publisher is None:
                self._task.cancel()  # it may be waiting for a broker that does not answer
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def wake(self) -> None:
        """Look now: something has been added to the spool, or the connection has ended."""
        self._wake.set()

    def state(self) -> str:
        """`ok` while the broker is there, else what is wrong. Any thread may ask."""
        return "ok" if self._publisher is not None else self._trouble

    async def report_heartbeat(self, host: str, os_type: OsType) -> None:
        """Return when the broker has a heartbeat of `host` and somebody to give it to.

        Raises `Unavailable` when the broker is away, refuses it, or nobody is subscribed (0x10).
        """
        payload, expiry_seconds = _beat(os_type)
        code = await self._publish(Message(host_topic(host, HEARTBEAT), payload, expiry_seconds=expiry_seconds))
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
        publisher = self._publisher
        if publisher is None:
            raise Unavailable(f"the broker is away: {self._trouble}")
        answer: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()
        publisher.publish(message, lambda code: None if answer.done() else answer.set_result(code))
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

    async def _run(self) -> None:
        while not self._stopping:
            try:
                await self._hold_session()
            except (HeimdallError, OSError, TimeoutError, sqlite3.Error) as error:
                trouble = str(error) or type(error).__name__
                if trouble != self._trouble:
                    log.warning("the broker %s: %s; trying again", self._settings.broker, trouble)
                self._trouble = trouble
                await self._rest(self._pause_seconds * random.uniform(0.5, 1.5))
                self._pause_seconds = min(self._pause_seconds * 2, LONGEST_PAUSE_SECONDS)

    async def _rest(self, seconds: float) -> None:
        """Wait, but not when told to stop."""
        deadline = time.monotonic() + seconds
        while not self._stopping and (left := deadline - time.monotonic()) > 0:
            await self._wait_for_wake(left)

    async def _wait_for_wake(self, seconds: float) -> None:
        # not wait_for, which before Python 3.12 loses a cancellation that comes with what is waited for
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        self._wake.clear()

    async def _hold_session(self) -> None:
        """Connect and serve until the connection ends or `stop` is called."""
        session = secrets.token_hex(8)
        connection = await self._connect(session)
        self._pause_seconds = SHORTEST_PAUSE_SECONDS
        pings = asyncio.create_task(connection.keep_alive())
        publisher = self._publisher = Publisher(connection)
        log.info("connected to the broker %s", self._settings.broker)
        self.connected()
        try:
            await self._serve(connection, publisher, session)
        finally:
            await self._leave(connection, publisher, session)
            pings.cancel()

    async def _connect(self, session: str) -> Connection:
        credential = find_login(self._settings, "api")
        packet = mqtt5.ConnectPacket(
            f"@api-{self._instance}", username=credential.user, password=credential.password.encode(), clean_start=True,
            will=retained_will(service_topic("api", self._instance), self._sign(session, "offline", "lost").payload),
            keep_alive=KEEP_ALIVE_SECONDS,
        )  # fmt: skip
        connection = await connect(self._settings.broker, packet, self._deliver)
        connection.closed.add_done_callback(lambda _: self.wake())
        try:
            # what is retained is known to the store: it need not come anew at each connection
            spoken = [_heard(one, mqtt5.RetainHandling.SEND_NEVER) for one in (every_host(VERDICT), f"{ALERTS}/+")]
            await connection.subscribe([_heard(every_host(RECEIPT)), _heard(f"{SERVICES}/+/+"), *spoken])
        except BaseException:
            connection.abort()
            raise
        largest = connection.accepted.result().max_packet_size
        if largest:
            self._forwarder.max_bytes = min(self._largest_bytes, largest - HEADER_BYTES)
        return connection

    async def _serve(self, connection: Connection, publisher: Publisher, session: str) -> None:
        """Forward, delete and give signs of life until the connection ends or `stop` is called."""
        next_sign = time.monotonic()
        while not (self._stopping or connection.closed.done()):
            taken, self._receipts = self._receipts, []
            for batch in await asyncio.to_thread(self._work_off, taken):
                self._forward(publisher, batch)
            now = time.monotonic()
            if now >= next_sign:
                publisher.publish(self._sign(session, "online", "start"), lambda _code: None)
                next_sign = now + SIGN_OF_LIFE_SECONDS
            # nothing here is due to a second; what cannot wait wakes
            await self._wait_for_wake(1.0)

    def _work_off(self, receipts: list[bytes]) -> list[Batch]:
        """In a thread: delete what receipts name, many in one flush, and read what is to be published now."""
        try:
            self._forwarder.receipts(receipts)
        except Unavailable as error:
            # the batches go out again, and their receipts come again
            log.warning("the gateway's spool cannot be written: %s", error)
        return self._forwarder.due(time.monotonic())

    async def _leave(self, connection: Connection, publisher: Publisher, session: str) -> None:
        self._publisher = None
        if self._stopping and not connection.closed.done():
            said = asyncio.Event()
            publisher.publish(self._sign(session, "offline", "stop"), lambda _code: said.set())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1.0):
                    await said.wait()
        elif connection.closed.done():
            self._trouble = f"the connection ended: {connection.closed.result()}"
            log.warning("the broker is away: %s", connection.closed.result())
        await connection.leave()
        self._forwarder.disconnected(time.monotonic())
        self.signs.forget()

    def _forward(self, publisher: Publisher, batch: Batch) -> None:
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
        publisher.publish(message, settle)

    def _deliver(self, _connection: Connection, packets: list[mqtt5.PublishPacket]) -> None:
        """Hand on receipts, signs of life, and what the watch says."""
        for packet in packets:
            if packet.topic.startswith(SERVICES):
                if self.signs.record(packet.topic, packet.payload, packet.retain) and "/ingestor/" in packet.topic:
                    # an ingestor has come up: what nobody took (0x10) need not wait for its delay
                    self._forwarder.disconnected(time.monotonic())
                    self.wake()
            elif packet.topic.endswith(f"/{VERDICT}") or packet.topic.startswith(f"{ALERTS}/"):
                if not packet.retain:  # the embedded broker sends what is retained all the same
                    self.heard(packet.topic, packet.payload)
            elif packet.correlation_data is not None:
                self._receipts.append(packet.correlation_data)
                self.wake()

    def _sign(self, session: str, state: State, reason: Reason) -> Message:
        spool = self._forwarder.spool
        parts = {"spool": "ok" if spool.used_bytes() < spool.limit_bytes else "full"}
        status = ServiceStatus(state, session, utc_now(), reason, parts=parts)
        return Message(service_topic("api", self._instance), encode(status), retain=True)


@cache
def _beat(os_type: OsType) -> tuple[bytes, int]:
    """The heartbeat of an HTTP agent, and for how many seconds the broker keeps it.

    Two intervals: what waited on the broker is dated back by how much of this is gone.
    """
    beat = Heartbeat(os_type)
    return encode(beat), int(2 * beat.interval_s)


def _heard(pattern: str, retained: mqtt5.RetainHandling = mqtt5.RetainHandling.SEND_ALWAYS) -> mqtt5.TopicFilter:
    """At QoS 0; what is retained comes once, if at all, and is marked so."""
    return mqtt5.TopicFilter(
        pattern, max_qos=mqtt5.QoS.AT_MOST_ONCE, retain_as_published=False, retain_handling=retained
    )  # fmt: skip
