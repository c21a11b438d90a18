"""A client that tries something at a broker: each call waits for what the broker says to it (MQTT 5)."""

from __future__ import annotations

import contextlib
import queue
import socket
import time
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from core.errors import Unavailable
from core.settings import BrokerAddress
from core.tls import make_context

PATIENCE_SECONDS = 10.0


class Refused(Exception):
    """The broker said no. `code` is its reason code (MQTT 5, section 2.4)."""

    def __init__(self, what: str, code: int) -> None:
        super().__init__(f"{what}: reason code 0x{code:02x}")
        self.code = code


class Probe:
    """One client of the broker at `address`. A context manager: it leaves in order at its end.

    `will` is a topic, a payload and a delay in seconds. Of `session_seconds` 0 the session ends with the connection.
    """

    def __init__(
        self,
        address: BrokerAddress,
        name: str,
        *,
        session_seconds: int = 0,
        receive_maximum: int = 0,
        will: tuple[str, bytes, int] | None = None,
        acknowledges: bool = True,
    ) -> None:
        self.messages: queue.Queue[MQTTMessage] = queue.Queue()
        self.session_present = False
        self.granted: dict[str, Any] = {}  # what CONNACK's properties say
        self._address, self._session = address, session_seconds
        self._receive_maximum, self._will = receive_maximum, will
        self._answers: queue.Queue[tuple[str, int]] = queue.Queue()
        self._client = Client(
            CallbackAPIVersion.VERSION2, name, protocol=MQTTProtocolVersion.MQTTv5, reconnect_on_failure=False,
            manual_ack=not acknowledges, transport="websockets" if address.websockets else "tcp",
        )  # fmt: skip

    def __enter__(self) -> Probe:
        """Connect. Raises `Refused`, and `Unavailable` when nobody answers."""
        client = self._client
        if self._address.tls:
            client.tls_set_context(make_context(self._address))
        if self._address.websockets:
            client.ws_set_options(self._address.path or "/mqtt")
        if self._address.user:
            client.username_pw_set(self._address.user, self._address.password)
        if self._will is not None:
            topic, payload, delay = self._will
            client.will_set(
                topic, payload, qos=1, properties=_properties(PacketTypes.WILLMESSAGE, WillDelayInterval=delay)
            )
        client.on_connect = self._on_connect
        client.on_publish = lambda *said: self._answers.put(("publish", said[3].value))
        client.on_subscribe = lambda *said: self._answers.put(("subscribe", max(code.value for code in said[3])))
        client.on_message = lambda *said: self.messages.put(said[2])
        wanted = _properties(
            PacketTypes.CONNECT, SessionExpiryInterval=self._session, ReceiveMaximum=self._receive_maximum
        )
        try:
            client.connect(
                self._address.host, self._address.port, keepalive=10, clean_start=not self._session, properties=wanted
            )
        except OSError as error:
            raise Unavailable(f"nobody answers at {self._address}: {error}") from error
        client.loop_start()
        try:
            self._expect("connect")
        except BaseException:
            client.loop_stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _on_connect(self, _client: Client, _data: object, flags: Any, code: Any, properties: Any) -> None:
        self.session_present = flags.session_present
        self.granted = dict(properties.json()) if properties is not None else {}
        self._answers.put(("connect", code.value))

    def _expect(self, what: str) -> int:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                said, code = self._answers.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                raise Unavailable(f"{what}: no answer within {PATIENCE_SECONDS:.0f} s") from None
            if said == what:
                break
        if code >= 0x80:
            raise Refused(what, code)
        return code

    def publish(self, topic: str, payload: bytes, *, retain: bool = False, expiry_seconds: int = 0) -> int:
        """Publish at QoS 1; the reason code of the PUBACK. Raises `Refused` and `Unavailable`."""
        properties = _properties(PacketTypes.PUBLISH, MessageExpiryInterval=expiry_seconds)
        self._client.publish(topic, payload, 1, retain, properties)
        return self._expect("publish")

    def subscribe(self, topic: str, *, retain_handling: int = 0) -> int:
        """Subscribe at QoS 1; the QoS granted. Raises `Refused` and `Unavailable`."""
        self._client.subscribe(topic, options=SubscribeOptions(1, retainHandling=retain_handling))
        return self._expect("subscribe")

    def received(self, count: int, seconds: float = 3.0) -> Sequence[bytes]:
        """What came within `seconds`, as soon as it is `count` messages; fewer when no more came."""
        found: list[bytes] = []
        deadline = time.monotonic() + seconds
        with contextlib.suppress(queue.Empty):
            while len(found) < count:
                found.append(bytes(self.messages.get(timeout=max(0.0, deadline - time.monotonic())).payload))
        return found

    def break_off(self) -> None:
        """End as one whose power failed: without DISCONNECT."""
        with contextlib.suppress(OSError):
            raw = self._client.socket()
            if isinstance(raw, socket.socket):
                raw.shutdown(socket.SHUT_RDWR)
        self._client.loop_stop()


def _properties(kind: int, **values: int) -> Properties:
    """Those of `values` that are not 0."""
    made = Properties(kind)  # type: ignore[no-untyped-call]
    for name, value in values.items():
        if value:
            setattr(made, name, value)
    return made


@contextlib.contextmanager
def broken_off(probe: Probe) -> Iterator[Probe]:
    """`probe`, connected, whose connection breaks at the end."""
    with contextlib.ExitStack() as entered:
        yield entered.enter_context(probe)
        probe.break_off()
