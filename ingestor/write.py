"""Writing: group commit. While one transaction is written in a thread, the next batch is decoded.

1. Messages are gathered into batches, events and presence apart, so that a heartbeat waits for
   one transaction at most, whatever the backlog.
2. A batch is written in one transaction, and again until it is committed: nothing is given up.
3. Only then its PUBACKs go out, in the order of receipt, and its receipts.
4. It sees to the limits of each host.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import NamedTuple

import mqtt5

from core import topics
from core.clock import utc_now
from core.errors import HeimdallError
from core.messages import DeadNotice, encode
from ingestor.batch import Batch
from ingestor.limits import Limits
from ingestor.metrics import Metrics
from mqtt.connection import Connection
from store import DeadLetter, Store, Unstorable, WriteBatch, Written

log = logging.getLogger("ingestor.write")

WAITING_BATCHES = 2  # full ones, beside the one that is being written
LONGEST_PAUSE_SECONDS = 5.0
# a commit costs as much as a hundred events: on a busy line the next batch gathers for a moment
BUSY_MESSAGES = 20
GATHER_SECONDS = 0.005
SLOW_COMMIT_SECONDS = 5.0  # a database that is locked answers nothing for half a minute
NOTICES_PER_BATCH = 100


class Work(NamedTuple):
    """What one transaction holds: a batch of events and what presence has gathered meanwhile."""

    events: Batch
    presence: Batch


class Writer:
    """Takes messages from the sessions and stores them."""

    def __init__(self, store: Store, client_id: str = "@ingestor-1", *, keeper: bool = True) -> None:
        self._store = store
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="commit")
        self._full: deque[Batch] = deque()
        self._events, self._presence = Batch(), Batch()
        self._paused: set[Connection] = set()
        self._paused_presence: set[Connection] = set()
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._idle_since = math.inf
        self.metrics = Metrics()
        self._limits = Limits(store, client_id, self.metrics, keeper=keeper)
        self.hosts: set[str] = set()  # heard of since the last log line, which empties it
        self._trouble = ""
        self._committing_since: float | None = None

    def state(self) -> str:
        """`ok`, or why nothing is committed now."""
        if self._trouble:
            return self._trouble
        since = self._committing_since
        if since is not None and (seconds := asyncio.get_running_loop().time() - since) > SLOW_COMMIT_SECONDS:
            return f"a commit has been under way for {seconds:.0f} s"
        return "ok"

    def behind_seconds(self) -> float:
        """How old what was published may be, at most, without being stored."""
        now = asyncio.get_running_loop().time()
        committing = 0.0 if self._committing_since is None else now - self._committing_since
        return committing + self._limits.waiting_seconds(now, self._idle_since)

    def deliver_events(self, connection: Connection, packets: list[mqtt5.PublishPacket]) -> None:
        """Take messages of the events session; stop reading it while enough waits."""
        now = utc_now()
        self.metrics.add("messages_received", len(packets))
        self._limits.take(topics.EVENTS, connection, packets, asyncio.get_running_loop().time(), self._idle_since)
        for packet in packets:
            self._events.take(connection, packet, now)
            if self._events.full:
                self._full.append(self._events)
                self._events = Batch()
        if len(self._full) >= WAITING_BATCHES:
            connection.pause(True)
            self._paused.add(connection)
        self._wake.set()
        self._idle.clear()
        self._idle_since = math.inf

    def deliver_presence(self, connection: Connection, packets: list[mqtt5.PublishPacket]) -> None:
        """Take messages of the presence session; stop reading it at a batch full: beats coalesce, PUBACKs do not."""
        now = utc_now()
        self.metrics.add("messages_received", len(packets))
        self._limits.take(topics.HEARTBEAT, connection, packets, asyncio.get_running_loop().time(), self._idle_since)
        for packet in packets:
            self._presence.take(connection, packet, now)
        if self._presence.full:
            connection.pause(True)
            self._paused_presence.add(connection)
        self._wake.set()
        self._idle.clear()
        self._idle_since = math.inf

    async def run(self) -> None:
        """Write what comes in. Ends only by being cancelled, between two transactions."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while (work := self._next()) is not None:
                await self._commit(work)
                await self._keep_limits()
                if work.events.messages + work.presence.messages >= BUSY_MESSAGES and not self._full:
                    await asyncio.sleep(GATHER_SECONDS)
            self._idle.set()
            self._idle_since = asyncio.get_running_loop().time()

    async def _keep_limits(self) -> None:
        now = asyncio.get_running_loop().time()
        self._limits.probe(now)
        if found := self._limits.collect(now):
            await asyncio.get_running_loop().run_in_executor(self._thread, self._limits.deal_with, found)

    async def drain(self, seconds: float) -> None:
        """Wait until all that came in is stored, or until `seconds` have passed."""
        try:
            await asyncio.wait_for(self._idle.wait(), seconds)
        except TimeoutError:
            log.warning("stopping with messages that are not stored: the broker delivers them again")

    def _next(self) -> Work | None:
        if self._full:
            events = self._full.popleft()
        else:
            events, self._events = self._events, Batch()
        presence, self._presence = self._presence, Batch()
        for connection in self._paused_presence:
            connection.pause(False)
        self._paused_presence.clear()
        if not events.messages and not presence.messages:
            return None
        return Work(events, presence)

    async def _commit(self, work: Work) -> None:
        pause = 0.1
        loop = asyncio.get_running_loop()
        self._committing_since = loop.time()
        while True:
            try:
                held_off = self._limits.held_off(loop.time())
                written = await loop.run_in_executor(self._thread, self._write, work, held_off)
                break
            except Exception as error:  # noqa: BLE001 -- a fault of our own too: a new process would only meet it again
                self._note_trouble(error)
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
        if self._trouble:
            log.info("commits work again")
        seconds = loop.time() - self._committing_since
        self._trouble, self._committing_since = "", None
        self._count(work, written, seconds)
        settle(work.events, written.unanswered)
        settle(work.presence, written.unanswered)
        tell_of(written.letters, work)
        if len(self._full) < WAITING_BATCHES:
            for connection in self._paused:
                connection.pause(False)
            self._paused.clear()

    def _note_trouble(self, error: Exception) -> None:
        expected = isinstance(error, HeimdallError)
        trouble = str(error) if expected else f"{type(error).__name__}: {error}"
        if self._trouble != trouble:
            log.error("cannot commit, trying again: %s", trouble, exc_info=None if expected else error)
        self._trouble = trouble
        self.metrics.add("commit_failures")

    def _write(self, work: Work, held_off: frozenset[str] = frozenset()) -> Written:
        """In the writer's thread. The infos, which are few and can be written twice, come first."""
        now = utc_now()
        dead = [*work.events.dead, *work.presence.dead]
        dropped = 0
        for host, info in work.presence.infos.items():
            try:
                dropped += host in held_off or not self._store.record_info(host, info, now)
            except Unstorable as error:
                payload = info.encode("utf-8", "backslashreplace")
                dead.append(DeadLetter(topics.host_topic(host, topics.INFO), host, str(error), payload, len(payload)))
        written = self._store.write(WriteBatch(work.events.events, now, dead, work.presence.beats, held_off))
        return replace(written, dropped=written.dropped + dropped) if dropped else written

    def _count(self, work: Work, written: Written, seconds: float) -> None:
        events, presence = work
        self.hosts.update(beat.source_host for beat in presence.beats)
        self.hosts.update(event.source_host for event in events.events)
        metrics = self.metrics
        metrics.add("messages_acknowledged", events.messages + presence.messages)
        metrics.add("heartbeats_received", len(presence.beats))
        metrics.add("events_stored", written.stored)
        metrics.add("events_duplicate", written.duplicates)
        metrics.add("dead_letters", len(written.letters))
        metrics.add("messages_dropped", written.dropped)
        metrics.add("commits")
        metrics.observe("batch_events", len(events.events))
        metrics.observe("commit_seconds", seconds)
        now = utc_now()
        for sent_at in (events.sent_at, presence.sent_at):
            if sent_at is not None:
                # a sender's clock that is ahead tells of no lag
                metrics.observe("lag_seconds", max(0.0, (now - sent_at).total_seconds()))

    def close(self) -> None:
        """End the writer's thread, after the transaction that it is in."""
        self._thread.shutdown(wait=True)


def settle(batch: Batch, unanswered: frozenset[str]) -> None:
    """Say what may be said after the commit: PUBACKs in the order of receipt, and receipts."""
    for connection, packet_ids in batch.acknowledgements.items():
        connection.acknowledge(packet_ids)
    for connection, topic, correlation in batch.receipts:
        if unanswered and (host := topics.parse_host_topic(topic)) is not None and host.host in unanswered:
            continue
        connection.write(mqtt5.PublishPacket(topic, b"", correlation_data=correlation).write())
    # a batch may hold messages of a connection that has broken since: the last one is the living one
    for connection in list(batch.acknowledgements)[-1:]:
        for topic in batch.retained:
            connection.write(mqtt5.PublishPacket(topic, b"", retain=True).write())


def tell_of(letters: Sequence[DeadLetter], work: Work) -> None:
    """Publish notices of dead letters, among them what the store itself refused."""
    for connection in [*work.presence.acknowledgements, *work.events.acknowledgements][-1:]:
        for letter in letters[:NOTICES_PER_BATCH]:
            connection.publish(topics.DEAD, encode(DeadNotice(letter.topic, letter.reason, letter.size)))
