"""The notifier: decides what each channel is told, and sees to its delivery. Of several watches the first does.

Everything that it knows is in the database: killed at any moment, it goes on where it was, and says at most once more
what it was saying.
"""

from __future__ import annotations

import asyncio
import logging
import random
from contextlib import suppress
from datetime import timedelta

from core.clock import utc_now
from core.errors import HeimdallError
from core.ids import uuid7
from core.text import printable
from store import Store
from store.notices import Decision
from store.slots import Slot
from watch.held import decide_channel
from watch.hold_sources import read_holds
from watch.mouth import Mouth
from watch.rulebook import Rulebook
from watch.rules import Channel

log = logging.getLogger("watch.notifier")

POLL_SECONDS = 5.0  # for alerts that another watch has opened, and for a change of the rules
FIRST_RETRY_SECONDS, LONGEST_RETRY_SECONDS = 5.0, 300.0
GIVE_UP = timedelta(days=1)


class Notifier:
    """Tells people by what the rulebook says."""

    def __init__(self, store: Store, rulebook: Rulebook, slot: Slot) -> None:
        self._store, self._rulebook, self._slot = store, rulebook, slot
        self._outbox = store.outbox
        self._edition = rulebook.edition
        self._wake = asyncio.Event()
        self._leads = False
        self._senders: dict[str, asyncio.Task[None]] = {}
        # a new channel is told of what happens from now on, not from the next look
        rulebook.changed = self.note

    def note(self) -> None:
        """An alert has been opened or resolved, or the rules have changed."""
        self._wake.set()

    async def run(self) -> None:
        """Tell people until cancelled. What goes wrong is told of in the log, and tried again."""
        try:
            while True:
                pause = POLL_SECONDS
                try:
                    pause = await self._turn()
                except HeimdallError as error:
                    log.warning("notifications have to wait: %s", error)
                # not wait_for, which before Python 3.12 loses a cancellation that comes with what is waited for
                with suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await self._wake.wait()
                self._wake.clear()
        finally:
            await self._stop_senders()

    async def _turn(self) -> float:
        """One look; how long until the next, in seconds."""
        if self._edition != self._rulebook.refresh():
            self._edition = self._rulebook.edition
            self._leads = False
            await self._stop_senders()
        channels = self._rulebook.rules.notify
        if not channels and not self._leads:
            return POLL_SECONDS
        if not await self._slot.is_first():
            self._leads = False
            await self._stop_senders()
            return POLL_SECONDS
        if not self._leads:
            await asyncio.to_thread(self._outbox.keep_channels, channels)
            await asyncio.to_thread(self._outbox.release, utc_now())
            self._leads = True
        pause = POLL_SECONDS
        for name, channel in channels.items():
            pause = min(pause, await asyncio.to_thread(self._decide, name, channel))
            await self._send(name, channel)
        return max(pause, 0.05)

    def _decide(self, name: str, channel: Channel) -> float:
        now, pause = utc_now(), POLL_SECONDS
        incidents = self._outbox.read_tellings(name)
        new = [one.alert.opened_at for tellings in incidents.values() for one in tellings if not one.heard]
        holds = read_holds(self._store, self._rulebook.rules, min(new)) if new else []
        for incident, found in decide_channel(incidents, holds, channel, now):
            if isinstance(found, Decision):
                # what is told of several incidents belongs together from now on
                together = incident or ("" if found.words is None else str(uuid7()))
                self._outbox.decide(name, together, found, now)
                pause = 0.0
            elif found.at is not None:
                pause = min(pause, (found.at - now).total_seconds())
        return pause

    async def _send(self, name: str, channel: Channel) -> None:
        """Begin to deliver what the channel has to say, unless that is going on."""
        sender = self._senders.get(name)
        if (sender is not None and not sender.done()) or channel.is_quiet(utc_now()):
            return
        due = await asyncio.to_thread(self._outbox.next_due, name)
        if due is not None and due <= utc_now():
            self._senders[name] = asyncio.create_task(self._deliver(name, channel), name=f"channel {name}")

    async def _deliver(self, name: str, channel: Channel) -> None:
        mouth = Mouth(channel)
        try:
            # what is still to be said when quiet hours begin waits for their end
            while not channel.is_quiet(utc_now()):
                notice = await asyncio.to_thread(self._outbox.take, name, utc_now())
                if notice is None:
                    return
                error = await mouth.say(notice)
                now = utc_now()
                if not error:
                    await asyncio.to_thread(self._outbox.end, notice, now)
                    log.info("told %s: %s", name, notice.words.title)
                elif now - notice.made_at > GIVE_UP:
                    await asyncio.to_thread(self._outbox.end, notice, now, error)
                    log.error("given up to tell %s: %s (%s)", name, notice.words.title, printable(error))
                else:
                    due_at = now + _back_off(notice.attempts)
                    await asyncio.to_thread(self._outbox.postpone, notice, due_at, error)
                    log.warning("%s could not be told, trying again: %s", name, printable(error))
        except HeimdallError as failure:
            log.warning("notices of %s have to wait: %s", name, failure)
        finally:
            await mouth.close()

    async def _stop_senders(self) -> None:
        senders, self._senders = self._senders, {}
        for sender in senders.values():
            sender.cancel()
        await asyncio.gather(*senders.values(), return_exceptions=True)


def _back_off(attempts: int) -> timedelta:
    window = min(FIRST_RETRY_SECONDS * float(1 << min(attempts - 1, 16)), LONGEST_RETRY_SECONDS)
    return timedelta(seconds=random.uniform(window / 2, window))
