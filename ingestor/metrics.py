"""Counting what the ingestor does, as `core.metrics` names it: plain numbers, for a counter stands in the hot path."""

from __future__ import annotations

from bisect import bisect_left

from core.messages import Distribution
from core.metrics import HISTOGRAM, METRICS

_BOUNDS = {metric.name: metric.bounds for metric in METRICS if metric.kind == HISTOGRAM}


class Metrics:
    """What was counted since the process started."""

    def __init__(self) -> None:
        self.values: dict[str, float] = {metric.name: 0 for metric in METRICS if metric.kind != HISTOGRAM}
        self._distributions = {name: Distribution([0] * (len(bounds) + 1), 0.0) for name, bounds in _BOUNDS.items()}

    def add(self, name: str, count: float = 1) -> None:
        """Count `count` more of the counter `name`."""
        self.values[name] += count

    def set(self, name: str, value: float) -> None:
        """Let the gauge `name` be `value`."""
        self.values[name] = value

    def observe(self, name: str, value: float) -> None:
        """Take `value` into the histogram `name`."""
        distribution = self._distributions[name]
        distribution.counts[bisect_left(_BOUNDS[name], value)] += 1
        distribution.sum += value

    def snapshot(self) -> dict[str, float | Distribution]:
        """All of it, for a sign of life."""
        return {**self.values, **self._distributions}
