"""Figures: what was measured, beside what it was to reach; and how large a run is."""

from __future__ import annotations

import sys
from typing import NamedTuple


class Figure(NamedTuple):
    """One figure. `met` is `None` for one that is only shown."""

    name: str
    measured: str
    target: str
    met: bool | None
    detail: str = ""


class Options(NamedTuple):
    """What is measured: on which database, and whether only to see that the benchmark works."""

    database: str
    quick: bool = False
    rows: int = 10_000_000

    @property
    def turns(self) -> int:
        return 1 if self.quick else 3

    def scaled(self, count: int) -> int:
        """`count`, or a fiftieth of it when the run is quick."""
        return count // 50 if self.quick else count

    def say(self, text: str) -> None:
        """Progress, on standard error."""
        print(f"  {self.database}: {text}", file=sys.stderr, flush=True)


def ratio(one: float, other: float) -> str:
    return f"{one / other:.2f}"


def rate(a_second: float) -> str:
    return f"{a_second:,.0f}/s"
