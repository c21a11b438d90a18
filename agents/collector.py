"""What a kind of host brings to the shared agent: a collector, which reads its source from a position on."""

from __future__ import annotations

from datetime import datetime
from typing import List, NamedTuple, Optional, Protocol

from core.messages import Event, OsType


class Reading(NamedTuple):
    """Events, and the position behind them. Another position without events: lines that told nothing."""

    events: List[Event]
    position: str


class Source(NamedTuple):
    """Something that a collector reads. `newest` is when its last entry was made, as far as that can be told.

    `trouble` says why it cannot be read, and `advice` what to do then; `taken` that some program has it for itself.
    """

    name: str
    newest: Optional[datetime] = None
    trouble: str = ""
    advice: str = ""
    taken: bool = False


class Collector(Protocol):
    """The source of one kind of host. `name` is the source's in the spool."""

    name: str
    os_type: OsType

    def read(self, position: Optional[str]) -> Reading:
        """The next events behind `position`, 1,000 or so at most; returns at once when there are none.

        `None` is the first start: begin at the end of the source, not at years of history.
        A source that cannot be read is no error: log it once, return no events, look again later.
        """

    def sources(self) -> List[Source]:
        """What there is to read, looked at now; of several that say the same, the one that `read` would take.

        It disturbs nobody, also not a running agent, and changes no position. It may take some seconds.
        """

    def close(self) -> None:
        """End what was started for reading."""
