"""The Linux agent's collector: the systemd journal, or what a syslog daemon writes; auditd's log; web servers' logs."""

from __future__ import annotations

import glob
import json
import logging
import os
import re
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import IO, Callable, Dict, Iterator, List, Optional, Sequence, Set, Tuple
from uuid import UUID

from agents import audit_lines, system_log, web_lines
from agents.audit_lines import AuditLog
from agents.audit_records import parse_record
from agents.collector import Reading, Source
from agents.journal import Entry, Journal, parse_entry
from agents.progress import Teller
from agents.reading import by_line, split_lines
from agents.roles import Roles
from agents.sources import JournalSource, LogFile, LogSource
from agents.syslog import Line, decode_line, parse_line
from agents.system_log import SystemLog
from agents.tail import is_backup
from agents.web_lines import AccessLog
from core.clock import utc_now
from core.messages import Event, OsType

log = logging.getLogger("heimdall.agent")

LOGS = (Path("/var/log/auth.log"), Path("/var/log/secure"))
# the first that can be read; Debian's syslog and RHEL's messages have the kernel's lines and the services'
SYSTEM_LOGS = (Path("/var/log/syslog"), Path("/var/log/messages"), Path("/var/log/kern.log"))
AUDIT_LOG = Path("/var/log/audit/audit.log")
ACCESS_LOGS = (
    "/var/log/nginx/*access.log", "/var/log/apache2/*access.log", "/var/log/httpd/*access_log",
    "/var/log/lighttpd/access.log", "/var/log/caddy/*.log",
)  # fmt: skip
LOOK_AGAIN_SECONDS = 60.0
LOST_SECONDS = 5.0
LINES_PER_READ = 1_000
RECORDS_PER_EVENT = 64
LAST_BYTES = 4096
_BY_EFFECTIVE_ID = os.access in os.supports_effective_ids
_EVENT = re.compile(rb"(?:node=\S{1,255} )?type=\S{1,40} (msg=audit\([\d.:]{1,40}\)):")
_ADVICE = "let the agent run as root, or as a user of the group systemd-journal or adm"


class LinuxCollector:
    """Reads what this machine logs, several sources side by side. The position has that of each source by its name."""

    name = "linux"
    os_type: OsType = "LINUX"

    def __init__(
        self, host: str, journal: Optional[Journal] = None, logs: Sequence[Path] = LOGS,
        system_logs: Sequence[Path] = SYSTEM_LOGS, audit_log: Path = AUDIT_LOG,
        access_logs: Sequence[str] = ACCESS_LOGS,
    ) -> None:  # fmt: skip
        self._host, self._journal = host, journal or Journal()
        self._logs, self._system_logs, self._audit_log, self._access_logs = logs, system_logs, audit_log, access_logs
        self._roles = Roles()
        self._sources: Dict[str, LogSource] = {}
        self._look_at = 0.0
        self._turn = 0
        self._seen: Optional[Set[str]] = None  # what was there at the last look: all of what comes later is news
        self._said: Dict[str, str] = {}  # of each source what is wrong with it

    def read(self, position: Optional[str]) -> Reading:
        """See `Collector.read`."""
        kept = _load(position)
        if time.monotonic() >= self._look_at:
            self._look(kept)
        now, count = utc_now(), 0
        events: List[Event] = []
        # whoever has much to tell does not keep the others waiting
        names = sorted(self._sources)
        for name in names[self._turn % max(1, len(names)) :] + names[: self._turn % max(1, len(names))]:
            try:
                lines = self._sources[name].read(kept.get(name, ""), now)
            except OSError as error:
                self._lose(name, error.strerror or error)
                continue
            kept[name] = lines.position
            events += lines.events
            count += lines.read
            self._turn += 1
            if count >= LINES_PER_READ:
                break
        return Reading(events, json.dumps(kept) if kept else "")

    def sources(self) -> List[Source]:
        """See `Collector.sources`."""
        others = (self._audit_log, *self._find_access_logs())
        return [*self._look_at_own_lines(), *(_look_at(path) for path in others if _is_there(path))]

    def _look_at_own_lines(self) -> List[Source]:
        newest = self._journal.last()
        if newest:
            # everybody may read what is his own: that is no log of this machine
            alone = not self._journal.last("--system")
            trouble = "only this user's own entries can be read" if alone else ""
            at = datetime.fromtimestamp(newest.microseconds / 1_000_000, timezone.utc)
            return [Source("the systemd journal", at, trouble, _ADVICE if alone else "")]
        groups = [[_look_at(path) for path in paths] for paths in (self._logs, self._system_logs)]
        readable = [source for group in groups for source in [one for one in group if not one.trouble][:1]]
        return readable or [
            Source("the systemd journal", None, "there is none, or nothing in it that may be read", _ADVICE),
            *(source for group in groups for source in group),
        ]

    def close(self) -> None:
        for source in self._sources.values():
            source.close()
        self._journal.close()

    def _look(self, kept: Dict[str, str]) -> None:
        """Find the sources that are not read yet, and forget those that are gone for good."""
        self._look_at = time.monotonic() + LOOK_AGAIN_SECONDS
        found = self._find_access_logs()
        if not self._roles.has_own_lines():
            self._find_journal()
        if not self._roles.journal:
            self._find(self._logs, lambda: SystemLog(self._host, _parse_raw, self._roles, of_auth_file=True))
            self._find(self._system_logs, lambda: SystemLog(self._host, _parse_raw, self._roles))
        if self._find([self._audit_log], lambda: AuditLog(self._host, self._roles)):
            self._roles.auditd = not _is_ended(self._audit_log)
        for path in found:
            self._find([path], lambda: AccessLog(self._host))
        if not self._sources:
            names = ", ".join(str(path) for path in (*self._logs, *self._system_logs))
            self._say(
                "", f"neither a systemd journal nor {names} can be read: only heartbeats are sent; looking again each "
                f"{LOOK_AGAIN_SECONDS:.0f} s (the agent's user may need the group adm or systemd-journal)",
            )  # fmt: skip
        seen = {str(path) for path in (*self._logs, *self._system_logs, self._audit_log, *found) if _is_there(path)}
        if self._seen is not None:
            for name in set(kept) - seen - self._seen - set(self._sources) - {JournalSource.name}:
                del kept[name]
        self._seen = seen

    def _find_access_logs(self) -> List[Path]:
        found = []
        for pattern in self._access_logs:
            folder = os.path.dirname(pattern)
            if os.path.isdir(folder) and not os.access(folder, os.R_OK | os.X_OK, effective_ids=_BY_EFFECTIVE_ID):
                self._say(folder, f"{folder} cannot be read: looking again each {LOOK_AGAIN_SECONDS:.0f} s")
            found += [Path(name) for name in sorted(glob.glob(pattern)) if not is_backup(os.path.basename(name))]
        return found

    def _find_journal(self) -> None:
        behind = self._journal.last()
        if behind:
            self._roles.journal_audit = self._journal.last("_TRANSPORT=audit") is not None
            self._add(JournalSource(self._journal, lambda: SystemLog(self._host, _parse_entry, self._roles), behind))

    def _find(self, paths: Sequence[Path], make_teller: Callable[[], Teller[bytes]]) -> bool:
        """Read the first of `paths` that can be read, unless one of them is being read; whether one was found."""
        if any(str(path) in self._sources for path in paths):
            return False
        for path in paths:
            try:
                with path.open("rb"):
                    pass
            except FileNotFoundError:
                continue
            except OSError as error:
                why = error.strerror or error
                self._say(str(path), f"{path} cannot be read ({why}): looking again each {LOOK_AGAIN_SECONDS:.0f} s")
                continue
            is_new = self._seen is not None and str(path) not in self._seen
            self._add(LogFile(self._host, path, make_teller, is_new))
            return True
        return False

    def _add(self, source: LogSource) -> None:
        self._sources[source.name] = source
        self._said.pop(source.name, None)
        self._said.pop("", None)
        log.info("reading %s", source.shown)
        self._assign()

    def _lose(self, name: str, why: object) -> None:
        source = self._sources.pop(name)
        source.close()
        log.warning("%s cannot be read any more (%s): looking again", source.shown, why)
        # a log is away for a moment while it is rotated
        self._look_at = min(self._look_at, time.monotonic() + LOST_SECONDS)
        self._assign()

    def _assign(self) -> None:
        self._roles.journal = JournalSource.name in self._sources
        self._roles.auth_file = any(str(path) in self._sources for path in self._logs)
        self._roles.system_file = any(str(path) in self._sources for path in self._system_logs)
        self._roles.auditd &= str(self._audit_log) in self._sources

    def _say(self, name: str, what: str) -> None:
        """Say of a source what is wrong with it, once."""
        if self._said.get(name) != what:
            log.warning("%s", what)
            self._said[name] = what


def read_line(host: str, event_id: UUID, raw: bytes, now: datetime) -> Optional[Event]:
    """The event that a line of a log file tells by itself, or several of one audit event; `None` when none.

    The line is syslog, an entry of the journal as `journalctl -o json` prints it, auditd's, or a web server's. Nothing
    is counted together: the same file again must tell the same events.
    """

    def make_id() -> UUID:
        return event_id

    text = decode_line(raw)
    if text.startswith(("type=", "node=")):
        records = [record for line in text.split("\n") for record in [parse_record(line)] if record]
        judged = audit_lines.judge(host, make_id, records, records[0].at, others=False) if records else None
        return judged.event if judged else None
    parsed = _parse_raw(raw, now)
    if parsed:
        told = system_log.judge(host, make_id, *parsed)
        return told.event if told else None
    request = web_lines.parse_request(text)
    return web_lines.tell_request(host, make_id, request, text) if request else None


def _is_ended(audit_log: Path) -> bool:
    """Whether the last that auditd wrote is that it ended."""
    try:
        with audit_log.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - LAST_BYTES))
            last = parse_record(decode_line(file.read().rstrip().rsplit(b"\n", 1)[-1]))
    except OSError:
        return False
    return last is not None and last.type in audit_lines.ENDS


def split_records(file: IO[bytes]) -> Iterator[Tuple[int, bytes]]:
    """The lines of `file`, each with its offset; the audit records of one event that follow each other are one."""
    begun, event = 0, b""
    lines: List[bytes] = []
    for offset, raw in split_lines(file):
        found = _EVENT.match(raw)
        own = found.group(1) if found else b""
        if lines and own and own == event and len(lines) < RECORDS_PER_EVENT:
            lines.append(raw)
            continue
        if lines:
            yield begun, b"".join(lines)
        begun, event, lines = offset, own, [raw]
    if lines:
        yield begun, b"".join(lines)


def _parse_entry(entry: Entry, _: datetime) -> Optional[Tuple[Line, str]]:
    return entry.line, entry.text


def _parse_raw(raw: bytes, now: datetime) -> Optional[Tuple[Line, str]]:
    text = decode_line(raw)
    if text.startswith("{"):
        try:
            entry = parse_entry(json.loads(text))
        except (ValueError, KeyError, TypeError, RecursionError, OverflowError):
            return None
        return entry.line, entry.text
    line = parse_line(text, now)
    return (line, text) if line else None


def _is_there(path: Path) -> bool:
    return os.path.exists(path)  # False in a folder that may not be entered, where Path.exists raises


def _look_at(path: Path) -> Source:
    try:
        with path.open("rb"):
            return Source(str(path), datetime.fromtimestamp(path.stat().st_mtime, timezone.utc))
    except OSError as error:
        advice = _ADVICE if isinstance(error, PermissionError) else ""
        return Source(str(path), None, error.strerror or str(error), advice)


def _load(position: Optional[str]) -> Dict[str, str]:
    try:
        kept = json.loads(position or "{}")
    except ValueError:
        return {}
    return {str(key): str(value) for key, value in kept.items()} if isinstance(kept, dict) else {}


make_collector = LinuxCollector
read_file = by_line(read_line, split_records)
