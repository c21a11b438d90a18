"""The Windows agent's collector: the event logs that some rule knows, each followed from a bookmark on."""

from __future__ import annotations

import json
import logging
import time
from datetime import datetime
from typing import Dict, List, Optional, Tuple
from uuid import UUID

from agents.collector import Reading, Source
from agents.reading import by_line
from agents.syslog import cut
from agents.windows_events import queries, recognise
from agents.windows_log import (
    ACCESS_DENIED,
    CHANNEL_NOT_FOUND,
    INVALID_BOUND,
    NOT_FOUND,
    EventLog,
    LogError,
    Subscription,
    WindowsEventLog,
)
from agents.windows_xml import parse_record, split_events
from core.clock import utc_now
from core.errors import Invalid
from core.ids import uuid7
from core.messages import Event, OsType
from core.text import printable

log = logging.getLogger("heimdall.agent")

LOOK_AGAIN_SECONDS = 60.0
EVENTS_PER_READ = 250  # of each log
EVENTS_AT_ONCE = 16
_REASONS = {
    ACCESS_DENIED: "access is denied: the agent needs to run as administrator or LocalSystem, or its user to be in the "
    "group Event Log Readers",
    CHANNEL_NOT_FOUND: "there is no such log on this machine",
}


class WindowsCollector:
    """Reads what this machine's event logs tell. A position holds a bookmark for each of them."""

    name = "windows"
    os_type: OsType = "WINDOWS"

    def __init__(self, host: str, event_log: Optional[EventLog] = None) -> None:
        self._host = host
        system = event_log or WindowsEventLog()
        self._channels = [_Channel(system, name, query) for name, query in queries().items()]

    def read(self, position: Optional[str]) -> Reading:
        """See `Collector.read`."""
        bookmarks = _load(position)
        events: List[Event] = []
        for channel in self._channels:
            texts, bookmark, alarm = channel.read(bookmarks.get(channel.name))
            if bookmark is not None:
                bookmarks[channel.name] = bookmark
            if alarm:
                log.error("%s", alarm)
                events.append(Event(uuid7(), utc_now(), self._host, self.os_type, "SYSTEM_ALERT", 3, alarm))
            made = (make_event(self._host, uuid7(), text) for text in texts)
            events += [event for event in made if event]
        return Reading(events, json.dumps(bookmarks))

    def sources(self) -> List[Source]:
        """See `Collector.sources`."""
        return [channel.look() for channel in self._channels]

    def close(self) -> None:
        for channel in self._channels:
            channel.close()


class _Channel:
    """One log. It is opened when it can be, and again after whatever ends the reading."""

    def __init__(self, system: EventLog, name: str, query: str) -> None:
        self.name = name
        self._system, self._query = system, query
        self._subscription: Optional[Subscription] = None
        self._batch = EVENTS_AT_ONCE
        self._look_at = 0.0
        self._told = ""

    def read(self, bookmark: Optional[str]) -> Tuple[List[str], Optional[str], str]:
        """The events behind `bookmark`, the bookmark behind them, and an alarm when some were lost before them.

        Without a bookmark it begins at the log's end. There is none while the log cannot be read for the first time.
        """
        try:
            if self._subscription is None:
                if time.monotonic() < self._look_at:
                    return [], bookmark, ""
                self._look_at = time.monotonic() + LOOK_AGAIN_SECONDS
                if bookmark is None:
                    bookmark = self._system.newest(self.name, self._query)
                    log.info("first start: beginning at the end of the log %s", self.name)
                self._subscription = self._system.subscribe(self.name, self._query, bookmark, self._batch)
                log.info("reading the log %s", self.name)
                self._told = ""
            texts, behind = self._subscription.read(EVENTS_PER_READ)
        except LogError as error:
            return self._lose(bookmark, error)
        return texts, behind, ""

    def _lose(self, bookmark: Optional[str], error: LogError) -> Tuple[List[str], Optional[str], str]:
        if self._subscription is not None:
            self.close()
            if error.code == INVALID_BOUND and self._batch > 1:
                self._batch, self._look_at = 1, 0.0
                return [], bookmark, ""
        if error.code == NOT_FOUND and bookmark:
            self._look_at = 0.0
            return [], "", (
                f"The log {self.name} does not hold the event any more that was read last: it was cleared, or newer "
                "events took its place; events may be missing, and the reading goes on with the oldest"
            )  # fmt: skip
        reason = _REASONS.get(error.code, str(error))
        if reason != self._told:
            log.warning(
                "the log %s cannot be read (%s): going on without it, looking again each %.0f s",
                self.name, reason, LOOK_AGAIN_SECONDS,
            )  # fmt: skip
            self._told = reason
        return [], bookmark, ""

    def look(self) -> Source:
        """See `Collector.sources`."""
        try:
            self._system.newest(self.name, self._query)
        except LogError as error:
            return Source(f"the log {self.name}", None, _REASONS.get(error.code, str(error)))
        except Invalid as error:
            return Source(f"the log {self.name}", None, str(error))
        return Source(f"the log {self.name}")

    def close(self) -> None:
        if self._subscription is not None:
            self._subscription.close()
        self._subscription = None


def read_line(host: str, event_id: UUID, raw: bytes, _now: datetime) -> Optional[Event]:
    """The event that `raw` tells, one `<Event …>…</Event>` in UTF-8; `None` when it tells none."""
    return make_event(host, event_id, raw.decode("utf-8", "replace"))


def make_event(host: str, event_id: UUID, text: str) -> Optional[Event]:
    """The event of the XML `text`; `None` when no rule knows it."""
    record = parse_record(text)
    if record is None:
        log.warning("an event of Windows cannot be read: %s", printable(text, 200))
        return None
    finding = recognise(record)
    if finding is None:
        return None
    return Event(
        event_id, record.at, host, "WINDOWS", finding.rule.event_type, finding.rule.severity,
        cut(finding.text), finding.source_ip, finding.user,
    )  # fmt: skip


def _load(position: Optional[str]) -> Dict[str, str]:
    try:
        kept = json.loads(position or "{}")
    except ValueError:
        kept = None
    if not isinstance(kept, dict):
        log.error("position %s is none of the event logs: beginning at their ends", printable(position, 80))
        return {}
    return {str(name): str(bookmark) for name, bookmark in kept.items()}


make_collector = WindowsCollector
read_file = by_line(read_line, split_events)
