"""What the kernel's audit records tell: one table of rules, from which the documentation is made.

A login or an account is counted where the program says so in its own lines, which the journal or `auth.log` has: that
source wins. `told` names the programs whose lines tell the same, `*` when PAM does so for any program; what they
tell counts here only while neither source is read. Of the records for one refused password PAM's (USER_AUTH) is the
event. sshd's USER_LOGIN is none, for it sends one for the question "none" that each login begins with, but for a user
that does not exist, as in the lines of its own.

Where auditd does not run, journald or the kernel's log has the records one by one. Then a command is told without its
arguments.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Callable, Dict, List, NamedTuple, Optional, Pattern, Sequence, Tuple
from uuid import UUID

from agents.audit_records import Assembler, Record, parse_fields, parse_record
from agents.floods import Flood
from agents.masking import mask
from agents.roles import Roles
from agents.rules import clean_address
from agents.syslog import cut, decode_line
from core.ids import uuid7
from core.messages import NO_ADDRESS, Event, EventType

WINDOW_SECONDS = 60.0
LONGEST_COMMAND = 32 * 1024
ENDS = ("DAEMON_END", "DAEMON_ABORT")
_SHADOW = ("useradd", "userdel", "usermod", "groupadd", "groupdel", "groupmod", "gpasswd", "groupmems", "adduser")
_ARGUMENT = re.compile(r"a(\d{1,6})(?:\[(\d{1,5})\])?$")
# execve and execveat of x86_64, aarch64 and i386, where nothing has put a name to the number
_EXECUTIONS = {("c000003e", "59"), ("c000003e", "322"), ("c00000b7", "221"), ("c00000b7", "281"), ("40000003", "11"),
               ("40000003", "358")}  # fmt: skip


class AuditRule(NamedTuple):
    """Records of `types` whose fields are what `fields` say (`""`: the whole text)."""

    types: Tuple[str, ...]
    fields: Dict[str, Pattern[str]]
    event_type: EventType
    severity: int
    description: str
    told: Tuple[str, ...] = ()
    folded: bool = False


def _rule(
    types: str, fields: str, event_type: EventType, severity: int, description: str,
    told: Sequence[str] = (), folded: bool = False,
) -> AuditRule:  # fmt: skip
    """`fields` are `name~pattern`, separated by two spaces."""
    wanted = dict(field.split("~", 1) for field in fields.split("  ")) if fields else {}
    patterns = {name: re.compile(pattern) for name, pattern in wanted.items()}
    return AuditRule(tuple(types.split()), patterns, event_type, severity, description, tuple(told), folded)


RULES: Tuple[AuditRule, ...] = (
    _rule(
        "USER_AUTH", "op~PAM:authentication  res~failed",
        "LOGIN_FAIL", 3, "audit: PAM refused somebody (where neither the journal nor syslog's files are read)", "*",
    ),
    _rule(
        "USER_LOGIN", r"exe~.*/sshd(?:-\w+)?  acct~\(unknown user\)  res~failed",
        "LOGIN_FAIL", 3, "audit: a user unknown to sshd (where neither the journal nor syslog's files are read)", "*",
    ),
    _rule(
        "ADD_USER", "op~adding user|add-user  res~success",
        "ACCOUNT_CREATE", 4, "audit: a new account (where useradd's own line is not read)", _SHADOW,
    ),
    _rule(
        "DEL_USER", "op~deleting user|deleting user entries|delete-user  res~success",
        "ACCOUNT_DELETE", 3, "audit: an account deleted (where userdel's own line is not read)", _SHADOW,
    ),
    _rule(
        "ADD_GROUP", "op~adding group|add-group  res~success",
        "GROUP_ADD", 3, "audit: a new group (where groupadd's own line is not read)", _SHADOW,
    ),
    _rule(
        "GRP_MGMT USER_MGMT", "op~adding user to group|add-user-to-group  res~success",
        "GROUP_ADD", 3, "audit: a member added to a group (where usermod's own line is not read)", _SHADOW,
    ),
    _rule(
        "CONFIG_CHANGE", "audit_enabled~0  old~[12]",
        "LOG_TAMPERING", 5, "audit: auditing switched off",
    ),
    _rule(
        "CONFIG_CHANGE", "op~remove(?:[_ ]rule)?  res~1",
        "LOG_TAMPERING", 5, "audit: a rule deleted", folded=True,
    ),
    _rule(" ".join(ENDS), "", "LOG_TAMPERING", 5, "audit: auditd ended"),
    _rule("ANOM_ABEND", "", "CRITICAL_ERROR", 3, "audit: a program crashed", folded=True),
    _rule(
        "AVC USER_AVC", r"~.*?\bavc:\s{1,4}denied\b.*|.*?\bapparmor=\"DENIED\".*",
        "SYSTEM_ALERT", 3, "audit: SELinux or AppArmor denied an access", folded=True,
    ),
    _rule("SECCOMP", "", "SYSTEM_ALERT", 3, "audit: a system call that seccomp forbids", folded=True),
    _rule(
        "ANOM_PROMISCUOUS", "prom~[1-9]\\d*  old_prom~0",
        "SYSTEM_ALERT", 3, "audit: a network interface listens to what is not addressed to it", folded=True,
    ),
    _rule("EXECVE", "key~.+", "PROCESS_EXEC", 1, "audit: a command for which a rule with a key is set"),
)  # fmt: skip
_EXECUTED = RULES[-1]
_TELLING = {name for rule in RULES for name in rule.types} - {"EXECVE"} | {"SYSCALL"}


class Judged(NamedTuple):
    """What records tell; `kind` is what more of the same are counted by, `None` where each is told."""

    event: Event
    kind: Optional[Tuple[str, ...]]


def judge(
    host: str, make_id: Callable[[], UUID], records: Sequence[Record], at: datetime, text: str = "", others: bool = True
) -> Optional[Judged]:
    """What the records of one event tell; `others` says whether logins' and accounts' own lines are read as well.

    `text` is what the event shall show in place of the record.
    """
    parsed = [(record, parse_fields(record.body)) for record in records if record.type in _TELLING]
    for record, fields in parsed:
        rule = _find_rule(record, fields)
        if rule and not (others and _is_told(rule, fields)):
            return _tell(host, make_id, rule, fields, at, text or _show(record))
    calls = [(record, fields) for record, fields in parsed if record.type == "SYSCALL" and fields.get("key")]
    commands = [record for record in records if record.type == "EXECVE"]
    if calls and (commands or _is_execution(calls[0][1])):
        record, fields = calls[0]
        command = _command_line(commands)
        shown = (text or _show(record)) + (f" command: {command}" if command else "")
        return _tell(host, make_id, _EXECUTED, fields, at, shown)
    return None


def _find_rule(record: Record, fields: Dict[str, str]) -> Optional[AuditRule]:
    for rule in RULES[:-1]:
        if record.type in rule.types and all(
            pattern.fullmatch(fields.get(name, "") if name else record.body) for name, pattern in rule.fields.items()
        ):
            return rule
    return None


def _is_told(rule: AuditRule, fields: Dict[str, str]) -> bool:
    return "*" in rule.told or fields.get("exe", "").rsplit("/", 1)[-1] in rule.told


def _is_execution(fields: Dict[str, str]) -> bool:
    return fields.get("SYSCALL", "").startswith("execve") or (fields.get("arch"), fields.get("syscall")) in _EXECUTIONS


def _tell(
    host: str, make_id: Callable[[], UUID], rule: AuditRule, fields: Dict[str, str], at: datetime, text: str
) -> Judged:
    # of a group that is made, the account is the group
    account = "" if "ADD_GROUP" in rule.types else fields.get("acct") or fields.get("ID") or fields.get("id")
    user = (account or fields.get("AUID") or fields.get("auid") or "").strip()[:256] or NO_ADDRESS
    address = clean_address(fields.get("addr") or fields.get("hostname"))
    event = Event(make_id(), at, host, "LINUX", rule.event_type, rule.severity, cut(text), address, user)
    what = (fields.get("comm") or fields.get("exe") or fields.get("profile") or fields.get("dev") or "")[:64]
    return Judged(event, (rule.description, what, user) if rule.folded else None)


def _show(record: Record) -> str:
    body = record.body.replace("\x1d", " ")
    return f"type={record.type} msg=audit({record.serial}): {body}"


def _command_line(records: Sequence[Record]) -> str:
    """The arguments in their order, without what looks like a secret; a long one is spread over fields and records."""
    pieces: List[Tuple[int, int, str]] = []
    for record in records:
        for name, value in parse_fields(record.body).items():
            found = _ARGUMENT.match(name)
            if found:
                pieces.append((int(found.group(1)), int(found.group(2) or 0), value))
    arguments: Dict[int, str] = {}
    for number, _, value in sorted(pieces, key=lambda piece: piece[:2]):
        arguments[number] = arguments.get(number, "") + value
    quoted = (f"'{text}'" if " " in text or not text else text for text in arguments.values())
    return mask(" ".join(quoted)[:LONGEST_COMMAND])


class AuditLog:
    """What the lines of `audit.log` tell, one after another: see `agents.progress.Teller`.

    `roles` say whether the lines of logins and accounts are read as well, and hear whether auditd goes on.
    """

    def __init__(self, host: str, roles: Roles) -> None:
        self._host, self._roles = host, roles
        self._assembler = Assembler()
        self._flood = Flood(WINDOW_SECONDS, "of other records")

    @property
    def waits(self) -> bool:
        return self._assembler.waits or self._flood.waits

    def tell(self, raw: bytes, now: datetime) -> List[Event]:
        record = parse_record(decode_line(raw))
        if record is None:
            return []
        self._roles.auditd = record.type not in ENDS
        seconds = min(record.seconds, now.timestamp())
        return self._flood.due(seconds) + self._tell(self._assembler.add(record))

    def due(self, seconds: float) -> Optional[List[Event]]:
        whole = self._assembler.due(seconds)
        if not whole and not self._flood.is_due(seconds):
            return None
        return self._tell(whole) + self._flood.due(seconds)

    def _tell(self, whole: Sequence[Sequence[Record]]) -> List[Event]:
        events: List[Event] = []
        for records in whole:
            judged = judge(self._host, uuid7, records, records[0].at, others=self._roles.has_own_lines())
            if judged and judged.kind:
                events += self._flood.fold(judged.event, judged.kind, records[0].seconds)
            elif judged:
                events.append(judged.event)
        return events
