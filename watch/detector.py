"""The detector: reads the events that are stored, in batches, and opens alerts of what rules find in them.

Nobody waits for it: it reads behind the ingestors, and after a flood it catches up. Of several watches the first does
it. How far it has read, what the rules remember and the alerts are kept in one transaction, so that whoever is killed,
what was found is found once.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from core.clock import utc_now
from core.errors import HeimdallError
from core.messages import Alert
from core.text import printable
from store import Store
from store.detections import Step
from store.slots import Slot
from watch.detection import Detection
from watch.rulebook import Rulebook
from watch.speech import Tell

if TYPE_CHECKING:
    from watch.sigma.match import Ruleset

log = logging.getLogger("watch.detector")

POLL_SECONDS = 1.0
SETTLE_SECONDS = 5.0  # within which what was stored can be read, though another transaction lasts
BUSY_SECONDS = 0.02  # between two batches: those who judge silence have the processor then
LOOK_AROUND_SECONDS = 10.0  # for what is over, for new rules, and whether it is still the first
BATCH_EVENTS = 2_000
BEHIND_OTHERS = 10  # as `nice` counts

Result = TypeVar("Result")
Kept = tuple[Sequence[Alert], Sequence[Alert]] | None


class Detector:
    """Rules of Sigma are in `folder`; `tell` hears of the alerts that were opened and resolved.

    `stored` has another answer when there are new events: as long as it has not, they are looked for now and then only.
    """

    def __init__(
        self, store: Store, rulebook: Rulebook, folder: Path, slot: Slot, stored: Callable[[], object], tell: Tell
    ) -> None:
        self._store, self._rulebook, self._folder, self._slot, self._tell = store, rulebook, folder, slot, tell
        self._stored = stored
        self._known: object = None
        self._known_at = 0.0
        self._ruleset: Ruleset | None = None
        self._detection: Detection | None = None
        self._edition = 0
        self._cursor = self._read = 0
        self._looked_around_at = 0.0
        self._thread = ThreadPoolExecutor(1, "detector", _give_way)

    async def run(self) -> None:
        """Detect until cancelled. What goes wrong is told of, and tried again."""
        while True:
            pause = POLL_SECONDS
            try:
                pause = await self._turn()
            except HeimdallError as error:
                log.warning("events cannot be looked at now: %s", error)
                self._detection = None  # what it knows may be ahead of what is kept
            await asyncio.sleep(pause)

    async def _turn(self) -> float:
        """One look; how long until the next, in seconds."""
        now = time.monotonic()
        if (stored := self._stored()) != self._known:
            self._known, self._known_at = stored, now
        looks_around = self._detection is None or now - self._looked_around_at >= LOOK_AROUND_SECONDS
        if looks_around:
            self._looked_around_at = now
            if not await self._slot.is_first():
                self._detection = None
                return POLL_SECONDS
        elif not self._read and now - self._known_at > SETTLE_SECONDS and self._edition == self._rulebook.edition:
            return POLL_SECONDS
        if self._detection is None or self._edition != self._rulebook.refresh():
            self._detection = await self._apart(self._begin)
        elif looks_around:
            if not await self._apart(self._store.detections.is_at, self._cursor):
                self._detection = None
                return BUSY_SECONDS
            self._detection.sigma = await self._apart(self._read_sigma)
        self._read, kept = await self._apart(self._step, self._detection, looks_around)
        if kept is None:
            log.info("another has read the events meanwhile")
            self._detection = None
        elif any(kept):
            self._tell(*kept)
        return BUSY_SECONDS if self._read == BATCH_EVENTS else POLL_SECONDS

    async def _apart(self, work: Callable[..., Result], *arguments: object) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)

    def _read_sigma(self) -> Ruleset | None:
        if self._ruleset is None and not self._folder.is_dir():
            return None
        from watch.sigma.match import Ruleset  # noqa: PLC0415 -- it is large, and most have no rule of Sigma

        self._ruleset = Ruleset.read(self._folder, self._ruleset)
        return self._ruleset if len(self._ruleset) else None

    def _begin(self) -> Detection:
        self._edition = self._rulebook.edition
        detection = Detection(self._rulebook.rules.rule)
        self._cursor = self._store.detections.begin()
        detection.remember(self._store.detections.read_windows())
        detection.sigma = self._read_sigma()
        return detection

    def _step(self, detection: Detection, looks_around: bool) -> tuple[int, Kept]:
        """Look at a batch; how many events it had, and the alerts that came of it."""
        events = self._store.detections.read_new(self._cursor, BATCH_EVENTS)
        found, now = detection.take(events), utc_now()
        if looks_around:
            detection.forget(int(now.timestamp() * 1000))
        if not events and not detection.changed:
            return 0, ([], [])
        windows = {subject: detection.pack(subject) for subject in detection.changed}
        step = Step(events[-1].id if events else self._cursor, found, [*detection.over], windows)
        kept = self._store.detections.advance(self._cursor, step, now)
        self._cursor = step.log_id
        detection.changed.clear()
        detection.over.clear()
        for one in (kept or ((), ()))[0]:
            log.info("%s", printable(one.text))
        return len(events), kept


def _give_way() -> None:
    """Let this thread have the processor when those who store events and judge silence do not want it."""
    if sys.platform == "linux":  # where a thread has a priority of its own
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), BEHIND_OTHERS)
