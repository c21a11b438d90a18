"""The meter: how much of each host's waits on the broker, without a receipt, for one session at once.

An ingestor sees what it takes in, not what waits. So it publishes a probe into its own queue: whatever it takes in
between sending the probe and meeting it again had been published before, and was not stored when the probe was sent.
It knows no MQTT and no clock.

1. A session is judged when a probe has waited for longer than `WAIT_SECONDS`: then everybody waits. That is known when
   it comes back. Where none was lost, which is to say no other ingestor got one, it need not be waited for.
2. Above its limit is a host with more messages than agents that heed their receipts can have out, and with a share of
   the line that makes others wait.
3. An agent publishes again what has no receipt in time. So the limit grows with how long ago the oldest of what
   is counted can have been published; where that is not known, as after a reconnect, nobody is judged.
"""

from __future__ import annotations

import secrets
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from core.forwarder import PATIENCE_SECONDS

WAIT_SECONDS = 1.0
PATIENT_SECONDS = 10.0  # above its limit for so long, a host is told of
OPEN_MESSAGES = 128  # an agent has 8 batches out, a gateway 64 for all of its hosts
LEAST_SHARE = 0.1  # of the bytes: less makes nobody wait, and at most nine are above their limit at once
PROBE_SECONDS = 0.5
PROBES_OUT = 8  # fewer a second when the way is long
HEADER_BYTES = 500  # what a message costs beside its payload
# messages and their bytes in one number, for it stands in the hot path: the bytes are the lowest 48 bits
_BYTES = (1 << 48) - 1
_MESSAGE = (1 << 48) + HEADER_BYTES


class Message(Protocol):
    """What is counted: a message of MQTT."""

    @property
    def topic(self) -> str: ...
    @property
    def payload(self) -> bytes: ...


class Excess(NamedTuple):
    """A topic above its limit for too long: so many messages and such a part of the bytes waited, so many seconds."""

    topic: str
    messages: int
    limit: int
    share: float
    waited_seconds: float


class _Probe:
    def __init__(self, sent_at: float, published_after: float | None) -> None:
        self.sent_at = sent_at
        self.published_after = published_after  # of all that is taken from now on; `None`: not known
        self.taken: defaultdict[str, int] = defaultdict(int)  # by topic, until the next probe is sent


class Meter:
    """Counts one session by topic. `topic` is the probes' own. Times are seconds of one monotonic clock."""

    def __init__(self, topic: str) -> None:
        self.topic = topic
        self.restart()

    def restart(self) -> None:
        """Forget all: the session is on another connection, where it gets again what it had not acknowledged."""
        self._probes: dict[bytes, _Probe] = {}
        self._next_at = self._judge_at = 0.0
        self._none_lost = False
        self._published_after: float | None = None  # all that is still to be taken in; `None`: not known
        self._waited_seconds = 0.0
        self._above: dict[str, float] = {}

    def note_empty(self, at: float) -> None:
        """Nothing waited at `at`."""
        self._published_after = at

    def waiting_seconds(self, now: float) -> float:
        """How long the oldest probe has been on its way; so long, at most, has what comes next been waiting."""
        return now - next(iter(self._probes.values())).sent_at if self._probes else 0.0

    def make_probe(self, now: float) -> bytes | None:
        """The payload of a probe to be published now; `None` when it is not time."""
        if now < self._next_at:
            return None
        self._next_at = now + max(PROBE_SECONDS, max(self.waiting_seconds(now), self._waited_seconds) / PROBES_OUT)
        payload = str(secrets.randbits(60)).encode()
        self._probes[payload] = _Probe(now, self._published_after)
        return payload

    def count(self, messages: Sequence[Message], now: float) -> list[Excess]:
        """Count what was taken in, in order; who has been above the limit for too long, when a probe has come back."""
        if not self._probes:
            return []
        found: list[Excess] = []
        taken = next(reversed(self._probes.values())).taken
        for message in messages:
            taken[message.topic] += len(message.payload) + _MESSAGE
        if taken.pop(self.topic, None):
            for message in messages:
                if message.topic == self.topic:
                    found += self._meet(bytes(message.payload), now)
        if self._none_lost and self._probes and now >= self._judge_at:
            self._judge_at = now + PROBE_SECONDS
            found += self._judge(next(iter(self._probes.values())), now, self._above)
        return found

    def _meet(self, payload: bytes, now: float) -> list[Excess]:
        if payload not in self._probes:
            return []  # of an earlier connection or process
        self._none_lost = True
        while (first := next(iter(self._probes))) != payload:
            del self._probes[first]
            self._none_lost = False
        probe = self._probes[payload]
        self._waited_seconds = now - probe.sent_at
        kept, self._above = self._above, {}
        found = self._judge(probe, now, kept)
        self._published_after = max(probe.sent_at, self._published_after or 0.0)
        del self._probes[payload]
        return found

    def _waiting(self) -> dict[str, tuple[int, int]]:
        """What was taken since the oldest probe was sent: messages and bytes by topic."""
        waiting: defaultdict[str, int] = defaultdict(int)
        for probe in self._probes.values():
            for topic, number in probe.taken.items():
                waiting[topic] += number
        return {topic: (number >> 48, number & _BYTES) for topic, number in waiting.items()}

    def _judge(self, oldest: _Probe, now: float, known: dict[str, float]) -> list[Excess]:
        """Who is above the limit for too long (since when is in `known`). What was taken since `oldest` waited then."""
        waited_seconds = now - oldest.sent_at
        if waited_seconds < WAIT_SECONDS or oldest.published_after is None:
            return []
        limit = int(OPEN_MESSAGES * (1 + (oldest.sent_at - oldest.published_after) / PATIENCE_SECONDS))
        waiting = self._waiting()
        total = sum(size for _, size in waiting.values())
        above = {
            topic: Excess(topic, messages, limit, size / total, waited_seconds)
            for topic, (messages, size) in waiting.items()
            if messages > limit and size > LEAST_SHARE * total
        }
        self._above |= {topic: known.get(topic, now) for topic in above}
        return [excess for topic, excess in above.items() if now - self._above[topic] >= PATIENT_SECONDS]
