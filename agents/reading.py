"""`--read FILE`: a given log, from its start, into the spool; and the wait until all of it is known to be stored.

The id of an event is made of the host, the file's first line, the line's offset and the line itself, so the
same file again, also renamed, copied or compressed, adds nothing, and another file in its place is not mistaken.
"""

from __future__ import annotations

import hashlib
import json
import logging
import sys
import threading
import time
import zlib
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import IO, Callable, Iterator, List, Optional, Tuple
from typing import Counter as CounterOf
from uuid import UUID

from agents.tail import LONGEST_LINE_BYTES, open_log
from core.clock import utc_now
from core.errors import Invalid, Unavailable
from core.ids import stable_id
from core.messages import Event
from core.spool import Spool, SpoolFull

log = logging.getLogger("heimdall.agent")

CHUNK_EVENTS = 1_000
POLL_SECONDS = 0.2

LineReader = Callable[[str, UUID, bytes, datetime], Optional[Event]]
Splitter = Callable[[IO[bytes]], Iterator[Tuple[int, bytes]]]


@dataclass
class Summary:
    """What reading a file came to. `sent` says whether every event has its receipt."""

    file: str
    lines: int = 0
    events: int = 0
    by_type: CounterOf[str] = field(default_factory=Counter)
    sent: bool = False

    def as_json(self) -> str:
        """One line of JSON."""
        return json.dumps({
            "file": self.file, "lines": self.lines, "events": self.events,
            "by_type": dict(sorted(self.by_type.items())), "sent": self.sent,
        })  # fmt: skip

    def as_text(self) -> str:
        """One line for a person."""
        types = ", ".join(f"{count:,} {name}" for name, count in self.by_type.most_common())
        return f"{self.file}: {self.lines:,} lines, {self.events:,} events{f' ({types})' if types else ''}"


def split_lines(file: IO[bytes]) -> Iterator[Tuple[int, bytes]]:
    """The lines of `file`, each with its offset; what is longer than `LONGEST_LINE_BYTES` comes in pieces."""
    offset = 0
    while True:
        line = file.readline(LONGEST_LINE_BYTES)
        if not line:
            return
        yield offset, line
        offset += len(line)


def read_events(
    path: Path, host: str, read_line: LineReader, summary: Summary, split: Splitter = split_lines
) -> Iterator[Event]:
    """The events of the log at `path` (plain or `.gz`), counted into `summary` as they come.

    `split` takes the file apart into what `read_line` takes.

    Raises `Invalid` when the file cannot be read.
    """
    first = ""
    try:
        with open_log(path) as file:
            # years that lines do not name are told by the file's age, not by the day on which it is read
            written = datetime.fromtimestamp(path.stat().st_mtime, timezone.utc)
            reference = min(utc_now(), written)
            for offset, raw in split(file):
                if not first:
                    first = hashlib.sha256(raw.rstrip(b"\r\n")).hexdigest()
                summary.lines += 1
                content = hashlib.sha256(raw.rstrip(b"\r\n")).hexdigest()
                event = read_line(host, stable_id(host, first, str(offset), content), raw, reference)
                if event:
                    summary.events += 1
                    summary.by_type[event.event_type] += 1
                    yield event
    except (OSError, EOFError, zlib.error) as error:
        raise Invalid(f"--read {path}: cannot be read: {getattr(error, 'strerror', None) or error}") from error


def spool_file(
    path: Path, host: str, read_line: LineReader, spool: Spool, stopping: threading.Event, summary: Summary,
    split: Splitter = split_lines,
) -> None:  # fmt: skip
    """Read the log at `path` into `spool`; waits while the spool is half full, for nothing need be dropped.

    Returns early when `stopping` is set. Raises `Invalid` and `Unavailable`.
    """
    chunk: List[Event] = []
    shown = time.monotonic()
    for event in read_events(path, host, read_line, summary, split):
        chunk.append(event)
        if len(chunk) >= CHUNK_EVENTS:
            _append(spool, chunk, stopping)
            chunk = []
            if stopping.is_set():
                return
            if sys.stderr.isatty() and time.monotonic() - shown > 1:
                shown = time.monotonic()
                sys.stderr.write(f"\r{summary.lines:,} lines, {summary.events:,} events … ")
                sys.stderr.flush()
    _append(spool, chunk, stopping)


def _append(spool: Spool, chunk: List[Event], stopping: threading.Event) -> None:
    while not stopping.is_set():
        try:
            # a running agent drops events when the spool is full: leave it room for what happens now
            if spool.used_bytes() < spool.limit_bytes // 2:
                spool.append(chunk)
                return
        except SpoolFull:
            log.debug("the spool is full: waiting for receipts")
        stopping.wait(POLL_SECONDS)


def wait_until_sent(
    spool: Spool, last: int, stopping: threading.Event, patience_seconds: float, each_turn: Callable[[], object]
) -> None:
    """Return when every event up to position `last` has its receipt, or `stopping` is set.

    Calls `each_turn` several times a second.

    Raises `Unavailable` when for `patience_seconds` no receipt came.
    """
    before: Optional[int] = None
    since = time.monotonic()
    while not stopping.is_set():
        each_turn()
        first = spool.first_position()
        if first is None or first > last:
            return
        if first != before:
            before, since = first, time.monotonic()
        elif time.monotonic() - since > patience_seconds:
            raise Unavailable(
                f"for {patience_seconds:.0f} s nothing was confirmed as stored; {len(spool)} events wait in "
                f"{spool.path}, and are sent when an agent of this home runs; are the broker and the ingestor up?"
            )
        stopping.wait(POLL_SECONDS)
