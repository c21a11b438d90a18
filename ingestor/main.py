"""The ingestor's process: two sessions, one writer, one slot; a sign of life every 2 s, a log line every minute."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import uuid
from collections.abc import Coroutine

import mqtt5

from core import topics
from core.clock import utc_now
from core.errors import Invalid, Unavailable
from core.home import Credential, find_login
from core.messages import SIGN_OF_LIFE_SECONDS, Reason, ServiceStatus, State, encode
from core.settings import Settings
from ingestor.metrics import Metrics
from ingestor.write import Writer
from mqtt.connection import retained_will
from mqtt.session import RECEIVE_MAXIMUM, Session
from store import Store, open_store
from store.slots import Slot

log = logging.getLogger("ingestor")

COUNTS_SECONDS = 60.0
DRAIN_SECONDS = 10.0


class Ingestor:
    """One ingestor. `shared` is whether the broker keeps what an absent member of a shared subscription missed."""

    def __init__(self, settings: Settings, credential: Credential, store: Store, slot: Slot, *, shared: bool) -> None:
        self._store, self._slot, self._shared = store, slot, shared
        self._session_id = str(uuid.uuid4())
        self._topic = topics.service_topic("ingestor", str(slot.number))
        client_id = f"{credential.user}-{slot.number}"
        # the embedded broker, which is not shared, knows no identities that a keeper could disable
        self._writer = Writer(store, client_id, keeper=shared)
        self._events = Session(
            settings.broker, credential, client_id, _filters([topics.EVENTS], shared), self._writer.deliver_events,
            before_return=slot.keep,
        )  # fmt: skip
        self._presence = Session(
            settings.broker, credential, f"{client_id}-presence", _filters([topics.HEARTBEAT, topics.INFO], shared),
            self._writer.deliver_presence, retained_will(self._topic, self._status("offline", "lost")), slot.keep,
        )  # fmt: skip

    def _status(self, state: State, reason: Reason) -> bytes:
        online = state == "online"
        metrics = self._measure().snapshot() if online else {}
        parts = self.parts() if online else {}
        return encode(ServiceStatus(state, self._session_id, utc_now(), reason, None, parts, metrics))

    def _measure(self) -> Metrics:
        metrics = self._writer.metrics
        values = metrics.values
        metrics.set("messages_unacknowledged", values["messages_received"] - values["messages_acknowledged"])
        metrics.set("behind_seconds", self._writer.behind_seconds())
        metrics.set("receive_maximum", RECEIVE_MAXIMUM)
        metrics.set("reconnects", sum(max(0, one.reconnects) for one in (self._events, self._presence)))
        return metrics

    def parts(self) -> dict[str, str]:
        """What this ingestor stands on, each `ok` or what is wrong."""
        return {
            "events": self._events.trouble or "ok",
            "presence": self._presence.trouble or "ok",
            "commit": self._writer.state(),
        }

    async def run(self) -> None:
        """Ingest until SIGTERM or SIGINT. Raises `Conflict` when another process has taken the slot."""
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            # not loop.add_signal_handler, which Windows does not have
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop.set))
        work: dict[str, Coroutine[None, None, None]] = {
            "writer": self._writer.run(),
            "events": self._events.run(),
            "presence": self._presence.run(),
            "signs of life": self._give_signs(),
            "counts": self._log_counts(),
            "slot": self._slot.hold(),
        }
        tasks = [asyncio.create_task(coroutine, name=name) for name, coroutine in work.items()]
        waiting = asyncio.create_task(stop.wait(), name="stop")
        done, _ = await asyncio.wait([waiting, *tasks], return_when=asyncio.FIRST_COMPLETED)
        await self._leave(tasks)
        waiting.cancel()
        for task in done:
            task.result()  # a task that ended by itself has failed: its error ends the process

    async def _leave(self, tasks: list[asyncio.Task[None]]) -> None:
        """Read no more, store what has come in, acknowledge it, say goodbye."""
        writer = tasks[0]
        leaves_others = await asyncio.to_thread(self._leaves_others)
        for session in (self._events, self._presence):
            if leaves_others:
                session.unsubscribe()
            if session.connection is not None:
                session.connection.pause(True)
        if not writer.done():
            await self._writer.drain(DRAIN_SECONDS)
        self._presence.publish(self._topic, self._status("offline", "stop"), retain=True)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._events.close()
        await self._presence.close()
        self._writer.close()

    def _leaves_others(self) -> bool:
        """Let the slot go, and tell whether other ingestors stay: what comes from now on is theirs alone.

        The last one leaves its subscriptions: the broker keeps for it what comes until it is back. The slot goes first,
        so that of several that leave at once none takes another for one that stays.
        """
        self._slot.release()
        try:
            return self._shared and self._store.first_slot("ingestor", utc_now()) is not None
        except Unavailable:
            return False

    async def _give_signs(self) -> None:
        while True:
            if not self._presence.trouble:
                self._presence.publish(self._topic, self._status("online", "start"), retain=True)
            # at the start the first sign shall not wait
            await asyncio.sleep(0.05 if self._presence.trouble else SIGN_OF_LIFE_SECONDS)

    async def _log_counts(self) -> None:
        names = ("heartbeats_received", "events_stored", "events_duplicate", "dead_letters")
        before = [0.0] * len(names)
        while True:
            await asyncio.sleep(COUNTS_SECONDS)
            after = [self._writer.metrics.values[name] for name in names]
            log.info(
                "last minute: %d hosts, %d heartbeats, %d events stored, %d duplicates, %d dead letters",
                len(self._writer.hosts), *(now - then for now, then in zip(after, before, strict=True)),
            )  # fmt: skip
            before = after
            self._writer.hosts.clear()


def _filters(kinds: list[str], shared: bool) -> list[mqtt5.TopicFilter]:
    """Retained copies are not wanted again at each subscribe; a live publish keeps its flag, so that it is seen."""
    return [
        mqtt5.TopicFilter(
            topics.shared(topics.every_host(kind)) if shared else topics.every_host(kind),
            max_qos=mqtt5.QoS.AT_LEAST_ONCE,
            retain_handling=mqtt5.RetainHandling.SEND_NEVER,
        )
        for kind in kinds
    ]


def run(settings: Settings, *, shared: bool = True) -> int:
    """Run one ingestor until it is told to stop. Returns the exit code.

    Raises `Invalid` and `Unavailable` for what keeps it from starting.
    """
    if settings.broker.websockets:
        raise Invalid(f"HEIMDALL_BROKER_URL={settings.broker}: the ingestor speaks mqtt:// or mqtts://")
    # what comes in makes no cycles, but 700 new objects, a few messages, would set the collector off again and again
    gc.freeze()
    gc.set_threshold(100_000, 20, 20)
    credential = find_login(settings, "ingestor")
    store = open_store(settings.database_url, keep_days=settings.keep_days, checkpointer=True)
    try:
        slot = Slot(store, "ingestor")
        with asyncio.Runner(loop_factory=_make_loop) as runner:
            runner.run(_ingest(settings, credential, store, slot, shared))
    finally:
        store.close()
    return 0


def _make_loop() -> asyncio.AbstractEventLoop:
    """uvloop's where it runs (not on Windows): a broker sends message by message, so waking up is what costs."""
    try:
        import uvloop  # noqa: PLC0415
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


async def _ingest(settings: Settings, credential: Credential, store: Store, slot: Slot, shared: bool) -> None:
    # the futures inside belong to the running loop
    await Ingestor(settings, credential, store, slot, shared=shared).run()
