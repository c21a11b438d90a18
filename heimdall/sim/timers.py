"""Timers: one heap for a whole fleet, for a timer of the event loop costs more than the rest of a session."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable

Action = Callable[[float], None]


class Timers:
    """Actions by the time at which each is due, in seconds of one monotonic clock."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Action]] = []
        self._count = 0

    def call_at(self, at: float, action: Action) -> None:
        """Let `action` be called, with the time, when it is `at`; those of one time in the order of the calls here."""
        self._count += 1
        heapq.heappush(self._heap, (at, self._count, action))

    def run_due(self, now: float) -> float:
        """Call whatever is due at `now`; how many seconds too late the first of it was."""
        lag = max(0.0, now - self.next_at)
        while self._heap and self._heap[0][0] <= now:
            heapq.heappop(self._heap)[2](now)
        return lag

    @property
    def next_at(self) -> float:
        """When the next action is due; `inf` when there is none."""
        return self._heap[0][0] if self._heap else math.inf
