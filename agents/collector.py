"""What a kind of host brings to the shared agent: a collector, which reads its source from a position on."""

from __future__ import annotations

from typing import List, NamedTuple, Optional, Protocol

from core.messages import Event, OsType


class Reading(NamedTuple):
    """Events, and the position behind them. Another position without events: lines that told nothing."""

    events: List[Event]
    position: str


class Collector(Protocol):
    """The source of one kind of host. `name` is the source's in the spool."""

    name: str
    os_type: OsType

    def read(self, position: Optional[str]) -> Reading:
        """The next events behind `position`, 1,000 or so at most; returns at once when there are none.

        `None` is the first start: begin at the end of the source, not at years of history.
        A source that cannot be read is no error: log it once, return no events, look again later.
        """

    def close(self) -> None:
        """End what was started for reading."""
