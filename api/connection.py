"""One MQTT 5 connection, from CONNECT to its end. It never reconnects: the bridge makes a fresh one."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from core.errors import Unavailable
from core.home import Credential
from core.messages import CONTENT_TYPE
from core.settings import BrokerAddress
from core.tls import make_context

KEEP_ALIVE_SECONDS = 10
PATIENCE_SECONDS = 5.0  # for CONNACK, SUBACK and the end of the network thread
RECEIVE_MAXIMUM = 1_000  # messages without PUBACK; the broker may ask for less

SUCCESS, NOBODY_SUBSCRIBED, REFUSED_FROM = 0x00, 0x10, 0x80  # PUBACK reason codes (MQTT 5, section 3.4.2.1)

Done = Callable[["int | None"], object]
Deliver = Callable[[MQTTMessage], None]


@dataclass(frozen=True)
class Message:
    """What is to be published at QoS 1. `expiry_seconds` is rounded up to whole seconds by the caller."""

    topic: str
    payload: bytes
    retain: bool = False
    expiry_seconds: int | None = None
    response_topic: str | None = None
    correlation: bytes | None = None

    def properties(self) -> Properties:
        """The properties of the PUBLISH packet (MQTT 5, section 3.3.2.3)."""
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        properties.ContentType = CONTENT_TYPE
        if self.expiry_seconds is not None:
            properties.MessageExpiryInterval = self.expiry_seconds
        if self.response_topic is not None:
            properties.ResponseTopic = self.response_topic
        if self.correlation is not None:
            properties.CorrelationData = self.correlation
        return properties


class Connection:
    """A connection that `open` makes and that `lost` tells the end of.

    `deliver`, each `done` and `ended` are called from the network thread and must not block. A `done` gets the
    PUBACK's reason code, or `None` when the connection ended before one came; `ended` follows `lost`.
    """

    def __init__(
        self,
        address: BrokerAddress,
        credential: Credential,
        client_id: str,
        will: Message,
        deliver: Deliver,
        ended: Callable[[], None],
    ) -> None:
        self._address, self._credential, self._ended = address, credential, ended
        self.lost = threading.Event()
        self.maximum_packet_bytes: int | None = None  # from CONNACK; None: no limit
        self._reason = "no answer"
        self._limit = RECEIVE_MAXIMUM
        self._accepted = threading.Event()
        self._subscribed = threading.Event()
        self._grants: Sequence[ReasonCode] = ()
        self._lock = threading.Lock()  # guards the five below; never held while paho is called
        self._closed = False
        self._open = 0
        self._queue: deque[tuple[Message, Done]] = deque()
        self._waiting: dict[int, Done] = {}
        self._early: dict[int, int] = {}  # PUBACKs that came before publish() had told the packet's id
        self._client = self._make_client(client_id, will, deliver)

    def _make_client(self, client_id: str, will: Message, deliver: Deliver) -> Client:
        address = self._address
        client = Client(
            CallbackAPIVersion.VERSION2, client_id, protocol=MQTTProtocolVersion.MQTTv5,
            transport="websockets" if address.websockets else "tcp", reconnect_on_failure=False,
        )  # fmt: skip
        client.username_pw_set(*self._credential)
        client.connect_timeout = PATIENCE_SECONDS
        client.max_inflight_messages = 0  # counted here, for paho ignores the broker's receive maximum
        if address.tls:
            client.tls_set_context(make_context(address))
        if address.websockets:
            client.ws_set_options(path=address.path or "/mqtt")
        properties = Properties(PacketTypes.WILLMESSAGE)  # type: ignore[no-untyped-call]
        properties.ContentType = CONTENT_TYPE
        client.will_set(will.topic, will.payload, 1, True, properties)
        client.on_connect, client.on_disconnect = self._on_connect, self._on_disconnect
        client.on_subscribe, client.on_publish = self._on_subscribe, self._on_publish
        client.on_message = lambda _client, _userdata, message: deliver(message)
        return client

    def open(self, filters: Sequence[str]) -> None:
        """Connect and subscribe to `filters` at QoS 0. Raises `Unavailable`; the connection is closed then."""
        where = f"the broker {self._address}"
        try:
            self._client.connect(self._address.host, self._address.port, KEEP_ALIVE_SECONDS, clean_start=True)
        except (OSError, ValueError) as error:
            raise Unavailable(f"{where} cannot be reached: {error}") from error
        self._client.loop_start()
        try:
            self._await(self._accepted, f"{where} refuses user {self._credential.user!r}")
            options = SubscribeOptions(qos=0)
            self._client.subscribe([(topic_filter, options) for topic_filter in filters])
            self._await(self._subscribed, f"{where} does not answer SUBSCRIBE")
            refused = [str(code) for code in self._grants if code.is_failure]
            if refused:
                raise Unavailable(f"{where} refuses to let {self._credential.user!r} subscribe: {refused[0]}")
        except Unavailable:
            self.close()
            raise

    def _await(self, event: threading.Event, what: str) -> None:
        if not event.wait(PATIENCE_SECONDS) or self.lost.is_set():
            raise Unavailable(f"{what}: {self._reason}")

    def publish(self, message: Message, done: Done) -> None:
        """Publish at QoS 1; waits its turn when as many are open as the broker allows."""
        with self._lock:
            if not self._closed:
                if self._open >= self._limit:
                    self._queue.append((message, done))
                    return
                self._open += 1
                closed = False
            else:
                closed = True
        if closed:
            done(None)
        else:
            self._send(message, done)

    def _send(self, message: Message, done: Done) -> None:
        info = self._client.publish(message.topic, message.payload, 1, message.retain, message.properties())
        code: int | None = None
        with self._lock:
            if info.rc == MQTTErrorCode.MQTT_ERR_SUCCESS and not self._closed:
                code = self._early.pop(info.mid, None)
                if code is None:
                    self._waiting[info.mid] = done
                    return
        done(code)

    def _on_publish(self, _client: Client, _userdata: Any, mid: int, reason: ReasonCode, _properties: Any) -> None:
        following = None
        with self._lock:
            done = self._waiting.pop(mid, None)
            if done is None:
                self._early[mid] = reason.value
            if self._queue:
                following = self._queue.popleft()
            else:
                self._open -= 1
        if done is not None:
            done(reason.value)
        if following is not None:
            self._send(*following)

    def _on_connect(
        self, _client: Client, _userdata: Any, _flags: ConnectFlags, reason: ReasonCode, properties: Properties | None
    ) -> None:
        if reason.is_failure:
            self._reason = str(reason)
            self._end()
            return
        self._limit = min(RECEIVE_MAXIMUM, getattr(properties, "ReceiveMaximum", RECEIVE_MAXIMUM))
        self.maximum_packet_bytes = getattr(properties, "MaximumPacketSize", None)
        self._accepted.set()

    def _on_subscribe(
        self, _client: Client, _userdata: Any, _mid: int, grants: list[ReasonCode], _properties: Any
    ) -> None:
        self._grants = grants
        self._subscribed.set()

    def _on_disconnect(
        self, _client: Client, _userdata: Any, _flags: DisconnectFlags, reason: ReasonCode, _properties: Any
    ) -> None:
        if not self.lost.is_set():
            self._reason = str(reason)
        self._end()

    def _end(self) -> None:
        with self._lock:
            self._closed = True
            left = [*self._waiting.values(), *(done for _, done in self._queue)]
            self._waiting.clear()
            self._queue.clear()
        self.lost.set()
        self._ended()
        self._accepted.set()
        self._subscribed.set()
        for done in left:
            done(None)

    @property
    def reason(self) -> str:
        """Why the connection ended, in the broker's or the library's words."""
        return self._reason

    def close(self) -> None:
        """End with DISCONNECT, so that the will is not sent; safe to call at any time, also twice."""
        self._client.disconnect()
        if not self.lost.wait(1.0) and (sock := self._client.socket()) is not None:
            # a broker that hangs takes no DISCONNECT: paho's thread only ends with its socket
            getattr(sock, "shutdown", lambda _how: sock.close())(2)
        self._client.loop_stop()
        self._end()
