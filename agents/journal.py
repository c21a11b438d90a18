"""The systemd journal followed through `journalctl`, from a cursor on."""

from __future__ import annotations

import json
import logging
import subprocess
import time
from datetime import datetime, timedelta, timezone
from typing import Any, Dict, List, NamedTuple, Optional, Sequence

from agents.child import Child
from agents.syslog import Line
from core.clock import rfc3339
from core.errors import Invalid
from core.text import printable

log = logging.getLogger("heimdall.agent")

FIELDS = "MESSAGE,SYSLOG_IDENTIFIER,_COMM,_PID,SYSLOG_PID,_HOSTNAME,_TRANSPORT,PODMAN_EXIT_CODE"
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
        self._process: Optional[Child] = None
        self._restart_at = 0.0
        self._by_time = False
        self._complaint = ""  # of the process before

    def last(self, *options: str) -> Optional[Cursor]:
        """The cursor of the newest entry; `None` when there is no journal, or nothing in it that we may read.

        `options` are further ones of journalctl: `--system` leaves out what is the user's own, `_TRANSPORT=audit` all
        but the kernel's audit records.
        """
        command = [*self._command, "--lines=1", *options]
        try:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=20, check=False)
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
        self._process = self._process or self._start(after)
        if self._process is None:
            return [], after
        entries: List[Entry] = []
        for line in self._process.take_lines():
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
            self._look_after(self._process)
        return entries, after

    def close(self) -> None:
        """End the process that follows the journal."""
        if self._process is not None:
            self._process.close()
        self._process = None

    def _start(self, after: Cursor) -> Optional[Child]:
        if time.monotonic() < self._restart_at:
            return None
        self._restart_at = time.monotonic() + RESTART_SECONDS
        if self._complaint:
            # not when it ends: with the agent it ends too, and that is nothing to be told
            log.warning("journalctl ended (%s): starting it again", self._complaint)
            self._complaint = ""
        since = f"--since=@{after.microseconds // 1_000_000}" if self._by_time else f"--after-cursor={after.cursor}"
        try:
            return Child([*self._command, "--follow", "--no-tail", since])
        except OSError as error:
            log.error("journalctl cannot be started: %s", error)
            return None

    def _look_after(self, process: Child) -> None:
        """Replace a journalctl that has ended; one that refused the cursor is asked by time instead."""
        if process.code is None:
            return
        complaint = process.complaint()
        refused = "cursor" in complaint
        if refused and not self._by_time:
            log.error("the journal does not know our cursor any more (%s): going on by time", complaint)
            self._restart_at = 0.0
        else:
            self._complaint = complaint
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
    # anybody may write to the journal under any name, and these two have a way of their own
    transport = _text(fields.get("_TRANSPORT"))
    is_forged = program in ("kernel", "audit") and transport not in ("", program)
    process = _text(fields.get("SYSLOG_PID")) or _text(fields.get("_PID"))
    message = _text(fields.get("MESSAGE"))
    # the one thing that decides about a container's end, and Podman's message does not have it
    exit_code = _text(fields.get("PODMAN_EXIT_CODE"))
    message = f"{message} [exit code {exit_code}]" if exit_code else message
    head = f"{program}[{process}]" if process else program
    text = f"{rfc3339(at)} {_text(fields.get('_HOSTNAME')) or 'localhost'} {head}: {message}"
    return Entry(Line(at, "" if is_forged else program, message), text, Cursor(str(fields["__CURSOR"]), microseconds))


def _text(value: Any) -> str:
    """A field's text: a string, a list of numbers when it is not printable UTF-8, a list of either when repeated."""
    if isinstance(value, str):
        return value.replace("\0", "")
    if isinstance(value, list) and value:
        if all(isinstance(byte, int) and 0 <= byte < 256 for byte in value):
            return bytes(value).decode("utf-8", "replace").replace("\0", "")
        return _text(value[0])
    return ""
