"""A witness between broker and ingestor: what was delivered, what was acknowledged, and what was true then."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable

import mqtt5
from faults_site import Site
from middleman import Rule
from numbered_agent import numbered_id

from core.spool import Receipt
from core.topics import RECEIPT, parse_host_topic


class Evidence:
    """What all connections of a test have shown together."""

    def __init__(self, site: Site) -> None:
        self.site = site
        os.environ["TEST_MS"] = str(site.ms)  # what the numbers' ids are made of
        self.lock = threading.Lock()
        self.delivered: set[bytes] = set()
        self.repeated = 0  # batches that came to an ingestor again
        self.receipts = 0
        self.premature: list[str] = []  # receipts whose events were not committed
        self.witnesses: list[Witness] = []

    def make_witness(self) -> Witness:
        made = Witness(self)
        self.witnesses.append(made)
        return made

    def expect_no_false_word(self) -> None:
        """PUBACKs went out in the order of receipt (MQTT 5, section 4.6), and receipts behind the commit alone."""
        assert self.receipts > 0
        assert not self.premature, f"receipts without their events: {self.premature[:3]}"
        for witness in self.witnesses:
            assert witness.acknowledged == witness.received[: len(witness.acknowledged)]


class Witness(Rule):
    """Of one connection of an ingestor."""

    def __init__(self, evidence: Evidence) -> None:
        self._all = evidence
        self.received: list[int] = []  # packet identifiers
        self.acknowledged: list[int] = []

    def down(self, packet: mqtt5.Packet, raw: bytes) -> Iterable[bytes]:
        if isinstance(packet, mqtt5.PublishPacket):
            if packet.packet_id is not None:
                self.received.append(packet.packet_id)
            if packet.correlation_data is not None:
                with self._all.lock:
                    self._all.repeated += packet.correlation_data in self._all.delivered
                    self._all.delivered.add(packet.correlation_data)
        return [raw]

    def up(self, packet: mqtt5.Packet, raw: bytes) -> Iterable[bytes]:
        if isinstance(packet, mqtt5.PubAckPacket):
            self.acknowledged.append(packet.packet_id)
        elif isinstance(packet, mqtt5.PublishPacket):
            found = parse_host_topic(packet.topic)
            receipt = Receipt.unpack(packet.correlation_data)
            if found is not None and found.kind == RECEIPT and receipt is not None:
                self._check(found.host, receipt)
        return [raw]

    def _check(self, host: str, receipt: Receipt) -> None:
        # the numbers begin at 0 and the positions of a fresh spool at 1
        ids = {str(numbered_id(host, position - 1)) for position in (receipt.first, receipt.last)}
        texts = ", ".join(f"'{event_id}'" for event_id in ids)
        stored = self._all.site.rows(f"SELECT event_id FROM logs WHERE event_id IN ({texts})")
        with self._all.lock:
            self._all.receipts += 1
            if {str(event_id) for (event_id,) in stored} != ids:
                self._all.premature.append(f"{host} {receipt.first} to {receipt.last}")
