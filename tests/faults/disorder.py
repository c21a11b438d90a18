"""Disorder on the way: PUBLISH packets that come twice and in another order, in both directions."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterable

import mqtt5
from middleman import Rule

from core.topics import EVENTS, RECEIPT, parse_host_topic

MOST_HELD = 5


class Disorder:
    """Makes the rules of a test's connections, and counts what they do to events and receipts together."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.lock = threading.Lock()
        self.repeated = {EVENTS: 0, RECEIPT: 0}
        self.reordered = {EVENTS: 0, RECEIPT: 0}

    def make_rule(self) -> Rule:
        return _Disordered(self)

    def shuffle(self, kind: str, held: list[bytes]) -> list[bytes]:
        """`held` in another order, some of it twice."""
        with self.lock:
            again = [raw for raw in held if self.chance.random() < 0.3]
            out = held + again
            self.chance.shuffle(out)
            self.repeated[kind] += len(again)
            self.reordered[kind] += out[: len(held)] != held
            return out


class _Disordered(Rule):
    def __init__(self, disorder: Disorder) -> None:
        self._disorder = disorder
        self._held: dict[str, list[bytes]] = {EVENTS: [], RECEIPT: []}

    def up(self, packet: mqtt5.Packet, raw: bytes) -> Iterable[bytes]:
        return self._pass(packet, raw)

    def down(self, packet: mqtt5.Packet, raw: bytes) -> Iterable[bytes]:
        return self._pass(packet, raw)

    def _pass(self, packet: mqtt5.Packet, raw: bytes) -> Iterable[bytes]:
        found = parse_host_topic(packet.topic) if isinstance(packet, mqtt5.PublishPacket) else None
        if found is None or found.kind not in self._held:
            return [raw]
        # events go up and receipts come down: each direction, which is one thread, has a list of its own
        held = self._held[found.kind]
        held.append(raw)
        with self._disorder.lock:
            keep = len(held) < self._disorder.chance.randint(1, MOST_HELD)
        if keep:
            return []
        self._held[found.kind] = []
        return self._disorder.shuffle(found.kind, held)
