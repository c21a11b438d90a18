"""One MQTT 5 session of an agent: from CONNECT with its will to the goodbye."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import deque
from datetime import datetime
from typing import Any, Callable, Deque, Dict, List, NamedTuple, Optional, Tuple
from uuid import uuid4

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from agents.bell import Bell
from agents.farewell import Farewell
from core.clock import utc_now
from core.home import Credential
from core.messages import CONTENT_TYPE, STATUS_EXPIRY_SECONDS, Heartbeat, Info, Reason, State, Status, encode
from core.settings import BrokerAddress
from core.spool import Batch
from core.tls import make_context
from core.topics import EVENTS, HEARTBEAT, INFO, RECEIPT, STATUS, host_topic

log = logging.getLogger("heimdall.agent")

POLL_SECONDS = 1.0  # how long what another process spools may wait; keep alive is looked after as often
PATIENCE_SECONDS = 10.0  # for CONNACK, and for the goodbye's PUBACK
NOT_DELIVERED = 0x10
REFUSED = 0x80
NOT_AUTHORISED = 0x87
ADMINISTRATIVE_ACTION = 0x98  # by Mosquitto when a secret is changed, among others
# MQTT 5, section 3.2.2.2: what a person must repair before another attempt makes sense
HOPELESS = (0x84, 0x85, 0x86, NOT_AUTHORISED, 0x8A, 0x8C)
RETRY_REFUSED_SECONDS = 30.0


class Lost(Exception):
    """The connection is gone; `at_least` seconds must pass before the next attempt.

    `alone`: the broker cut this client off and no other.
    """

    def __init__(self, why: str, at_least: float = 0.0, alone: bool = False) -> None:
        super().__init__(why)
        self.at_least, self.alone = at_least, alone


class Refused(Lost):
    """The broker does not take the login or the name."""


class Sent(NamedTuple):
    """A message that waits for its PUBACK; neither a batch nor a beat: birth, info or goodbye."""

    batch: Optional[Batch] = None
    beat: bool = False


class _Inbox:
    """What came in. It knows no client: a client in a cycle would keep its sockets until the next collection."""

    def __init__(self) -> None:
        self.connack: Optional[Tuple[int, str, Any]] = None
        self.acknowledged: Deque[Tuple[int, int]] = deque()
        self.receipts: Deque[Optional[bytes]] = deque()
        self.ended, self.alone = "", False

    def on_connect(self, _client: Client, _data: Any, _flags: Any, reason: ReasonCode, properties: Any) -> None:
        self.connack = (reason.value, str(reason), properties)

    def on_publish(self, _client: Client, _data: Any, mid: int, reason: ReasonCode, _properties: Any) -> None:
        self.acknowledged.append((mid, reason.value))

    def on_message(self, _client: Client, _data: Any, message: MQTTMessage) -> None:
        self.receipts.append(getattr(message.properties, "CorrelationData", None))

    def on_disconnect(self, _client: Client, _data: Any, _flags: Any, reason: ReasonCode, _properties: Any) -> None:
        self.ended, self.alone = str(reason), reason.value == ADMINISTRATIVE_ACTION


def _make_properties(packet: int) -> Properties:
    return Properties(packet)  # type: ignore[no-untyped-call]


def make_client(host: str, broker: BrokerAddress, credential: Credential) -> Client:
    """A client of `host` that is not connected yet. Raises `Invalid` when nobody knows whom to trust over TLS."""
    client = Client(
        CallbackAPIVersion.VERSION2,
        client_id=credential.user or host,
        protocol=MQTTProtocolVersion.MQTTv5,
        transport="websockets" if broker.websockets else "tcp",
        reconnect_on_failure=False,
    )
    if broker.websockets:
        client.ws_set_options(path=broker.path or "/mqtt")
    if broker.tls:
        client.tls_set_context(make_context(broker))
    if credential.user:
        client.username_pw_set(credential.user, credential.password)
    return client


class Session:
    """One connection: a paho client, driven by the thread that made it and by no other."""

    def __init__(
        self, host: str, broker: BrokerAddress, credential: Credential, interval_seconds: float, bell: Bell
    ) -> None:
        self.host = host
        self.id = str(uuid4())
        self.interval_seconds = interval_seconds
        self.sent: Dict[int, Sent] = {}
        self._inbox = _Inbox()
        self.receipts = self._inbox.receipts
        self._refusals_told: Dict[int, float] = {}
        self._broker = broker
        self._bell = bell
        self._receive_maximum = 65_535
        self._client = self._make_client(credential)

    def _make_client(self, credential: Credential) -> Client:
        client = make_client(self.host, self._broker, credential)
        properties = _make_properties(PacketTypes.WILLMESSAGE)
        properties.MessageExpiryInterval = STATUS_EXPIRY_SECONDS
        will = self._status("offline", "lost")
        client.will_set(host_topic(self.host, STATUS), will, qos=1, retain=True, properties=properties)
        inbox = self._inbox
        client.on_connect, client.on_publish = inbox.on_connect, inbox.on_publish
        client.on_message, client.on_disconnect = inbox.on_message, inbox.on_disconnect
        return client

    def _status(self, state: State, reason: Reason, back_by: Optional[datetime] = None) -> bytes:
        return encode(Status(state=state, session=self.id, at=utc_now(), reason=reason, back_by=back_by))

    def open(self, stopping: threading.Event) -> int:
        """CONNECT, and wait for CONNACK; returns how many bytes a packet may have, 0 for any number.

        Raises `Lost` when the broker refuses, `OSError` when it is away."""
        properties = _make_properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = 0  # a receipt that is missed comes again with the batch
        keepalive = int(min(30, max(5, self.interval_seconds)))
        self._client.connect(
            self._broker.host, self._broker.port, keepalive, clean_start=True, properties=properties
        )  # fmt: skip
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self._inbox.connack is None:
            if time.monotonic() > deadline:
                raise Lost("the broker does not answer")
            if stopping.is_set():
                raise Lost("the agent stops")
            self.turn()
        code, text, granted = self._inbox.connack
        if code >= REFUSED:
            if code not in HOPELESS:
                raise Lost(f"refused, 0x{code:02x} {text}")
            hint = f"the broker does not take the credentials or the name of {self.host}; enrol the host again"
            raise Refused(f"refused, 0x{code:02x} {text}: {hint}", RETRY_REFUSED_SECONDS)
        self._receive_maximum = getattr(granted, "ReceiveMaximum", 65_535)
        return int(getattr(granted, "MaximumPacketSize", 0))

    def turn(self) -> None:
        """Let paho read and write once there is something, or after `POLL_SECONDS`.

        Raises `Lost` when the connection has ended."""
        self._bell.wait(self._client.socket(), self._client.want_write(), POLL_SECONDS)
        code = self._client.loop(0)
        if code != MQTTErrorCode.MQTT_ERR_SUCCESS and not (self._inbox.connack and self._inbox.connack[0] >= REFUSED):
            why = (
                self._inbox.ended
                if self._inbox.connack
                else "the broker closed it without an answer (wrong credentials?)"
            )
            raise Lost(why or str(code), alone=self._inbox.alone)

    def introduce(self, info: Info) -> None:
        """Subscribe to the receipts, then birth and info: both retained, for the broker may have lost them."""
        self._client.subscribe(host_topic(self.host, RECEIPT), qos=0)
        self._publish_status(self._status("online", "start"))
        self._publish(INFO, encode(info), Sent(), retain=True)

    def _publish_status(self, payload: bytes) -> int:
        def expire(properties: Properties) -> None:
            properties.MessageExpiryInterval = STATUS_EXPIRY_SECONDS

        return self._publish(STATUS, payload, Sent(), expire, retain=True)

    def publish_beat(self, beat: Heartbeat) -> None:
        """A heartbeat that the broker keeps for two intervals at most."""

        def expire(properties: Properties) -> None:
            properties.MessageExpiryInterval = max(1, math.ceil(2 * beat.interval_s))

        self._publish(HEARTBEAT, encode(beat), Sent(beat=True), expire)

    def publish_batch(self, batch: Batch, correlation: bytes) -> None:
        """Events, with where and under which name to send their receipt."""

        def ask_receipt(properties: Properties) -> None:
            properties.ResponseTopic = host_topic(self.host, RECEIPT)
            properties.CorrelationData = correlation

        self._publish(EVENTS, batch.payload, Sent(batch=batch), ask_receipt)

    def _publish(
        self,
        kind: str,
        payload: bytes,
        sent: Sent,
        decorate: Optional[Callable[[Properties], None]] = None,
        retain: bool = False,
    ) -> int:
        # paho does not heed the broker's receive maximum (MQTT 5, section 3.3.4)
        while len(self.sent) - len(self._inbox.acknowledged) >= self._receive_maximum:
            self.turn()
        properties = _make_properties(PacketTypes.PUBLISH)
        properties.ContentType = CONTENT_TYPE
        if decorate:
            decorate(properties)
        info = self._client.publish(host_topic(self.host, kind), payload, 1, retain, properties)
        if info.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise Lost(self._inbox.ended or f"publishing failed: {info.rc!s}")
        self.sent[info.mid] = sent
        return info.mid

    def take_acknowledged(self) -> List[Tuple[Sent, int]]:
        """What has got its PUBACK since the last call, with the reason codes."""
        taken = []
        while self._inbox.acknowledged:
            mid, code = self._inbox.acknowledged.popleft()
            taken.append((self.sent.pop(mid, Sent()), code))
        return taken

    def report_refusal(self, batch: Optional[Batch], code: int) -> None:
        """Log that the broker refuses what is published: a code once a minute."""
        now = time.monotonic()
        if now - self._refusals_told.get(code, -60.0) < 60.0:
            return
        self._refusals_told[code] = now
        what = f"{batch.count} events" if batch else "a message"
        why = "not authorised: is the host still enrolled?" if code == NOT_AUTHORISED else "refused"
        log.error("the broker refuses %s of %s (0x%02x, %s); they stay in the spool", what, self.host, code, why)

    def say_goodbye(self, farewell: Farewell) -> None:
        """`farewell` by our own word, then DISCONNECT, which keeps the broker from sending the will."""
        mid = self._publish_status(self._status(*farewell))
        deadline = time.monotonic() + PATIENCE_SECONDS
        while mid in self.sent and time.monotonic() < deadline:
            self.turn()
            self.take_acknowledged()
        self._client.disconnect()
        self._client.loop(POLL_SECONDS)
