"""The Pi-hole agent's collector: what Pi-hole blocked, from the database that its FTL keeps of all queries."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Iterable, Iterator, List, Optional, Set

from agents.collector import Reading, Source
from agents.pihole_database import (
    BEGINNING,
    FOLDER,
    ROWS_PER_READ,
    Busy,
    Page,
    Place,
    Row,
    find_database,
    read_page,
    read_pages,
)
from agents.pihole_queries import ALLOWED, BLOCKED, Query, fold, make_event, parse_blocked, parse_status, parse_time
from agents.reading import Summary
from core.errors import Invalid
from core.ids import stable_id, uuid7
from core.messages import Event, OsType
from core.text import printable

log = logging.getLogger("heimdall.agent")

LOOK_SECONDS = 5.0  # FTL writes once a minute
LOOK_AGAIN_SECONDS = 60.0  # while it cannot be read
PATIENCE_SECONDS = 30.0  # with a busy database, when a file is read at a person's order


class PiholeCollector:
    """Reads the queries that FTL writes. `folder` is where FTL's configuration lies."""

    name = "pihole"
    os_type: OsType = "PIHOLE"

    def __init__(self, host: str, folder: Path = FOLDER) -> None:
        self._host = host
        self._folder = folder
        self._look_at = 0.0
        self._trouble: Optional[str] = ""  # what was said last; none while it can be read
        self._told: Set[str] = set()

    def read(self, position: Optional[str]) -> Reading:
        """See `Collector.read`."""
        kept = position or ""
        if time.monotonic() < self._look_at:
            return Reading([], kept)
        self._look_at = time.monotonic() + LOOK_AGAIN_SECONDS
        path = find_database(self._folder)
        if path is None:
            self._complain(_no_database(self._folder))
            return Reading([], kept)
        try:
            page = read_page(path, self._load(kept))
        except Busy as error:
            # it is locked for a moment, while FTL writes or deletes: nothing that a person need do
            log.debug("%s", error)
            self._look_at = time.monotonic() + LOOK_SECONDS
            return Reading([], kept)
        except Invalid as error:
            self._complain(str(error))
            return Reading([], kept)
        except OSError as error:
            self._complain(f"{path} cannot be read: {error.strerror or error}{_advice(error)}")
            # what is in a database that was not there yet is all new
            return Reading([], kept or BEGINNING.dump() if isinstance(error, FileNotFoundError) else kept)
        self._look_at = time.monotonic() + (LOOK_SECONDS if len(page.rows) < ROWS_PER_READ else 0)
        return self._take(path, page, kept)

    def sources(self) -> List[Source]:
        """See `Collector.sources`."""
        path = find_database(self._folder)
        if path is None:
            return [Source("FTL's database", None, _no_database(self._folder))]
        try:
            at = parse_time(read_page(path, None, PATIENCE_SECONDS).place.at)
        except (Busy, Invalid) as error:
            return [Source(str(path), None, str(error))]
        except OSError as error:
            return [Source(str(path), None, error.strerror or str(error), _advice(error).strip(" ()"))]
        return [Source(str(path), at)]

    def close(self) -> None:
        pass

    def _take(self, path: Path, page: Page, kept: str) -> Reading:
        if self._trouble is not None:
            log.info("reading %s%s", path, "" if kept else ": beginning at its end")
            self._trouble = None
        if page.note:
            # no alarm: rotating and flushing the database are buttons and pages of Pi-hole's own
            log.warning("%s: %s", path, page.note)
        events = [make_event(self._host, uuid7(), repetition) for repetition in fold(self._blocked(page.rows))]
        return Reading(events, page.place.dump())

    def _blocked(self, rows: Iterable[Row]) -> Iterator[Query]:
        for row in rows:
            query = parse_blocked(row)
            if query:
                yield query
                continue
            status = parse_status(row[3])
            if status not in ALLOWED and status not in BLOCKED:
                self._tell_once(f"queries of status {row[3]!r:.40}, unknown to this version, are no events")
            elif status in BLOCKED and parse_time(row[1]) is None:
                self._tell_once("blocked queries without a time are left out")

    def _load(self, kept: str) -> Optional[Place]:
        try:
            return Place.load(kept) if kept else None
        except Invalid as error:
            log.error("%s: beginning at the database's end", error)
            return None

    def _complain(self, trouble: str) -> None:
        if trouble != self._trouble:
            log.warning(
                "%s: only heartbeats are sent; looking again each %.0f s", printable(trouble), LOOK_AGAIN_SECONDS
            )
            self._trouble = trouble

    def _tell_once(self, what: str) -> None:
        if what not in self._told:
            self._told.add(what)
            log.warning("%s", what)


def read_file(path: Path, host: str, summary: Summary) -> Iterator[Event]:
    """The events of the copy of a database at `path`, whose rows are counted into `summary`.

    Their ids are made of the host, the database's time of birth, the rows and the text, so the same file again adds
    nothing; of one that has grown meanwhile, the minute at its end alone comes twice, in part.

    Raises `OSError`, `Invalid` and `Unavailable`.
    """
    summary.unit = "queries"
    created = ""

    def blocked() -> Iterator[Query]:
        nonlocal created
        for page in read_pages(path, PATIENCE_SECONDS):
            created = page.place.created
            summary.lines += len(page.rows)
            yield from filter(None, map(parse_blocked, page.rows))

    for repetition in fold(blocked()):
        rows = (str(repetition.first.id), str(repetition.last.id))
        yield make_event(host, stable_id(host, created, *rows, repetition.text()), repetition)


def _no_database(folder: Path) -> str:
    return f"FTL is told to keep no database ({folder}/pihole-FTL.conf: DBFILE, or pihole.toml)"


def _advice(error: OSError) -> str:
    if isinstance(error, PermissionError):
        return " (the agent's user needs the group pihole)"
    if isinstance(error, FileNotFoundError):
        return " (is Pi-hole installed here, and has it run?)"
    return ""


make_collector = PiholeCollector
