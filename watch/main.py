"""The watch's process: hears, judges, claims, speaks.

1. What is heard goes into the fleet in memory.
2. Whoever is due is judged. What is said for want of a signal waits for a round trip through the broker, and where
   events would have been a signal for the store, so far as the ingestors have come.
3. Transitions are claimed in the store, each by one of however many watches there are.
4. What is committed is retained on the broker.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import time
import uuid
from collections.abc import Coroutine, Sequence
from contextlib import suppress

import mqtt5

from core import topics
from core.clock import utc_now
from core.errors import HeimdallError, Invalid
from core.home import Credential, Home, find_login
from core.messages import SIGN_OF_LIFE_SECONDS, Alert, Reason, ServiceStatus, State, encode
from core.settings import Settings
from mqtt.connection import retained_will
from mqtt.session import Session
from store import HeldVerdict, Signal, Store, open_store
from store.slots import Slot
from watch.clone_alerts import CloneAlerts
from watch.dead_man import DeadMan
from watch.detector import Detector
from watch.fleet import Fleet, moment
from watch.forgotten import ForgottenHosts
from watch.hearing import HEARD, UPTIME, Hearing, monotonic_wall_clock
from watch.notifier import Notifier
from watch.rounds import Rounds
from watch.rulebook import Rulebook
from watch.speech import clear_verdicts, missing_verdicts, publish_alerts, publish_verdicts

log = logging.getLogger("watch")

SHORTEST_SLEEP_SECONDS, LONGEST_SLEEP_SECONDS = 0.02, 1.0
ASK_AGAIN_SECONDS = 0.25  # between round trips that are asked for
LOOK_AROUND_SECONDS = 5.0
RETRY_SECONDS = 1.0
JUMP_SECONDS = 2.0


class ClockJumped(Exception):
    """The server's clock was set, or it slept: what was heard before cannot be compared with what is heard now."""


class Watch:
    """One watch, from its start to its goodbye, or until the clock jumps. `sys`: the broker has topics of its own."""

    def __init__(self, settings: Settings, credential: Credential, store: Store, slot: Slot, *, sys: bool) -> None:
        self._store, self._slot = store, slot
        self._clock = monotonic_wall_clock()
        self._session_id = str(uuid.uuid4())
        self._topic = topics.service_topic("watch", str(slot.number))
        self._wake = asyncio.Event()
        self._fleet = Fleet(self._clock())
        self._hearing = Hearing(self._fleet, self._topic, self._clock, self._wake.set)
        self._session = Session(
            settings.broker, credential, f"{credential.user}-{slot.number}", _filters(sys), self._hearing.deliver,
            retained_will(self._topic, self._status("offline", "lost")), slot.keep,
            persistent=False, connected=self._hearing.reconnected,
        )  # fmt: skip
        self._clones = CloneAlerts(store, self._hearing.clones)
        home = Home(settings.home)
        self._rulebook = Rulebook(home.rules)
        self._rounds = Rounds(store, settings.database_url, slot, self._fleet.states, self._rulebook, self._tell)
        self._notifier = Notifier(store, self._rulebook, slot)
        self._detector = Detector(store, self._rulebook, home.sigma, slot, self._hearing.signs.stored, self._tell)
        self._dead_man = DeadMan(self._rulebook, self._find_fault)
        self._trouble = ""
        self._signed_at = self._looked_around_at = 0.0
        self._newest_host = self._newest_order = 0
        self._forgotten = ForgottenHosts(store, self._fleet, self._hearing)
        self._unproven = False

    def _status(self, state: State, reason: Reason, at: float | None = None) -> bytes:
        parts = {}
        if at is not None:
            told = {"hearing": self._session.trouble, "claims": self._trouble, "rules": self._rulebook.trouble}
            parts = {name: trouble or "ok" for name, trouble in told.items()}
        when = utc_now() if at is None else moment(at)
        return encode(ServiceStatus(state, self._session_id, when, reason, None, parts))

    async def run(self) -> None:
        """Watch until SIGTERM or SIGINT. Raises `ClockJumped`, `Conflict` when another has the slot, and ours."""
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop.set))
        await self._remember()
        work: dict[str, Coroutine[None, None, None]] = {
            "session": self._session.run(),
            "judge": self._judge(),
            "signs of life": self._give_signs(),
            "slot": self._slot.hold(),
            "rounds": self._rounds.run(),
            "notifier": self._notifier.run(),
            "detector": self._detector.run(),
            "dead man": self._dead_man.run(),
        }
        tasks = [asyncio.create_task(coroutine, name=name) for name, coroutine in work.items()]
        waiting = asyncio.create_task(stop.wait(), name="stop")
        done, _ = await asyncio.wait([waiting, *tasks], return_when=asyncio.FIRST_COMPLETED)
        self._session.publish(self._topic, self._status("offline", "stop"), retain=True)
        for task in (waiting, *tasks):
            task.cancel()
        await asyncio.gather(waiting, *tasks, return_exceptions=True)
        await self._session.close()
        self._slot.release()
        for task in done - {waiting}:
            task.result()  # a task that ended by itself has failed: its error ends the process

    async def _remember(self) -> None:
        """What the store knows of every host, and holds it to be."""
        at = self._clock()
        await asyncio.to_thread(self._forgotten.begin)
        await self._find_enrolled()
        self._fleet.learn(await asyncio.to_thread(self._read_signals), at)
        self._fleet.hold(await asyncio.to_thread(self._store.read_verdicts))
        self._clones.remember(await asyncio.to_thread(self._store.read_open_alerts))
        _, self._newest_host = await asyncio.to_thread(self._store.read_new_hosts, 0)
        # what lives as long as the watch is not looked at again and again
        gc.collect()
        gc.freeze()
        log.info("watching %d hosts", len(self._fleet))

    async def _judge(self) -> None:
        jumps = time.time() - self._clock()
        while True:
            now = self._clock()
            longest = ASK_AGAIN_SECONDS if self._unproven else LONGEST_SLEEP_SECONDS
            pause = min(max(self._fleet.next_at() - now, SHORTEST_SLEEP_SECONDS), longest)
            # not wait_for, which before Python 3.12 loses a cancellation that comes with what is waited for
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._wake.wait()
            if self._wake.is_set():
                # on a busy line one look serves many messages
                await asyncio.sleep(SHORTEST_SLEEP_SECONDS)
            self._wake.clear()
            now = self._clock()
            if abs(time.time() - now - jumps) > JUMP_SECONDS:
                raise ClockJumped
            if self._hearing.deaf(now):
                continue
            try:
                await self._look(now)
            except HeimdallError as error:
                if str(error) != self._trouble:
                    log.error("verdicts cannot be kept now: %s", error)
                self._trouble = str(error)
                await asyncio.sleep(RETRY_SECONDS)

    async def _look(self, now: float) -> None:
        await self._repeat_retained()
        if self._session.connection is not None:
            await self._clones.tell(self._session.connection, now)
        if now - self._looked_around_at >= LOOK_AROUND_SECONDS or self._hearing.cleared:
            self._looked_around_at = now
            await self._look_around()
        while self._fleet.unseen:
            await asyncio.to_thread(self._store.add_outage, self._fleet.unseen[0])
            self._fleet.unseen.popleft()
        found = self._fleet.look(now, self._hearing.proven_at)
        self._unproven = found.unproven
        if found.unproven and now - self._signed_at >= ASK_AGAIN_SECONDS:
            self._sign()
        if found.unchecked:
            await self._ask_store(found.unchecked)
        if found.transitions:
            await self._claim(found.transitions)
        self._trouble = ""

    async def _ask_store(self, names: list[str]) -> None:
        """What the store has heard of these hosts, dated by how far behind the ingestors are."""
        behind = self._hearing.signs.behind_seconds(time.monotonic())
        if behind is None:
            return
        at = self._clock() - behind
        self._fleet.learn(await asyncio.to_thread(self._read_signals, names), at, names)

    def _read_signals(self, names: list[str] | None = None) -> list[Signal]:
        return list(self._store.read_signals(names))

    async def _look_around(self) -> None:
        """Hosts that are forgotten or new, and those that are back by events alone."""
        if await self._forgotten.drop(self._session.connection):
            self._notifier.note()
        new, self._newest_host = await asyncio.to_thread(self._store.read_new_hosts, self._newest_host)
        await self._find_enrolled()
        await self._ask_store([*new, *self._fleet.wait_for_events()])

    async def _find_enrolled(self) -> None:
        enrolled, self._newest_order = await asyncio.to_thread(self._store.read_enrolled, self._newest_order)
        self._fleet.add(enrolled)

    async def _claim(self, transitions: list[HeldVerdict]) -> None:
        claims = self._store.claim(transitions, utc_now(), self._forgotten.order)
        # whatever keeps one from being claimed, it is due again
        self._fleet.look_again([one.source_host for one in transitions])
        while (done := await asyncio.to_thread(next, claims, None)) is not None:
            self._fleet.hold([*done.won, *done.lost])
            if done.forgotten:
                self._looked_around_at = 0.0
            connection = self._session.connection
            if connection is not None:
                # the verdict last: who has heard it has heard all that came of it
                publish_alerts(connection, done.opened, [alert.id for alert in done.resolved])
                publish_verdicts(connection, done.won)
            if done.opened or done.resolved:
                self._notifier.note()
            self._rounds.note([one.source_host for one in done.won])
            for one in done.won:
                log.info("%s is %s since %s (%s)", one.source_host, one.state, one.since, one.reason or "heard")

    def _find_fault(self) -> str:
        """What is wrong with us, broker, ingestors or API; an empty text when all is well."""
        now = time.monotonic()
        faults = [self._session.trouble, self._trouble, "deaf" if self._hearing.deaf(self._clock()) else ""]
        judged = [self._hearing.signs.judge(service, now) for service in ("ingestor", "api")]
        return "; ".join(fault for fault in (*faults, *judged) if fault not in ("", "ok"))

    def _tell(self, opened: Sequence[Alert], resolved: Sequence[Alert]) -> None:
        """Of alerts that do not come of verdicts."""
        if self._session.connection is not None:
            publish_alerts(self._session.connection, opened, [alert.id for alert in resolved])
        self._notifier.note()

    async def _repeat_retained(self) -> None:
        """After a connection's first round trip: what the broker does not retain as it should."""
        connection, verdicts, alerts = self._session.connection, self._hearing.verdicts, self._hearing.alerts
        if connection is None or verdicts is None or alerts is None:
            return
        held = await asyncio.to_thread(self._store.read_verdicts)
        open_alerts = await asyncio.to_thread(self._store.read_open_alerts)
        ids = {alert.id for alert in open_alerts}
        publish_verdicts(connection, missing_verdicts(held, verdicts))
        clear_verdicts(connection, verdicts.keys() - {one.source_host for one in held})
        publish_alerts(connection, [one for one in open_alerts if one.id not in alerts], sorted(alerts - ids))
        self._hearing.verdicts = self._hearing.alerts = None

    def _sign(self) -> None:
        """A sign of life; as it comes back, it is a round trip too."""
        if self._session.trouble:
            return
        # as its reader will read it: six digits
        self._signed_at = round(self._clock(), 6)
        payload = self._status("online", "start", self._signed_at)
        self._hearing.sent_sign(moment(self._signed_at).timestamp())
        self._session.publish(self._topic, payload, retain=True)

    async def _give_signs(self) -> None:
        while True:
            self._sign()
            await asyncio.sleep(0.05 if self._session.trouble else SIGN_OF_LIFE_SECONDS)


def _filters(sys: bool) -> list[mqtt5.TopicFilter]:
    """At QoS 0, so that all comes in one order; what is retained comes once, and is marked so."""
    heard = [UPTIME, *HEARD] if sys else HEARD
    return [mqtt5.TopicFilter(one, max_qos=mqtt5.QoS.AT_MOST_ONCE, retain_as_published=False) for one in heard]


def run(settings: Settings, *, sys: bool = True) -> int:
    """Watch until told to stop; returns the exit code. Raises `Invalid` and `Unavailable` for what keeps it from it.

    `sys` is whether the broker has the topics `$SYS`, which tell when it was started.
    """
    if settings.broker.websockets:
        raise Invalid(f"HEIMDALL_BROKER_URL={settings.broker}: the watch speaks mqtt:// or mqtts://")
    # a fleet is a million objects and few cycles: to walk them all again and again costs more than all the rest
    gc.set_threshold(100_000, 20, 20)
    credential = find_login(settings, "watch")
    store = open_store(settings.database_url, keep_days=settings.keep_days)
    try:
        slot = Slot(store, "watch")
        while True:
            try:
                asyncio.run(_watch(settings, credential, store, slot, sys))
            except ClockJumped:
                log.warning("the clock has jumped: beginning anew with what the store knows")
                continue
            return 0
    finally:
        store.close()


async def _watch(settings: Settings, credential: Credential, store: Store, slot: Slot, sys: bool) -> None:
    # the events inside belong to the running loop
    await Watch(settings, credential, store, slot, sys=sys).run()
