"""Where lines come from, each source with a position of its own: a log file that is rotated, and the journal."""

from __future__ import annotations

import logging
from datetime import datetime
from pathlib import Path
from typing import Callable, List, NamedTuple, Optional, Protocol

from agents.journal import Cursor, Entry, Journal
from agents.progress import Progress, Teller, load_told
from agents.tail import Place, Tail
from core.errors import Invalid
from core.ids import uuid7
from core.messages import Event

log = logging.getLogger("heimdall.agent")


class Lines(NamedTuple):
    """What the lines of a source told, `read` of them, and the position behind them."""

    events: List[Event]
    position: str
    read: int


class LogSource(Protocol):
    """What is read beside other sources. `name` is its own in the position, `shown` what people call it."""

    name: str
    shown: str

    def read(self, kept: str, now: datetime) -> Lines:
        """What comes behind `kept` (empty: the first start). Raises `OSError` when it cannot be read any more."""

    def close(self) -> None:
        """End what was started for reading."""


class LogFile:
    """The log at `path`. `is_new` says that it was not there at first, so that all of it is news."""

    def __init__(self, host: str, path: Path, make_teller: Callable[[], Teller[bytes]], is_new: bool = False) -> None:
        self.name = self.shown = str(path)
        self._host, self._tail, self._make_teller, self._is_new = host, Tail(path), make_teller, is_new
        self._place: Place
        self._progress: Optional[Progress[bytes, Place]] = None
        self._position = ""

    def read(self, kept: str, now: datetime) -> Lines:
        """See `LogSource.read`."""
        if self._progress is None or kept != self._position:
            self._progress = self._begin(kept)
        span = self._tail.read(self._place)
        events = [Event(uuid7(), now, self._host, "LINUX", "LOG_TAMPERING", 5, span.alarm)] if span.alarm else []
        offset = span.place.offset - sum(map(len, span.lines))
        if span.alarm:
            log.error("%s", span.alarm)
            self._progress.restart(span.place._replace(offset=offset))
        for raw in span.lines:
            offset += len(raw)
            events += self._progress.take(raw, span.place._replace(offset=offset), now)
        if not span.lines:
            if span.place == self._place:
                self._progress.stop_repeating()
                events += self._progress.due(span.place, now.timestamp())
            else:
                self._progress.move(span.place)
        self._place = span.place
        self._position = self._progress.dump()
        return Lines(events, self._position, len(span.lines))

    def close(self) -> None:
        """See `LogSource.close`."""

    def _begin(self, kept: str) -> Progress[bytes, Place]:
        try:
            if kept:
                told = load_told(kept)
                self._place = Place.load(kept)
                return Progress(self._make_teller(), self._place, told.told, told.dues)
        except Invalid as error:
            log.error("%s: beginning at the end of %s", error, self._tail.path)
        if self._is_new and not kept:
            self._place = self._tail.beginning()
        else:
            self._place = self._tail.end()
            if not kept:
                log.info("first start: beginning at the end of %s", self._tail.path)
        return Progress(self._make_teller(), self._place)


class JournalSource:
    """The systemd journal, at first from `behind` on. `is_empty` once there is nothing in it to begin at."""

    name = "journal"
    shown = "the systemd journal"

    def __init__(self, journal: Journal, make_teller: Callable[[], Teller[Entry]], behind: Optional[Cursor]) -> None:
        self._journal, self._make_teller, self._behind = journal, make_teller, behind
        self._after: Cursor
        self._told_until = 0
        self._progress: Optional[Progress[Entry, Cursor]] = None
        self._position = ""

    def read(self, kept: str, now: datetime) -> Lines:
        """See `LogSource.read`."""
        if self._progress is None or kept != self._position:
            self._journal.close()
            self._progress = self._begin(kept)
        entries, self._after = self._journal.read(self._after)
        events: List[Event] = []
        for entry in entries:
            # what was told may have been deleted meanwhile; what is newer is not told
            if self._progress.again and entry.cursor.microseconds > self._told_until:
                self._progress.stop_repeating()
            events += self._progress.take(entry, entry.cursor, now)
        if not entries:
            events += self._progress.due(self._after, now.timestamp())
        if not self._progress.again:
            self._told_until = self._after.microseconds
        self._position = self._progress.dump(until=self._told_until)
        return Lines(events, self._position, len(entries))

    def close(self) -> None:
        """See `LogSource.close`."""
        self._journal.close()

    def _begin(self, kept: str) -> Progress[Entry, Cursor]:
        try:
            if kept:
                self._after = Cursor.load(kept)
                told = load_told(kept)
                self._told_until = told.until
                return Progress(self._make_teller(), self._after, told.told, told.dues)
        except Invalid as error:
            log.error("%s: beginning at the journal's end", error)
        after = (None if kept else self._behind) or self._journal.last()
        if after is None:
            raise OSError("it is empty")
        log.info("first start: beginning at the end of the journal")
        self._after = after
        return Progress(self._make_teller(), after)
