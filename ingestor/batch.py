"""Batches: what has come in and is not stored yet. Bounded, so that memory does not follow the backlog."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

import mqtt5

from core import topics
from core.errors import Invalid
from core.messages import Event
from ingestor.decode import check_info, decode_events, decode_heartbeat
from mqtt.connection import Connection
from store import Beat, DeadLetter

MAX_EVENTS = 5_000
MAX_BYTES = 8 * 1024 * 1024
_MOST = 2**53  # of a count that a heartbeat tells: what every reader of JSON can read
_LONGEST_BOOT = 64  # characters
MAX_REASONED_BYTES = 64 * 1024  # of a dead letter's payload


@dataclass
class Batch:
    """One transaction's worth, and what to say once it is committed."""

    events: list[Event] = field(default_factory=list)
    dead: list[DeadLetter] = field(default_factory=list)
    beats: list[Beat] = field(default_factory=list)
    infos: dict[str, str] = field(default_factory=dict)
    acknowledgements: dict[Connection, list[int]] = field(default_factory=dict)
    receipts: list[tuple[Connection, str, bytes]] = field(default_factory=list)
    retained: set[str] = field(default_factory=set)
    sent_at: datetime | None = None  # the newest message, by its sender's clock
    messages: int = 0
    size_bytes: int = 0

    @property
    def full(self) -> bool:
        """Whether it should be written before more is read. One message may go over the limit, no more."""
        return (
            len(self.events) + len(self.dead) >= MAX_EVENTS
            or self.size_bytes >= MAX_BYTES
            or self.messages >= MAX_EVENTS
        )

    def take(self, connection: Connection, packet: mqtt5.PublishPacket, now: datetime) -> None:
        """Add one message. Whatever it holds, it will be acknowledged: what does not fit is a dead letter."""
        payload = packet.payload
        self.messages += 1
        self.size_bytes += len(payload)
        if packet.packet_id is not None:
            packet_ids = self.acknowledgements.get(connection)
            if packet_ids is None:
                packet_ids = self.acknowledgements[connection] = []
            packet_ids.append(packet.packet_id)
        if packet.retain:
            # a publish cannot be kept from being retained; its copy on the broker is cleared after the commit
            if not payload:
                return
            self.retained.add(packet.topic)
        found = topics.parse_host_topic(packet.topic)
        if found is None:
            if topics.is_probe(packet.topic):
                return
            self._bury(packet, None, "the topic names no host that could be one", payload)
        elif found.kind == topics.EVENTS:
            self._take_events(connection, packet, found.host)
        else:
            self._take_presence(packet, found, now)

    def _take_events(self, connection: Connection, packet: mqtt5.PublishPacket, host: str) -> None:
        events, refused = decode_events(host, packet.payload)
        if events:
            self.events += events
            self.sent_at = events[-1].timestamp
        for reason, payload in refused:
            self._bury(packet, host, reason, payload)
        # a receipt goes to the host whose topic the batch came on, and to nobody else
        if packet.correlation_data is not None and packet.response_topic == topics.host_topic(host, topics.RECEIPT):
            self.receipts.append((connection, packet.response_topic, packet.correlation_data))

    def _take_presence(self, packet: mqtt5.PublishPacket, found: topics.HostTopic, now: datetime) -> None:
        try:
            if found.kind == topics.INFO:
                # a retained message is cleared by an empty one (MQTT 5, section 3.3.1.3): the host is forgotten
                if packet.payload:
                    self.infos[found.host] = check_info(packet.payload)
                self.retained.discard(packet.topic)
                return
            beat = decode_heartbeat(packet.payload)
        except Invalid as error:
            self._bury(packet, found.host, str(error), packet.payload)
            return
        self.sent_at = beat.sent_at or self.sent_at
        waited = waited_seconds(beat.interval_s, packet.message_expiry_interval)
        at = now - timedelta(seconds=waited) if waited else now
        delay = None if beat.sent_at is None else (now - beat.sent_at).total_seconds()
        seq, boot, spool = beat.seq, beat.boot, beat.spool
        # what no agent of ours tells, and no database may be able to store, tells nothing
        if seq is None or not boot or not (0 <= seq < _MOST and len(boot) <= _LONGEST_BOOT and boot.isprintable()):
            seq = boot = None
        if spool is not None and not 0 <= spool < _MOST:
            spool = None
        self.beats.append(Beat(found.host, beat.os_type, at, seq, boot, beat.interval_s, spool, delay))

    def _bury(self, packet: mqtt5.PublishPacket, host: str | None, reason: str, payload: bytes) -> None:
        # PostgreSQL's text takes neither NUL nor more than is useful of a hostile topic
        topic = packet.topic.replace("\0", "\N{REPLACEMENT CHARACTER}")[:1_000]
        self.dead.append(DeadLetter(topic, host, reason, payload[:MAX_REASONED_BYTES], len(payload)))


def waited_seconds(interval_seconds: float, expiry_left_seconds: int | None) -> float:
    """How long a heartbeat waited on the broker, without anyone's clock.

    It was published with an expiry of twice its interval, and a broker counts that down
    (MQTT 5, section 3.3.2.3.3).
    """
    if expiry_left_seconds is None:
        return 0.0
    return max(0.0, 2 * interval_seconds - expiry_left_seconds)
