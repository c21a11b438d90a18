"""Rounds: what is found out about hosts from time to time, beside the judging. Of several watches the first does it.

Each minute some hosts are marked: those that have just changed, then a hundred others in turn, or so many that each
comes within four hours. Old hours of heartbeats are added to their days. Each hour, in a large fleet twice a day, old
alerts go, and the fleet is surveyed for patterns.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from collections.abc import Callable, Mapping, Sequence

from core.clock import utc_now
from core.errors import HeimdallError
from core.messages import VerdictState
from core.process import end_with_parent
from store import Store
from store.slots import Slot
from watch.marks import mark_host
from watch.rulebook import Rulebook
from watch.score_alerts import judge_scores
from watch.speech import Tell

log = logging.getLogger("watch.rounds")

ROUND_SECONDS = 60.0
HOSTS_A_ROUND = 100
CHANGED_A_ROUND = 500
ROUNDS_FOR_ALL = 240
HOUR_SECONDS = 3_600.0
LARGE_FLEET = 5_000
SURVEY_LARGE_SECONDS = 12 * HOUR_SECONDS

States = Callable[[], Mapping[str, VerdictState]]


class Rounds:
    """`states` tells what every host is held to be; `tell` hears of the alerts that were opened and resolved."""

    def __init__(
        self, store: Store, database_url: str, slot: Slot, states: States, rulebook: Rulebook, tell: Tell
    ) -> None:
        self._store, self._url, self._slot, self._states = store, database_url, slot, states
        self._rulebook, self._tell = rulebook, tell
        self._changed: dict[str, None] = {}  # in the order in which they changed
        self._next = 0
        self._seconds = HOUR_SECONDS / 2  # since the last survey

    def note(self, hosts: Sequence[str]) -> None:
        """These hosts have just become something else."""
        self._changed.update(dict.fromkeys(hosts))

    async def run(self) -> None:
        """Make rounds until cancelled. What goes wrong is told of, and tried again in the next one."""
        while True:
            await asyncio.sleep(ROUND_SECONDS)
            try:
                await self._make()
            except HeimdallError as error:
                log.warning("this round was not finished: %s", error)

    async def _make(self) -> None:
        if not await self._slot.is_first():
            return
        states = self._states()
        await self._mark(states)
        self._seconds += ROUND_SECONDS
        if self._seconds >= (SURVEY_LARGE_SECONDS if len(states) > LARGE_FLEET else HOUR_SECONDS):
            self._seconds = 0.0
            await asyncio.to_thread(self._store.forget_alerts, utc_now())
            await asyncio.to_thread(self._store.forget_minutes, utc_now())
            await self._survey()
        await asyncio.to_thread(self._store.roll_up_beats, utc_now())

    async def _mark(self, states: Mapping[str, VerdictState]) -> None:
        names = list(states)
        changed = list(self._changed)[:CHANGED_A_ROUND]
        count = max(HOSTS_A_ROUND, len(names) // ROUNDS_FOR_ALL)
        turn = [names[(self._next + ahead) % len(names)] for ahead in range(min(count, len(names)))]
        self._next = (self._next + len(turn)) % max(len(names), 1)
        now = utc_now()
        # one at a time: whoever judges must have the processor in between
        marks = [
            await asyncio.to_thread(mark_host, self._store, host, states[host], now)
            for host in dict.fromkeys([*changed, *turn])
            if host in states
        ]
        marks = await asyncio.to_thread(self._store.keep_scores, marks, now)
        below = self._rulebook.rules.score.below
        if below:
            self._tell(*await asyncio.to_thread(judge_scores, self._store, marks, below, now))
        for host in changed:
            del self._changed[host]

    async def _survey(self) -> None:
        """In a process of its own, which gives way to everybody else."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "watch.survey", stdin=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            preexec_fn=end_with_parent(signal.SIGTERM),
        )  # fmt: skip
        try:
            _, said = await process.communicate(self._url.encode() + b"\n")
        except asyncio.CancelledError:
            process.kill()
            raise
        if process.returncode != 0:
            log.warning("the survey of the fleet has failed: %s", said.decode(errors="replace").strip()[-300:])
