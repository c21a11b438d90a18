"""From an event to records with Sigma's fields: what the agents wrote into `raw_message` is taken out of it again.

A record's fields are read when a rule first asks for one, and once for all rules. Whatever stands in a message, nothing
raises, and no pattern takes more than linear time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Protocol

from core.messages import NO_ADDRESS
from watch.sigma.audit import TYPES, read_audit, read_command
from watch.sigma.kinds import (
    AUDIT,
    BLOCKED_QUERY,
    EXECUTED,
    LINE,
    MACOS_EXECUTED,
    OWN_FIELDS,
    WEB,
    WINDOWS,
)
from watch.sigma.web import read_request

Fields = dict[str, str]


class Event(Protocol):
    """What is asked of an event; `store.rows.StoredEvent` has it."""

    @property
    def os_type(self) -> str: ...
    @property
    def event_type(self) -> str: ...
    @property
    def raw_message(self) -> str: ...


class Record:
    """One record of an event: its kind (see `watch.sigma.kinds`), and its fields, in the letters of the message."""

    __slots__ = ("_fields", "_folded", "_read", "event", "kind", "more")

    def __init__(self, kind: str, event: Event, read: Callable[[], Fields], more: str = "") -> None:
        self.kind, self.event = kind, event
        self.more = more  # what the fields say and the message has in another form
        self._read = read
        self._fields: Fields | None = None
        self._folded: Fields = {}

    def get(self, field: str) -> str | None:
        """The value of `field`, `None` when the record has none."""
        if self._fields is None:
            self._fields = self._read()
        found = self._fields.get(field)
        if found is None and field in _OF_EVENT:
            own = getattr(self.event, field, None)
            return str(own) if own not in (None, "", NO_ADDRESS) else None
        return found

    def fold(self, field: str) -> str | None:
        """As `get`, without a difference between capital and small letters."""
        found = self._folded.get(field)
        if found is None:
            value = self.get(field)
            if value is None:
                return None
            found = self._folded[field] = value.casefold()
        return found


_OF_EVENT = frozenset(OWN_FIELDS)
_FOUND = re.compile(r"^\[[^\]]{1,128}\] ")  # what was found in a request stands before it
_REPEATED = re.compile(r"\[\d{1,12} more within [^\]]{1,80}\] ")


def read_records(event: Event) -> list[Record]:
    """The records of `event`; the first is the whole line."""
    line = LINE.get(event.os_type)
    if line is None:
        return []
    text = event.raw_message
    repeated = _REPEATED.match(text) if text[:1] == "[" else None
    if repeated:
        text = text[repeated.end() :]
    more = _MORE.get(event.os_type)
    return [Record(line, event, lambda: _line_fields(text)), *(more(event, text) if more else ())]


# of Windows, as the agent writes it: `TIME COMPUTER PROVIDER NUMBER: DESCRIPTION: NAME=VALUE NAME="VALUE" …`

_HEAD = re.compile(r"\S{1,64} (\S{1,255}) (.{1,64}?) (\d{1,10}): ")
_FIRST = re.compile(r": (?=\w{1,64}=)")
_PAIR = re.compile(r'(\w{1,64})=(?:"([^"]*(?:""[^"]*)*)"?|([^\s"=]*)) ?')


def _windows(event: Event, text: str) -> Iterator[Record]:
    head = _HEAD.match(text)
    told = WINDOWS.get(int(head[3])) if head else None
    if head is None or told is None or head[2] != told[1]:
        return
    begin = head.end() - 2
    more = text.replace('""', '"') if '""' in text else ""
    yield Record(f"windows/{head[3]}", event, lambda: _windows_fields(text, begin, head[1]), more)


def _windows_fields(text: str, begin: int, computer: str) -> Fields:
    fields = {"Computer": computer}
    first = _FIRST.search(text, begin)
    at = first.end() if first else len(text)
    while pair := _PAIR.match(text, at):
        name, quoted, word = pair.groups()
        fields.setdefault(name, quoted.replace('""', '"') if quoted is not None else word)
        at = pair.end()
    return fields


# lines of syslog, and of macOS' unified log in the same form

_PROGRAM = r"(?P<program>[^\s:\[\]]{1,128})(?:\[[^\]\s]{1,32}\])?: ?"
_LINE = re.compile(
    r"(?:<\d{1,3}>)?(?:"
    r"1 \S{1,40} \S{1,255} (?P<of5424>\S{1,128}) \S{1,128} \S{1,32} "
    r'(?:-|(?:\[[^"\]]*(?:"[^"\\]*(?:\\.[^"\\]*)*"[^"\]]*)*\])+) ?\ufeff?'
    r"|(?:[A-Z][a-z]{2} [ 0-3]?\d (?:\d{4} )?\d\d:\d\d:\d\d(?:\.\d{1,9})?(?: \d{4})?"
    r"|\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d\S{0,20})"
    r" (?:\S{0,255}[^\s:] )?(?:[a-z]\w{1,9}\.[a-z]{3,7} )?" + _PROGRAM + r")"
)
_STAMP = re.compile(r"\[ {0,8}\d{1,10}\.\d{1,9}\] ")
# what sudo tells of a command, whether it ran it or not
_SUDO = re.compile(r"\s{0,64}\S{1,256} : (?P<told>.{0,4096}?)(?: ; COMMAND=(?P<command>.*))?$", re.DOTALL)
_SUDO_FIELD = re.compile(r"(?:^|; )(USER|TTY|PWD|GROUP|HOST|ENV|TSID|CHROOT)=([^;]{1,4096}?) ?(?=;|$)")
_PKEXEC = re.compile(r"\S{1,256}: Executing command \[USER=(\S{1,256}?)\] .{0,4096}?\[COMMAND=(.*)\]$", re.DOTALL)
_DOAS = re.compile(r"\S{1,256} ran command (.*) as (\S{1,256}) from ", re.DOTALL)


def _split(text: str) -> tuple[str, str]:
    """The program of a line and what it says; twice empty when it is no line of a log."""
    found = _LINE.match(text)
    return (found["of5424"] or found["program"], text[found.end() :]) if found else ("", "")


def _line_fields(text: str) -> Fields:
    program, message = _split(text)
    if not program:
        return {}
    fields = {"program": program}
    if program == "sudo" and (head := _SUDO.match(message)):
        fields |= dict(_SUDO_FIELD.findall(head["told"]))
        if head["command"]:
            fields["COMMAND"] = head["command"]
    return fields


def _find_command(program: str, message: str) -> Fields:
    """What a line of sudo, pkexec or doas tells of a command that it ran; empty when it ran none."""
    # what stands before these says why it was refused
    if program == "sudo" and (ran := _SUDO.match(message)) and ran["command"] and _SUDO_FIELD.match(ran["told"]):
        told = dict(_SUDO_FIELD.findall(ran["told"]))
        fields = _of_command(ran["command"], told.get("USER", "root"))
        return fields | {"CurrentDirectory": told["PWD"]} if "PWD" in told else fields
    if program == "pkexec" and (ran := _PKEXEC.match(message)):
        return _of_command(ran[2], ran[1])
    if program == "doas" and (ran := _DOAS.match(message)):
        return _of_command(ran[1], ran[2])
    return {}


def _of_command(command: str, user: str) -> Fields:
    return {"Image": command.partition(" ")[0], "CommandLine": command, "User": user}


def _macos(event: Event, text: str) -> Iterator[Record]:
    program, message = _split(text)
    fields = _find_command(program, message)
    if fields:
        yield Record(MACOS_EXECUTED, event, lambda: fields)


_QUERY = re.compile(r"Pi-hole blocked (\S{1,1024}) \(([^()]{1,256})\) for ")


def _pihole(event: Event, text: str) -> Iterator[Record]:
    found = _QUERY.match(text)
    if found:
        yield Record(BLOCKED_QUERY, event, lambda: {"query": found[1], "record_type": found[2]})


# Linux: lines as above, records of auditd, and requests to a web server


def _linux(event: Event, text: str) -> Iterator[Record]:
    if event.event_type == "WEB_ATTACK":
        yield Record(WEB, event, lambda: read_request(_FOUND.sub("", text, count=1)))
        return
    if text.startswith(("type=", "node=")):
        yield from _audit(event, text, "")
        return
    program, message = _split(text)
    if program in ("audit", "kernel"):
        yield from _audit(event, _STAMP.sub("", message, count=1), program)
    elif fields := _find_command(program, message):
        yield Record(EXECUTED, event, lambda: fields)


_RECORD = re.compile(
    r"(?:node=\S{1,255} )?(?:audit: )?(?:type=)?(?:<audit-)?(?P<type>[A-Z][A-Z0-9_]{0,31}|\d{1,5})>? "
    r"(?:(?:msg=)?audit\([\d.:]{1,40}\): ?)?"
)
_HEXADECIMAL = re.compile(r"\b(?:acct|exe|comm|cmd|key|name|cwd)=[0-9A-F]{2}")
_RAN = " command: "


def _audit(event: Event, text: str, program: str) -> Iterator[Record]:
    found = _RECORD.match(text)
    # of the kernel's own lines those of audit alone are records
    if found is None or (program == "kernel" and "audit(" not in found[0]):
        return
    name = TYPES.get(found["type"], found["type"])
    if name not in AUDIT:
        return
    body, ran, command = text[found.end() :].partition(_RAN) if name == "SYSCALL" else (text[found.end() :], "", "")
    fields: Fields = {}

    def read() -> Fields:
        if not fields:
            fields.update(read_audit(name, body))
        return fields

    more = "\n".join(read().values()) if _HEXADECIMAL.search(body) else ""
    yield Record(f"audit/{name}", event, read, more)
    if name == "SYSCALL":
        arguments = read_command(command)
        if ran:
            yield Record("audit/EXECVE", event, lambda: _of_arguments(arguments))
        quoted = " ".join(arguments) if "'" in command else ""
        yield Record(EXECUTED, event, lambda: _of_audit(read(), arguments), f"{more}\n{quoted}")


def _of_arguments(arguments: list[str]) -> Fields:
    return {"type": "EXECVE", **{f"a{number}": argument for number, argument in enumerate(arguments)}}


def _of_audit(record: Fields, arguments: list[str]) -> Fields:
    """Fields of a process. The user is the one whom it runs as, by name where that is told, or root, or the number."""
    user = record.get("UID") or {"0": "root"}.get(record.get("uid", ""), record.get("uid"))
    named = {
        "Image": record.get("exe"), "User": user, "ProcessId": record.get("pid"), "ParentProcessId": record.get("ppid"),
        "CommandLine": " ".join(arguments) or None,
    }  # fmt: skip
    return {name: value for name, value in named.items() if value}


_MORE = {"WINDOWS": _windows, "LINUX": _linux, "MACOS": _macos, "PIHOLE": _pihole}
