"""The macOS agent's collector: the unified log."""

from __future__ import annotations

import logging
from datetime import datetime
from typing import List, Optional
from uuid import UUID

from agents.collector import Reading, Source
from agents.macos_lines import recognise
from agents.masking import mask
from agents.reading import by_line
from agents.syslog import cut
from agents.unified_log import Entry, Place, UnifiedLog, parse_line
from core.clock import utc_now
from core.errors import Invalid
from core.ids import uuid7
from core.messages import Event, OsType

log = logging.getLogger("heimdall.agent")

LONGEST_TEXT_CHARS = 32 * 1024  # of an entry, before it is masked and cut


class MacosCollector:
    """Reads what this machine's unified log tells."""

    name = "macos"
    os_type: OsType = "MACOS"

    def __init__(self, host: str, unified_log: Optional[UnifiedLog] = None) -> None:
        self._host = host
        self._log = unified_log or UnifiedLog()

    def read(self, position: Optional[str]) -> Reading:
        """See `Collector.read`."""
        entries, place, alarm = self._log.read(self._load(position))
        events: List[Event] = []
        if alarm:
            log.error("%s", alarm)
            events.append(Event(uuid7(), utc_now(), self._host, self.os_type, "SYSTEM_ALERT", 3, alarm))
        made = (make_event(self._host, uuid7(), entry) for entry in entries)
        return Reading([*events, *(event for event in made if event)], place.dump())

    def sources(self) -> List[Source]:
        """See `Collector.sources`."""
        trouble = self._log.try_reading()
        advice = "let the agent run as root, or as an administrator" if trouble else ""
        return [Source("the unified log", None, trouble, advice)]

    def close(self) -> None:
        self._log.close()

    def _load(self, position: Optional[str]) -> Place:
        if position is None:
            log.info("first start: beginning at the end of the unified log")
            return Place(utc_now())
        try:
            return Place.load(position)
        except Invalid as error:
            log.error("%s: beginning at the log's end", error)
            return Place(utc_now())


def read_line(host: str, event_id: UUID, raw: bytes, _now: datetime) -> Optional[Event]:
    """The event that one line of `log show --style ndjson` tells, `None` when it tells none."""
    entry = parse_line(raw.strip())
    return make_event(host, event_id, entry) if entry else None


def make_event(host: str, event_id: UUID, entry: Entry) -> Optional[Event]:
    """The event of `entry`; `None` when no rule knows it."""
    finding = recognise(entry.line.program, entry.line.message)
    if finding is None:
        return None
    return Event(
        event_id, entry.line.at, host, "MACOS", finding.rule.event_type, finding.rule.severity,
        cut(mask(entry.text[:LONGEST_TEXT_CHARS])), finding.source_ip, finding.user,
    )  # fmt: skip


make_collector = MacosCollector
read_file = by_line(read_line)
