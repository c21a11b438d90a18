"""The link over MQTT 5: birth and will, events with receipts, heartbeats.

One thread drives one connection after the other, each with a paho client of its own, so that paho
repeats nothing by itself: what goes out again is for the forwarder to say.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from typing import Callable, Deque, List, Optional, Tuple

from agents.bell import Bell
from agents.farewell import STOPPED, Farewell
from agents.link import Backoff
from agents.session_mqtt import NOT_DELIVERED, PATIENCE_SECONDS, REFUSED, Lost, Refused, Session
from core.errors import HeimdallError, Unavailable
from core.forwarder import Forwarder
from core.home import Credential
from core.messages import Heartbeat, Info
from core.settings import BrokerAddress
from core.spool import Spool, SpoolDamaged
from core.text import printable

log = logging.getLogger("heimdall.agent")

# so that a beat never queues behind megabytes on a slow line, and the eight that are out are 1 MB of memory
MAX_BATCH_BYTES = 120_000
STEADY_SECONDS = 5.0
# who lost its connection alone, such as a laptop that changes its network, is back before anybody is told that it has
# crashed: that is said after three seconds
SOON_SECONDS = 2.5
# the window in which all come back that a broker's restart has cut off. A connect with TLS costs a broker about a
# millisecond: 10,000 agents keep one core busy for two thirds of the window, and as long when the broker was back so
# soon that none of them was turned away. Whoever finds no room tries in a window twice as long, but no longer than its
# interval: so long do those who judge silence wait for everybody after a blackout
RECONNECT_SECONDS = 15.0
TOPIC_BYTES = 1024  # what topic, response topic and correlation data add to a message at most


# asked at each connection: a secret may be renewed meanwhile, and for a moment either may be the right one
Logins = Callable[[], List[Credential]]


class MqttLink:
    """The agent's session at the broker. `info` is published at each connect, for a broker may forget it.

    `tell` hears why there is no connection, and an empty text when there is one.
    """

    def __init__(
        self,
        host: str,
        broker: BrokerAddress,
        logins: Logins,
        info: Info,
        spool: Spool,
        tell: Optional[Callable[[str], None]] = None,
    ) -> None:
        self.host, self.broker, self.info = host, broker, info
        self._tell = tell or (lambda _: None)
        self._logins = logins
        self.connections = 0
        self.beats_lost = 0
        self.spool_damaged = False
        self._new_spool: Optional[Spool] = None
        self._forwarder = Forwarder(spool, max_bytes=MAX_BATCH_BYTES)
        self._beats: Deque[Heartbeat] = deque()
        self._online = False
        self._farewell = STOPPED
        self._stopping = threading.Event()
        self._bell = Bell()
        self._thread = threading.Thread(target=self._run, name="link", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def send_beat(self, beat: Heartbeat) -> bool:
        if not self._online:
            self.beats_lost += 1
            return False
        self._beats.append(beat)
        self.wake()
        return True

    def wake(self) -> None:
        self._bell.ring()

    def use_spool(self, spool: Spool) -> None:
        self._new_spool = spool

    def stop(self, farewell: Farewell = STOPPED) -> None:
        self._farewell = farewell
        self._stopping.set()
        self.wake()
        self._thread.join(timeout=PATIENCE_SECONDS + 5)
        self._bell.close()

    def _run(self) -> None:
        interval = self.info.interval_s
        backoff = Backoff(min(RECONNECT_SECONDS, interval), min(60.0, interval), SOON_SECONDS)
        while not self._stopping.is_set():
            delay = 0.0
            try:
                self._serve(backoff)
            except (Lost, HeimdallError, OSError, ValueError) as error:
                if self._stopping.is_set():
                    return
                delay = backoff.next_seconds(getattr(error, "at_least", 0.0), getattr(error, "alone", False))
                log.warning("no connection to %s: %s; trying again in %.1f s", self.broker, printable(error), delay)
                self._tell(printable(error))
            except Exception as error:  # a packet that paho cannot read must not end the agent for good
                delay = backoff.next_seconds()
                self._tell(printable(error) or type(error).__name__)
                log.exception("the connection to %s failed; trying again in %.1f s", self.broker, delay)
            # behind the handlers: within one, the error would keep the broken session and its socket
            self._stopping.wait(delay)

    def _serve(self, backoff: Backoff) -> None:
        """One connection, from CONNECT to its end. Raises `Lost` unless the agent stops."""
        session, max_packet_bytes = self._open()
        try:
            self._begin(session, max_packet_bytes)
            begun = time.monotonic()
            while not self._stopping.is_set():
                session.turn()
                self._answer(session)
                self._forward(session)
                # one that ends at once proves nothing: two agents of one name would fight without a pause
                if time.monotonic() - begun > STEADY_SECONDS:
                    backoff.reset()
            session.say_goodbye(self._farewell)
        finally:
            self._online = False
            self.beats_lost += len(self._beats) + sum(sent.beat for sent in session.sent.values())
            self._beats.clear()
            self._forwarder.disconnected(time.monotonic())

    def _open(self) -> Tuple[Session, int]:
        """The session with the first login that the broker takes, and how many bytes a packet may have."""
        logins = self._logins()
        while True:
            session = Session(self.host, self.broker, logins.pop(0), self.info.interval_s, self._bell)
            try:
                return session, session.open(self._stopping)
            except Refused:
                if not logins:
                    raise

    def _begin(self, session: Session, max_packet_bytes: int) -> None:
        room = max_packet_bytes - TOPIC_BYTES if max_packet_bytes else MAX_BATCH_BYTES
        self._forwarder.max_bytes = max(1, min(MAX_BATCH_BYTES, room))
        session.introduce(self.info)
        self._online = True
        self.connections += 1
        self._tell("")
        log.info("connected to %s as %s", self.broker, self.host)

    def _forward(self, session: Session) -> None:
        if self._new_spool is not None:
            self._forwarder = Forwarder(self._new_spool, self._forwarder.window, self._forwarder.max_bytes)
            self._new_spool, self.spool_damaged = None, False
        while self._beats:
            session.publish_beat(self._beats.popleft())
        if self.spool_damaged:
            return
        try:
            for batch in self._forwarder.due(time.monotonic()):
                session.publish_batch(batch, self._forwarder.correlation(batch))
        except SpoolDamaged:
            self.spool_damaged = True
        except Unavailable as error:
            # a full disk: beats go on meanwhile, and the agent tells what is wrong when it writes
            log.debug("%s", error)

    def _answer(self, session: Session) -> None:
        """Work off the PUBACKs and receipts that have come in."""
        for sent, code in session.take_acknowledged():
            if code < REFUSED and code != NOT_DELIVERED:
                if sent.batch:
                    self._forwarder.acknowledged(sent.batch)
            elif sent.beat:
                self.beats_lost += 1
            if code >= REFUSED:
                session.report_refusal(sent.batch, code)
        receipts = list(session.receipts)
        try:
            self._forwarder.receipts(receipts)
        except SpoolDamaged:
            self.spool_damaged = True
        except Unavailable as error:
            log.debug("%s", error)
            return  # they stay in line: nothing is forgotten that they name
        for _ in receipts:
            session.receipts.popleft()
