"""The Linux agent's collector: the systemd journal where there is one, else `auth.log` or `secure`."""

from __future__ import annotations

import json
import logging
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import List, Optional, Sequence, Set
from uuid import UUID

from agents.collector import Reading, Source
from agents.journal import Cursor, Journal, parse_entry
from agents.linux_lines import recognise
from agents.syslog import Line, cut, decode_line, parse_line
from agents.tail import Place, Tail
from core.clock import utc_now
from core.errors import Invalid
from core.ids import uuid7
from core.messages import Event, OsType

log = logging.getLogger("heimdall.agent")

INTERVAL_SECONDS = 30.0
LOGS = (Path("/var/log/auth.log"), Path("/var/log/secure"))
LOOK_AGAIN_SECONDS = 60.0
_JOURNAL = "journal"
_ADVICE = "let the agent run as root, or as a user of the group systemd-journal or adm"


class LinuxCollector:
    """Reads what this machine logs. A position says which source it is of, for that may change."""

    name = "linux"
    os_type: OsType = "LINUX"

    def __init__(self, host: str, journal: Optional[Journal] = None, logs: Sequence[Path] = LOGS) -> None:
        self._host = host
        self._journal = journal or Journal()
        self._logs = logs
        self._source = ""
        self._look_at = 0.0
        self._silent_since_told = False
        self._behind: Optional[Cursor] = None
        self._absent: Set[str] = set()  # logs that were not there yet: all that is in them later is new

    def read(self, position: Optional[str]) -> Reading:
        """See `Collector.read`."""
        if not self._source and not self._find_source():
            return Reading([], position or "")
        kept = _load(position).get(self._source)
        if self._source == _JOURNAL:
            return self._read_journal(kept)
        return self._read_log(kept)

    def sources(self) -> List[Source]:
        """See `Collector.sources`."""
        newest = self._journal.last()
        if newest:
            # everybody may read what is his own: that is no log of this machine
            alone = not self._journal.last("--system")
            trouble = "only this user's own entries can be read" if alone else ""
            at = datetime.fromtimestamp(newest.microseconds / 1_000_000, timezone.utc)
            return [Source("the systemd journal", at, trouble, _ADVICE if alone else "")]
        logs = [_look_at(path) for path in self._logs]
        readable = [log for log in logs if not log.trouble]
        return readable[:1] or [
            Source("the systemd journal", None, "there is none, or nothing in it that may be read", _ADVICE),
            *logs,
        ]

    def close(self) -> None:
        self._journal.close()

    def _find_source(self) -> bool:
        if time.monotonic() < self._look_at:
            return False
        self._look_at = time.monotonic() + LOOK_AGAIN_SECONDS
        self._behind = self._journal.last()
        readable = [_JOURNAL] if self._behind else [str(path) for path in self._logs if _is_readable(path)]
        if readable:
            self._source = readable[0]
            log.info("reading %s", "the systemd journal" if self._source == _JOURNAL else self._source)
            return True
        self._absent.update(str(path) for path in self._logs if not path.exists())
        if not self._silent_since_told:
            names = ", ".join(str(path) for path in self._logs)
            log.warning(
                "neither a systemd journal nor %s can be read: only heartbeats are sent; looking again each %.0f s "
                "(the agent's user may need the group adm or systemd-journal)", names, LOOK_AGAIN_SECONDS,
            )  # fmt: skip
            self._silent_since_told = True
        return False

    def _lose_source(self, why: object) -> None:
        log.warning("%s cannot be read any more (%s): looking again", self._source, why)
        self._source = ""
        self._look_at = 0.0
        self._silent_since_told = False

    def _read_journal(self, kept: Optional[str]) -> Reading:
        try:
            after = Cursor.load(kept) if kept else None
        except Invalid as error:
            log.error("%s: beginning at the journal's end", error)
            after = None
        if after is None:
            after = self._behind or self._journal.last()
            if after is None:
                self._lose_source("it is empty")
                return Reading([], "")
            log.info("first start: beginning at the end of the journal")
        entries, after = self._journal.read(after)
        events = [make_event(self._host, uuid7(), entry.line, entry.text) for entry in entries]
        return Reading([event for event in events if event], _dump(self._source, after.dump()))

    def _read_log(self, kept: Optional[str]) -> Reading:
        tail = Tail(Path(self._source))
        try:
            place = self._place(tail, kept)
            span = tail.read(place)
        except OSError as error:
            self._lose_source(error.strerror or error)
            return Reading([], _dump(self._source, kept) if kept else "")
        now = utc_now()
        events = []
        if span.alarm:
            log.error("%s", span.alarm)
            events.append(Event(uuid7(), now, self._host, self.os_type, "LOG_TAMPERING", 5, span.alarm))
        for raw in span.lines:
            event = read_line(self._host, uuid7(), raw, now)
            if event:
                events.append(event)
        return Reading(events, _dump(self._source, span.place.dump()))

    def _place(self, tail: Tail, kept: Optional[str]) -> Place:
        if kept:
            try:
                return Place.load(kept)
            except Invalid as error:
                log.error("%s: beginning at the end of %s", error, tail.path)
                return tail.end()
        if str(tail.path) in self._absent:
            return tail.beginning()
        place = tail.end()
        log.info("first start: beginning at the end of %s", tail.path)
        return place


def read_line(host: str, event_id: UUID, raw: bytes, now: datetime) -> Optional[Event]:
    """The event that one line of a log file tells, `None` when it tells none.

    The line is syslog, or an entry of the journal as `journalctl -o json` prints it.
    """
    text = decode_line(raw)
    if text.startswith("{"):
        try:
            entry = parse_entry(json.loads(text))
        except (ValueError, KeyError, TypeError, RecursionError, OverflowError):
            return None
        return make_event(host, event_id, entry.line, entry.text)
    line = parse_line(text, now)
    return make_event(host, event_id, line, text) if line else None


def make_event(host: str, event_id: UUID, line: Line, text: str) -> Optional[Event]:
    """The event of `line`, whose whole text is `text`; `None` when no rule knows it."""
    finding = recognise(line.program, line.message)
    if finding is None:
        return None
    return Event(
        event_id, line.at, host, "LINUX", finding.rule.event_type, finding.rule.severity,
        cut(text), finding.source_ip, finding.user,
    )  # fmt: skip


def _look_at(path: Path) -> Source:
    try:
        with path.open("rb"):
            return Source(str(path), datetime.fromtimestamp(path.stat().st_mtime, timezone.utc))
    except OSError as error:
        advice = _ADVICE if isinstance(error, PermissionError) else ""
        return Source(str(path), None, error.strerror or str(error), advice)


def _is_readable(path: Path) -> bool:
    try:
        with path.open("rb"):
            return True
    except OSError:
        return False


def _dump(source: str, position: str) -> str:
    return json.dumps({source: position})


def _load(position: Optional[str]) -> dict[str, str]:
    try:
        kept = json.loads(position or "{}")
    except ValueError:
        return {}
    return {str(key): str(value) for key, value in kept.items()} if isinstance(kept, dict) else {}
