"""The kernel's audit records: taken apart, and those of one event put together again.

The format is auditd's (`auditd.conf(5)`, `log_format` RAW and ENRICHED): `type=NAME msg=audit(SECONDS:SERIAL): FIELDS`,
and behind a group separator, when enriched, the same once more with names for numbers. A value that is not quoted may
be hexadecimal, of fields that somebody else may choose. journald and the kernel's own log leave out type or stamp.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from datetime import datetime, timedelta, timezone
from typing import Dict, List, NamedTuple, Optional

from core.audit import TYPES, decode_value, find_operation

GROUPS_OPEN = 1_000
RECORDS_PER_EVENT = 256
WAIT_SECONDS = 2.0  # as auditd's own tools wait for the rest of an event

# of the records that the kernel writes several of for one event, those that tell something
_OF_SEVERAL = ("SYSCALL", "EXECVE", "CONFIG_CHANGE", "AVC", "SECCOMP", "ANOM_PROMISCUOUS", "ANOM_ABEND")
_LAST = ("EOE", "PROCTITLE")  # auditd keeps EOE to itself in most versions, and PROCTITLE is the last before it
_BESIDE = ("CWD", "PATH", "SOCKADDR", "OBJ_PID", "MMAP", "BPRM_FCAPS", "CAPSET", "FD_PAIR", "IPC", "NETFILTER_CFG",
           "KERN_MODULE", "MAC_POLICY_LOAD", "URINGOP", "OPENAT2", "FANOTIFY", "TIME_ADJNTPVAL")  # fmt: skip

_RECORD = re.compile(
    r"(?:node=\S{1,255} )?type=(?P<type>[A-Z][A-Z0-9_]{0,31}|UNKNOWN\[\d{1,5}\]) "
    r"msg=audit\((?P<seconds>\d{1,11})\.(?P<ms>\d{1,3}):(?P<serial>\d{1,20})\): ?(?P<body>.*)$",
    re.DOTALL,
)
_PRINTED = re.compile(
    r"(?:\[ {0,8}\d{1,10}\.\d{1,9}\] )?(?:audit: )?type=(?P<type>\d{1,5}) "
    r"audit\(\d{1,11}\.\d{1,3}:\d{1,20}\): ?(?P<body>.*)$",
    re.DOTALL,
)
_JOURNALED = re.compile(r"(?:<audit-(?P<number>\d{1,5})>|(?P<type>[A-Z][A-Z0-9_]{0,31})) (?P<body>.*)$", re.DOTALL)
_FIELD = re.compile(r"""(?<![\w\]-])([\w-]{1,32}(?:\[\d{1,5}\])?)=("[^"]*"|'[^']*'|[^\s"']+)""")
# what somebody else may choose, and an argument of EXECVE, is never without quotes unless it is hexadecimal
_ENCODED = re.compile(r"(?:acct|exe|comm|cmd|key|name|cwd|a\d{1,6}(?:\[\d{1,5}\])?)$")
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


class Record(NamedTuple):
    """One record: `serial` names the event that it is of, `seconds` are since 1970."""

    type: str
    serial: str
    seconds: float
    body: str

    @property
    def at(self) -> datetime:
        """When, in UTC."""
        return _EPOCH + timedelta(seconds=self.seconds)  # eleven digits of seconds are the year 5138


def parse_record(text: str) -> Optional[Record]:
    """A line of `audit.log`, `None` when it is none."""
    found = _RECORD.match(text)
    if not found:
        return None
    name, seconds, ms, serial, body = found.group("type", "seconds", "ms", "serial", "body")
    return Record(name, f"{seconds}.{ms}:{serial}", float(f"{seconds}.{ms}"), body)


def parse_message(program: str, message: str) -> Optional[Record]:
    """A record in a line of the journal (`audit`) or of the kernel's log, without its stamp; `None` when it is none."""
    if program == "audit":
        found = _JOURNALED.match(message)
        if found:
            name = found.group("type") or TYPES.get(found.group("number"), "")
            return Record(name, "", 0.0, found.group("body"))
    elif program == "kernel":
        found = _PRINTED.match(message)
        if found:
            return Record(TYPES.get(found.group("type"), ""), "", 0.0, found.group("body"))
    return None


def parse_fields(body: str) -> Dict[str, str]:
    """The fields of a record, those within `msg='…'` too, decoded; the names that enrichment adds are in capitals."""
    plain, _, added = body.partition("\x1d")
    fields: Dict[str, str] = {}
    # the message is written by a program, and may not name what the kernel said before it
    kernels, quote, programs = plain.partition("msg='")
    for part in (kernels, programs.rstrip().rstrip("'") if quote else "", added):
        for name, value in _FIELD.findall(part):
            fields.setdefault(name, decode_value(value, _ENCODED.match(name) is not None))
    operation = find_operation(programs)
    if operation:
        fields["op"] = operation
    return fields


def has_more(record: Record) -> bool:
    """Whether other records may be of the same event: those of the kernel; a program's is alone."""
    return record.type in _OF_SEVERAL or record.type in _BESIDE or record.type in _LAST


class Assembler:
    """Puts the records of one event together, in whatever order those of several come.

    An event is whole at its last record, or when `WAIT_SECONDS` have passed by the records' own stamps. At most
    `GROUPS_OPEN` events are waited for, and of each `RECORDS_PER_EVENT` records are kept.
    """

    def __init__(self) -> None:
        self._open: OrderedDict[str, List[Record]] = OrderedDict()

    @property
    def waits(self) -> bool:
        """Whether an event is not whole yet."""
        return bool(self._open)

    def add(self, record: Record) -> List[List[Record]]:
        """The events that are whole with `record`; those that waited too long come first."""
        whole = self.due(record.seconds) if self._open else []
        if not has_more(record):
            return [*whole, [record]]
        if record.type in _LAST:
            records = self._open.pop(record.serial, [])
            return [*whole, records] if records else whole
        records = self._open.setdefault(record.serial, [])
        # one of several is enough to wait for the others by, and the rest tells nothing
        if len(records) < RECORDS_PER_EVENT and (record.type in _OF_SEVERAL or not records):
            records.append(record)
        if len(self._open) > GROUPS_OPEN:
            whole.append(self._open.popitem(last=False)[1])
        return whole

    def due(self, now: float) -> List[List[Record]]:
        """The events that are waited for no more at `now`, in seconds since 1970."""
        late = [serial for serial, records in self._open.items() if now - records[0].seconds >= WAIT_SECONDS]
        return [self._open.pop(serial) for serial in late]
