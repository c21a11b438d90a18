"""The dead man's switch: while all is well an address is called, again and again. Who is called raises the alarm when
there is silence: nobody here can tell that all of us are dead.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from core.text import printable
from watch.calls import call
from watch.rulebook import Rulebook

log = logging.getLogger("watch.dead_man")

LOOK_SECONDS = 1.0
NO_RULE_SECONDS = 5.0


class DeadMan:
    """`find_fault` tells what is not well, an empty text when all is."""

    def __init__(self, rulebook: Rulebook, find_fault: Callable[[], str]) -> None:
        self._rulebook, self._find_fault = rulebook, find_fault
        self._held = True

    async def run(self) -> None:
        """Call while all is well, until cancelled."""
        loop = asyncio.get_running_loop()
        next_at = loop.time()
        while True:
            rule = self._rulebook.rules.dead_man
            await asyncio.sleep(LOOK_SECONDS if rule is not None else NO_RULE_SECONDS)
            if rule is None or loop.time() < next_at:
                continue
            fault = self._find_fault()
            if not fault:
                fault = await asyncio.to_thread(call, rule.url, allow_private=rule.allow_private)
                next_at = loop.time() + rule.every_seconds
            # the fault may tell how old it is, and be another one each time
            if fault and self._held:
                log.warning("the dead man's switch is not held: %s", printable(fault))
            elif not fault and not self._held:
                log.info("the dead man's switch is held")
            self._held = not fault
