"""How far a source is read that tells some things only by several of its lines: the records of one event, a flood.

What waits for more lines is told later than it is read. So a position names the place of the last line at which nothing
waited, and how many lines behind it are told. After a kill those are read once more, without being told, and so bring
back what waited.
"""

from __future__ import annotations

import json
import math
from datetime import datetime
from typing import Generic, List, NamedTuple, Optional, Protocol, Sequence, Tuple, TypeVar

from agents.journal import Cursor
from agents.tail import Place
from core.errors import Invalid
from core.messages import Event

MOST_READ_AGAIN = 50_000  # lines; what still waits then is told as it is

L_contra = TypeVar("L_contra", contravariant=True)
L = TypeVar("L")
P = TypeVar("P", Place, Cursor)


class Teller(Protocol[L_contra]):
    """What lines tell, one after another. The same lines tell the same, whenever they are read."""

    def tell(self, line: L_contra, now: datetime) -> List[Event]:
        """What `line` tells, and what waited for it. A line's own time counts, `now` only if that is later."""

    def due(self, seconds: float) -> Optional[List[Event]]:
        """What is not waited for any longer at `seconds` since 1970; `None` when there is nothing of the kind."""

    @property
    def waits(self) -> bool:
        """Whether what is read is not all told."""


class Progress(Generic[L, P]):
    """Where `teller` is in its source. `told` lines behind `place` were told before, and `dues` are when, in lines
    and seconds, the teller was asked in between what is due."""

    def __init__(self, teller: Teller[L], place: P, told: int = 0, dues: Sequence[Tuple[int, float]] = ()) -> None:
        self._teller = teller
        self._place: P = place
        self._told, self._dues = told, list(dues)
        self._read = 0  # lines behind `place`

    @property
    def again(self) -> bool:
        """Whether lines are read that are told already."""
        return self._read < self._told

    def take(self, line: L, behind: P, now: datetime) -> List[Event]:
        """What `line` tells, behind which is `behind`."""
        events = self._teller.tell(line, now)
        again = self.again
        self._read += 1
        if self._read >= MOST_READ_AGAIN:
            events += self._teller.due(math.inf) or []
        for _, seconds in [due for due in self._dues if again and due[0] == self._read]:
            self._teller.due(seconds)
        self.move(behind)
        return [] if again else events

    def due(self, behind: P, seconds: float) -> List[Event]:
        """What is due, when all lines are read that are there, up to `behind`."""
        if self.again:
            return []
        events = self._teller.due(seconds)
        if events is None:
            return []
        self._dues.append((self._read, seconds))
        self.move(behind)
        return events

    def stop_repeating(self) -> None:
        """Go on as if all were read that was told: the rest of that is not there any more."""
        self._told = min(self._told, self._read)

    def restart(self, place: P) -> None:
        """Begin at `place`, for what lay before it is gone."""
        self._place, self._told, self._read, self._dues = place, 0, 0, []

    def move(self, behind: P) -> None:
        """Take `behind` for the place, when nothing waits."""
        if not self._teller.waits:
            self._dues = [(lines - self._read, seconds) for lines, seconds in self._dues if lines > self._read]
            self._place, self._told, self._read = behind, max(0, self._told - self._read), 0

    def dump(self, **also: int) -> str:
        """As text for the spool, with `also` while something waits."""
        told = max(self._told, self._read)
        more = {"told": told, "dues": self._dues, **also} if told else {}
        return json.dumps({**self._place._asdict(), **more})


class Told(NamedTuple):
    """What `Progress.dump` wrote beside the place."""

    told: int
    dues: List[Tuple[int, float]]
    until: int


def load_told(text: str) -> Told:
    """What `Progress.dump` wrote beside the place. Raises `Invalid`."""
    try:
        kept = json.loads(text)
        dues = [(int(lines), float(seconds)) for lines, seconds in kept.get("dues", [])]
        return Told(int(kept.get("told", 0)), dues, int(kept.get("until", 0)))
    except (ValueError, TypeError, AttributeError) as error:
        raise Invalid(f"position {text!r:.80} is none of a source") from error
