"""A receipt deletes the positions that it names in the spool that it names, in any order and however often it comes."""

from __future__ import annotations

import contextlib
import random
import sqlite3
from collections.abc import Callable, Iterable

import mqtt5
import pytest
from faults_site import Site
from middleman import Middleman, Rule
from service_client import service_client
from waiting import wait_until

from core.spool import Receipt
from core.topics import RECEIPT, host_topic

pytestmark = pytest.mark.mosquitto
WINDOW = 8
FORGED = b"said by the test"


class Withheld(Rule):
    """Keeps the ingestor's receipts from the agent, until opened, and notes them; what the test says gets through."""

    def __init__(self) -> None:
        self.receipts: dict[bytes, None] = {}
        self.opened = False

    def down(self, packet: mqtt5.Packet, raw: bytes) -> Iterable[bytes]:
        if isinstance(packet, mqtt5.PublishPacket) and packet.correlation_data and packet.payload != FORGED:
            self.receipts[packet.correlation_data] = None
            return [raw] if self.opened else []
        return [raw]

    def unsaid(self, left: set[int]) -> list[bytes]:
        """Those that name positions of `left`."""
        return [one for one in [*self.receipts] if named(one) <= left]


def named(correlation: bytes) -> set[int]:
    receipt = Receipt.unpack(correlation)
    assert receipt is not None
    return set(range(receipt.first, receipt.last + 1))


def positions(here: Site, host: str) -> set[int]:
    path = here.agent_home(host).agent_spool
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30)) as spool:
        return {position for (position,) in spool.execute("SELECT position FROM spool")}


def of_others(chance: random.Random, genuine: bytes) -> list[bytes]:
    """Receipts of other spools for all positions that there can be, and what is no receipt."""
    others = [Receipt(chance.randbytes(16), 1, 2**62).pack() for _ in range(3)]
    return [*others, genuine[:-1], genuine + b"0", b"", bytes(32)]


def test_receipts_in_any_order_again_and_again_and_of_other_spools_delete_what_they_name_alone(
    here: Site, chance: random.Random, often: Callable[[int], int]
) -> None:
    here.start()
    host, rounds = here.hosts[0], often(20)
    # some more than the rounds can name: an event has more than 200 bytes
    batch_bytes = 20_000
    count = (rounds + 2) * WINDOW * batch_bytes // 200
    withheld, said = Withheld(), []
    with Middleman(here.mqtt_port, lambda: withheld) as middleman, service_client(here, "ingestor") as mouth:
        here.start_agent(host, count, port=middleman.port, TEST_AT_ONCE="1000", TEST_BATCH_BYTES=str(batch_bytes))
        wait_until(lambda: here.spooled(host)[0] == count, "all is in the spool")
        left = set(range(1, count + 1))
        for _ in range(rounds):
            wait_until(lambda: len(withheld.unsaid(left)) >= WINDOW, "as many batches are out as may be")
            genuine = chance.sample(withheld.unsaid(left), chance.randint(1, WINDOW))
            again = chance.sample(said + genuine, chance.randint(1, len(genuine)))
            before_last = [*genuine[:-1], *again, *of_others(chance, genuine[0])]
            chance.shuffle(before_last)
            # receipts are worked off in order: when the last one is, all are
            for correlation in [*before_last, genuine[-1]]:
                mouth.publish(host_topic(host, RECEIPT), FORGED, CorrelationData=correlation)
            left.difference_update(*map(named, genuine))
            wait_until(lambda: positions(here, host) == left, "the spool holds what no receipt has named")
            said += genuine
        withheld.opened = True
        here.expect_all_stored_once()
