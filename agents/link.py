"""What the agent asks of its link to the server, whichever way that goes, and the back-off that every way keeps."""

from __future__ import annotations

import random
from typing import Optional, Protocol

from agents.farewell import STOPPED, Farewell
from core.messages import Heartbeat
from core.spool import Spool

ALONE_SECONDS = 1.0


class Link(Protocol):
    """A way to the server, with a thread of its own between `start` and `stop`.

    It takes events from the spool by itself and deletes from it what is known to be stored.
    """

    connections: int  # how often a session was opened, so that the agent can beat at once on each
    beats_lost: int  # heartbeats that did not reach the server
    spool_damaged: bool  # the spool raised SpoolDamaged: it waits for `use_spool`

    def start(self) -> None:
        """Begin to connect, and to forward what the spool holds."""

    def send_beat(self, beat: Heartbeat) -> bool:
        """Send `beat` now or never; whether there was a connection to send it on."""

    def wake(self) -> None:
        """Look into the spool now: something has been added."""

    def use_spool(self, spool: Spool) -> None:
        """Forward from `spool` from now on: the one before was damaged."""

    def stop(self, farewell: Farewell = STOPPED) -> None:
        """Say `farewell`, where the way has words for it, and end the thread; returns after some seconds at most."""


class Backoff:
    """Delays anywhere in a window that doubles from `first_seconds` to `longest_seconds`.

    Whoever lost the server together comes back spread over the whole window: a share of a delay that is the same for
    all would be a stampede. With `soon_seconds` a first delay within these comes before all that.
    """

    def __init__(
        self, first_seconds: float = 1.0, longest_seconds: float = 60.0, soon_seconds: Optional[float] = None
    ) -> None:
        self._first, self._longest, self._soon = first_seconds, longest_seconds, soon_seconds
        self.failures = 0

    def next_seconds(self, at_least: float = 0.0, alone: bool = False) -> float:
        """How long to wait after one more failure, in seconds; `at_least` is what the server asked all for.

        Who was cut off `alone` comes back within a second the first time: there is nobody to come together with.
        """
        first = min(self._first, ALONE_SECONDS) if alone else self._first
        if self._soon is None or alone:
            window = first * float(1 << min(self.failures, 16))
        else:
            window = first * float(1 << min(self.failures - 1, 16)) if self.failures else min(first, self._soon)
        window = min(window, self._longest)
        self.failures += 1
        return at_least + random.uniform(0.0, window)

    def reset(self) -> None:
        """Something worked: the next failure begins at the shortest delay again."""
        self.failures = 0
