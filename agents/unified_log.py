"""macOS' unified log: `log stream` follows it, and `log show` gives what came while nobody followed."""

from __future__ import annotations

import hashlib
import json
import logging
import subprocess
import time
from collections import deque
from datetime import datetime, timedelta
from typing import Any, Deque, Dict, List, NamedTuple, Optional, Sequence, Set, Tuple

from agents.child import Child
from agents.macos_lines import PREDICATE
from agents.syslog import Line
from core.clock import parse_time, rfc3339, utc_now
from core.errors import Invalid
from core.text import printable

log = logging.getLogger("heimdall.agent")

RESTART_SECONDS = 5.0
TRY_SECONDS = 30.0
LATE_SECONDS = 1.0  # entries of several processes come in about the order of their times, not quite
OVERLAP_SECONDS = 60.0  # that `log show` and `log stream` are compared for
MOST_MARKS = 256
MOST_WAITING = 50_000


class Entry(NamedTuple):
    """One entry. `text` is what a syslog line of it would be; `mark` tells it from others of the same instant."""

    line: Line
    text: str
    mark: str


class Place(NamedTuple):
    """A position: all before `since` is read, and from there on the entries that have these marks."""

    since: datetime
    marks: Tuple[str, ...] = ()

    def dump(self) -> str:
        """As text for the spool."""
        return json.dumps({"since": rfc3339(self.since), "marks": self.marks})

    @classmethod
    def load(cls, text: str) -> Place:
        """The place that `dump` wrote. Raises `Invalid`."""
        try:
            kept = json.loads(text)
            return cls(parse_time(kept["since"]), tuple(str(mark) for mark in kept["marks"]))
        except (ValueError, KeyError, TypeError, Invalid) as error:
            raise Invalid(f"position {text!r:.80} is none of a unified log") from error


class UnifiedLog:
    """The log that `command` (such as `/usr/bin/log`) shows.

    1. `log stream` is started, and what it gives waits;
    2. `log show` gives what lies between the position and then, and a little more;
    3. what waited and was not shown follows, then the stream itself. When it ends, all begins anew.
    """

    def __init__(self, command: Sequence[str] = ("/usr/bin/log",)) -> None:
        self._command = command
        self._stream: Optional[Child] = None
        self._show: Optional[Child] = None
        self._waiting: Deque[bytes] = deque()
        self._recent: Deque[Tuple[datetime, str]] = deque()
        self._overlap: Set[str] = set()
        self._overlap_since = utc_now()
        self._restart_at = 0.0
        self._told = ""
        self._complaint = ""  # of the stream before

    def read(self, place: Place) -> Tuple[List[Entry], Place, str]:
        """The entries behind `place` that have come so far, the place behind them, and an alarm when some are lost."""
        if self._stream is None and not self._start(place):
            return [], place, ""
        if self._show is not None:
            entries, alarm = self._read_shown(place)
        else:
            entries, alarm = self._read_stream(), ""
        return entries, self._place(place), alarm

    def try_reading(self) -> str:
        """Why the log cannot be read; empty when it can. It takes some seconds."""
        since = f"@{int(utc_now().timestamp())}"
        command = [*self._command, "show", "--info", "--start", since, "--style", "ndjson", "--predicate", PREDICATE]
        try:
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, capture_output=True, timeout=TRY_SECONDS, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return printable(error)
        said = done.stderr.decode("utf-8", "replace").strip()
        return printable(said or f"`log` ended with code {done.returncode}") if done.returncode else ""

    def close(self) -> None:
        """End the processes."""
        for child in (self._stream, self._show):
            if child is not None:
                child.close()
        self._stream = self._show = None
        self._waiting.clear()

    def _start(self, place: Place) -> bool:
        if time.monotonic() < self._restart_at:
            return False
        self._restart_at = time.monotonic() + RESTART_SECONDS
        if self._complaint:
            # not when it ends: with the agent it ends too, and that is nothing to be told
            log.warning("`log stream` ended (%s): starting it again", self._complaint)
            self._complaint = ""
        self._recent = deque((place.since, mark) for mark in place.marks)
        self._overlap = set(place.marks)
        asked = ("--style", "ndjson", "--predicate", PREDICATE)
        try:
            self._stream = Child([*self._command, "stream", "--level", "info", *asked])
            self._overlap_since = utc_now() - timedelta(seconds=OVERLAP_SECONDS)
            since = f"@{int(place.since.timestamp())}"
            self._show = Child([*self._command, "show", "--info", "--start", since, *asked])
        except OSError as error:
            self.close()
            if str(error) != self._told:
                log.error("`log` cannot be started: %s; trying again each %.0f s", error, RESTART_SECONDS)
                self._told = str(error)
            return False
        self._told = ""
        return True

    def _read_shown(self, place: Place) -> Tuple[List[Entry], str]:
        if self._show is None or self._stream is None:
            return [], ""
        if len(self._waiting) < MOST_WAITING:
            self._waiting.extend(self._stream.take_lines())
        code = self._show.code  # before the last lines are taken, not after
        lines = self._show.take_lines()
        entries = self._take(lines, place.since)
        if lines or code is None:
            return entries, ""
        alarm = ""
        if code != 0:
            alarm = f"What was logged since {rfc3339(place.since)} cannot be read ({self._show.complaint()})"
        self._show.close()
        self._show = None
        return [], alarm

    def _read_stream(self) -> List[Entry]:
        if self._stream is None:
            return []
        code = self._stream.code
        lines = [*self._waiting, *self._stream.take_lines()]
        self._waiting.clear()
        entries = self._take(lines, None)
        if not lines and code is not None:
            self._complaint = self._stream.complaint()
            self.close()
        return entries

    def _take(self, lines: Sequence[bytes], since: Optional[datetime]) -> List[Entry]:
        """The entries in `lines` that are not read yet; `since` leaves older ones out."""
        entries = []
        for line in lines:
            entry = parse_line(line)
            if entry is None or entry.mark in self._overlap or (since and entry.line.at < since):
                continue
            if since and entry.line.at >= self._overlap_since:
                self._overlap.add(entry.mark)
            self._recent.append((entry.line.at, entry.mark))
            entries.append(entry)
        return entries

    def _place(self, before: Place) -> Place:
        """The place behind the entries of late: what is older than the newest by `LATE_SECONDS` is not kept."""
        if not self._recent:
            return before
        # a clock that was set back must not put all that follows into the past
        now = utc_now()
        newest = min(max(at for at, _ in self._recent), now)
        oldest = max(newest - timedelta(seconds=LATE_SECONDS), min(before.since, now))
        kept = [(at, mark) for at, mark in self._recent if at >= oldest][-MOST_MARKS:]
        self._recent = deque(kept)
        if len(kept) == MOST_MARKS:
            oldest = max(oldest, min(at for at, _ in kept))
        return Place(oldest, tuple(mark for _, mark in kept))


def parse_line(line: bytes) -> Optional[Entry]:
    """An entry as `log … --style ndjson` prints it; `None` for any other line, such as the first and the last."""
    if not line.startswith(b"{"):
        return None
    try:
        fields = json.loads(line.decode("utf-8", "replace"), parse_int=str)
        return parse_entry(fields)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError, Invalid):
        return None


def parse_entry(fields: Dict[str, Any]) -> Entry:
    """An entry of the log. Raises `KeyError`, `TypeError`, `AttributeError` or `Invalid` when it is none."""
    at = parse_time(fields["timestamp"])
    message = fields["eventMessage"].replace("\0", "")
    program = fields["processImagePath"].replace("\0", "").rsplit("/", 1)[-1][:128]
    if not 1970 <= at.year <= 9998:
        raise Invalid(f"timestamp is of the year {at.year}")
    process = str(fields.get("processID", ""))[:20]
    head = f"{program}[{process}]" if process.isdecimal() else program
    content = json.dumps([fields["timestamp"], process, fields.get("threadID"), message])
    mark = hashlib.blake2b(content.encode("utf-8", "replace"), digest_size=6).hexdigest()
    return Entry(Line(at, program, message), f"{rfc3339(at)} localhost {head}: {message}", mark)
