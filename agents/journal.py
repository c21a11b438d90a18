"""The systemd journal followed through `journalctl`, from a cursor on."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import tempfile
import time
from datetime import datetime, timedelta, timezone
from typing import IO, Any, Dict, List, NamedTuple, Optional, Sequence

from agents.syslog import Line
from core.clock import rfc3339
from core.errors import Invalid
from core.text import printable

log = logging.getLogger("heimdall.agent")

FIELDS = "MESSAGE,SYSLOG_IDENTIFIER,_COMM,_PID,SYSLOG_PID,_HOSTNAME,_TRANSPORT"
PIECES_PER_READ = 16  # of 64 KiB
LONGEST_ENTRY_BYTES = 4 * 1024 * 1024
RESTART_SECONDS = 5.0
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


class Entry(NamedTuple):
    """One entry of the journal. `text` is what a syslog line of it would be."""

    line: Line
    text: str
    cursor: Cursor


class Cursor(NamedTuple):
    """A position in the journal, and its time in microseconds, for the day on which the cursor is no longer known."""

    cursor: str
    microseconds: int

    def dump(self) -> str:
        """As text for the spool."""
        return json.dumps(self._asdict())

    @classmethod
    def load(cls, text: str) -> Cursor:
        """The cursor that `dump` wrote. Raises `Invalid`."""
        try:
            kept = json.loads(text)
            return cls(str(kept["cursor"]), int(kept["microseconds"]))
        except (ValueError, KeyError, TypeError) as error:
            raise Invalid(f"position {text!r:.80} is none of a journal") from error


class Journal:
    """A journal that `command` (such as `journalctl`) shows. One process follows it from a cursor on."""

    def __init__(self, command: Sequence[str] = ("journalctl",)) -> None:
        self._command = [*command, "--no-pager", "--quiet", "--all", "-o", "json", f"--output-fields={FIELDS}"]
        self._process: Optional[subprocess.Popen[bytes]] = None
        self._complaints: Optional[IO[bytes]] = None
        self._rest = b""
        self._restart_at = 0.0
        self._by_time = False

    def last(self) -> Optional[Cursor]:
        """The cursor of the newest entry; `None` when there is no journal, or nothing in it that we may read."""
        try:
            done = subprocess.run(
                [*self._command, "--lines=1"], stdin=subprocess.DEVNULL, capture_output=True, timeout=20, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            log.debug("no journal: %s", error)
            return None
        for line in done.stdout.splitlines():
            try:
                fields = json.loads(line)
                return Cursor(fields["__CURSOR"], int(fields["__REALTIME_TIMESTAMP"]))
            except (ValueError, KeyError, TypeError):
                continue
        return None

    def read(self, after: Cursor) -> tuple[List[Entry], Cursor]:
        """The entries behind `after` that have come so far, and the cursor of the last one."""
        if self._process is None and not self._start(after):
            return [], after
        entries: List[Entry] = []
        for line in self._take_lines():
            try:
                entry = parse_entry(json.loads(line))
            except (ValueError, KeyError, TypeError, RecursionError, OverflowError) as error:
                log.warning("an entry of the journal cannot be read: %s", printable(error))
                continue
            # by time, the whole second of the last entry comes once more
            if entry.cursor.microseconds > after.microseconds or not self._by_time:
                entries.append(entry)
                after = entry.cursor
        if not entries:
            self._look_after()
        return entries, after

    def close(self) -> None:
        """End the process that follows the journal."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            if self._process.stdout:
                self._process.stdout.close()
        if self._complaints is not None:
            self._complaints.close()
        self._process = self._complaints = None
        self._rest = b""

    def _start(self, after: Cursor) -> bool:
        if time.monotonic() < self._restart_at:
            return False
        self._restart_at = time.monotonic() + RESTART_SECONDS
        since = f"--since=@{after.microseconds // 1_000_000}" if self._by_time else f"--after-cursor={after.cursor}"
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115 -- a pipe that nobody reads would fill up
        try:
            self._process = subprocess.Popen(
                [*self._command, "--follow", "--no-tail", since],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self._complaints,
            )  # fmt: skip
        except OSError as error:
            log.error("journalctl cannot be started: %s", error)
            self.close()
            return False
        if self._process.stdout:
            os.set_blocking(self._process.stdout.fileno(), False)
        return True

    def _take_lines(self) -> List[bytes]:
        """Whole lines that journalctl has written; what is left of a longer entry than we take is dropped."""
        pipe = self._process.stdout if self._process else None
        if pipe is None:
            return []
        for _ in range(PIECES_PER_READ):
            try:
                piece = os.read(pipe.fileno(), 65_536)
            except BlockingIOError:
                break
            if not piece:
                break
            self._rest += piece
        *lines, self._rest = self._rest.split(b"\n")
        if len(self._rest) > LONGEST_ENTRY_BYTES:
            log.warning("an entry of the journal is longer than %d bytes and is left out", LONGEST_ENTRY_BYTES)
            self._rest = b""
        return lines

    def _look_after(self) -> None:
        """Replace a journalctl that has ended; one that refused the cursor is asked by time instead."""
        if self._process is None or self._process.poll() is None or self._complaints is None:
            return
        self._complaints.seek(0)
        complaint = printable(self._complaints.read(300).decode("utf-8", "replace").strip())
        refused = "cursor" in complaint
        if refused and not self._by_time:
            log.error("the journal does not know our cursor any more (%s): going on by time", complaint)
            self._restart_at = 0.0
        else:
            log.warning("journalctl ended (%s): starting it again", complaint or self._process.returncode)
        self._by_time = refused
        self.close()


def parse_entry(fields: Dict[str, Any]) -> Entry:
    """An entry as `journalctl -o json` prints it (systemd's documentation of its JSON format).

    Raises `KeyError`, `TypeError`, `ValueError` or `OverflowError` when it is none.
    """
    microseconds = int(fields["__REALTIME_TIMESTAMP"])
    at = _EPOCH + timedelta(microseconds=microseconds)
    # journald itself and the first process write by way of the kernel's log, under names of their own
    program = _text(fields.get("SYSLOG_IDENTIFIER")) or _text(fields.get("_COMM"))
    if not program:
        program = "kernel" if _text(fields.get("_TRANSPORT")) == "kernel" else "unknown"
    process = _text(fields.get("SYSLOG_PID")) or _text(fields.get("_PID"))
    message = _text(fields.get("MESSAGE"))
    head = f"{program}[{process}]" if process else program
    text = f"{rfc3339(at)} {_text(fields.get('_HOSTNAME')) or 'localhost'} {head}: {message}"
    return Entry(Line(at, program, message), text, Cursor(str(fields["__CURSOR"]), microseconds))


def _text(value: Any) -> str:
    """A field's text: a string, a list of numbers when it is not printable UTF-8, a list of either when repeated."""
    if isinstance(value, str):
        return value.replace("\0", "")
    if isinstance(value, list) and value:
        if all(isinstance(byte, int) and 0 <= byte < 256 for byte in value):
            return bytes(value).decode("utf-8", "replace").replace("\0", "")
        return _text(value[0])
    return ""
