"""What events of Windows tell: one table of rules, from which the documentation and the subscriptions are made.

An event is known by its provider and its number together, for numbers alone are used by many. A failed login is
counted once, where Windows tells of the logon itself (4625): what a domain controller says beside it about Kerberos
(4771) and NTLM (4776) is none. A service's installation is told twice where auditing is on (4697 beside 7045). An
administrator's login with user account control is two logons of Windows' own, and two events.
"""

from __future__ import annotations

import re
from typing import Callable, Dict, List, NamedTuple, Optional, Tuple

from agents.masking import mask
from agents.rules import clean_address
from agents.windows_xml import Record
from core.clock import rfc3339
from core.messages import NO_ADDRESS, EventType
from core.text import printable

_AUDITING = "Microsoft-Windows-Security-Auditing"
_EVENTLOG = "Microsoft-Windows-Eventlog"
_DEFENDER = "Microsoft-Windows-Windows Defender"
_POWERSHELL = "Microsoft-Windows-PowerShell"
_SERVICES = "Service Control Manager"

_DEFENDER_LOG = "Microsoft-Windows-Windows Defender/Operational"
_POWERSHELL_LOG = "Microsoft-Windows-PowerShell/Operational"

LONGEST_FIELD_CHARS = 32 * 1024  # masked and quoted; an event of Windows holds twice that at most

Condition = Callable[[Record], bool]


class Rule(NamedTuple):
    """Events `event_id` of `provider` in the log `channel` for which `holds` is true.

    `fields` go into the message, and the first of `users` that is not empty is the event's user.
    """

    channel: str
    provider: str
    event_id: int
    event_type: EventType
    severity: int
    description: str
    users: Tuple[str, ...]
    fields: Tuple[str, ...]
    holds: Condition = lambda _: True


class Finding(NamedTuple):
    """What an event tells. `user` and `source_ip` are `N/A` when it names none."""

    rule: Rule
    user: str
    source_ip: str
    text: str


# people log on by these; 4 is a batch, 5 a service, 8 and 9 follow another logon
_LOGON_TYPES = ("2", "3", "7", "10", "11")
# LocalSystem, its two services, nobody, and accounts of services, of pools, of virtual machines and of the desktop
_OWN_SIDS = ("S-1-5-18", "S-1-5-19", "S-1-5-20", "S-1-5-7")
_OWN_SID_RANGES = ("S-1-5-80-", "S-1-5-82-", "S-1-5-83-", "S-1-5-90-", "S-1-5-96-")
_OWN_NAMES = ("", "-", "SYSTEM", "LOCAL SERVICE", "NETWORK SERVICE", "ANONYMOUS LOGON")
_SUSPICIOUS_SCRIPT = re.compile(
    r"FromBase64String|-enc(?:odedcommand)?\s|DownloadString|DownloadFile|DownloadData|Net\.Sockets\.TCPClient"
    r"|\bIEX\b|Invoke-Expression|Reflection\.Assembly\]::Load|VirtualAlloc|CreateRemoteThread|amsiInitFailed|AmsiUtils"
    r"|AmsiScanBuffer|Invoke-Mimikatz|sekurlsa|Invoke-Shellcode|-MpPreference\s+-(?:Disable|Exclusion)|MiniDumpWriteDump"
    r"|Clear-EventLog|wevtutil(?:\.exe)?\s+(?:cl|clear-log)\b|vssadmin(?:\.exe)?\s+delete",
    re.IGNORECASE,
)

# fields that people write commands into
_COMMANDS = ("CommandLine", "ScriptBlockText", "ImagePath", "ServiceFileName", "TaskContent")
_WORD = re.compile(r'[^\s"=]+')


def _is_person(sid: str, name: str) -> bool:
    """Whether `name` is none of Windows' own accounts and no machine's."""
    own = sid in _OWN_SIDS or sid.startswith(_OWN_SID_RANGES) or name.upper() in _OWN_NAMES
    return not own and not name.endswith("$")


def _is_persons_login(record: Record) -> bool:
    data = record.data
    person = _is_person(data.get("TargetUserSid", ""), data.get("TargetUserName", ""))
    return person and data.get("LogonType") in _LOGON_TYPES


def _is_persons_logon_with_privileges(record: Record) -> bool:
    return _is_person(record.data.get("SubjectUserSid", ""), record.data.get("SubjectUserName", ""))


def _is_suspicious_script(record: Record) -> bool:
    return _SUSPICIOUS_SCRIPT.search(record.data.get("ScriptBlockText", "")) is not None


def _is_marked_script(record: Record) -> bool:
    return record.level == 3


_LOGON = (
    "TargetUserName", "TargetDomainName", "LogonType", "IpAddress", "IpPort", "WorkstationName", "ProcessName",
    "AuthenticationPackageName",
)  # fmt: skip
_ACCOUNT = ("TargetUserName", "TargetDomainName", "TargetSid", "SubjectUserName", "SubjectDomainName")
_MEMBER = ("MemberName", "MemberSid", *_ACCOUNT)
_BY = ("SubjectUserName", "SubjectDomainName")
_THREAT = ("Threat Name", "Severity Name", "Category Name", "Path", "Process Name", "Detection User", "Action Name")
_SCRIPT = ("Path", "MessageNumber", "MessageTotal", "ScriptBlockId", "ScriptBlockText")


def _security(
    number: int, event_type: EventType, severity: int, description: str,
    users: Tuple[str, ...], fields: Tuple[str, ...], holds: Condition = lambda _: True,
) -> Rule:  # fmt: skip
    return Rule("Security", _AUDITING, number, event_type, severity, description, users, fields, holds)


RULES: Tuple[Rule, ...] = (
    _security(
        4625, "LOGIN_FAIL", 3, "a login failed",
        ("TargetUserName",), (*_LOGON, "Status", "SubStatus", "FailureReason"),
    ),
    _security(
        4624, "LOGIN_SUCCESS", 1, "a person logged in (types 2, 3, 7, 10 and 11)",
        ("TargetUserName",), (*_LOGON, "ElevatedToken"), _is_persons_login,
    ),
    _security(
        4688, "PROCESS_EXEC", 1, "a process was started",
        ("SubjectUserName",), ("NewProcessName", "CommandLine", "NewProcessId", "ParentProcessName", "SubjectUserName",
                               "TargetUserName", "TokenElevationType"),
    ),
    _security(4720, "ACCOUNT_CREATE", 4, "an account was made", ("TargetUserName",), _ACCOUNT),
    _security(4726, "ACCOUNT_DELETE", 3, "an account was deleted", ("TargetUserName",), _ACCOUNT),
    _security(4728, "GROUP_ADD", 3, "a member was added to a global group", ("MemberName", "MemberSid"), _MEMBER),
    _security(4732, "GROUP_ADD", 3, "a member was added to a local group", ("MemberName", "MemberSid"), _MEMBER),
    _security(4756, "GROUP_ADD", 3, "a member was added to a universal group", ("MemberName", "MemberSid"), _MEMBER),
    _security(
        4697, "SERVICE_INSTALL", 3, "a service was installed (audit)",
        ("SubjectUserName",), ("ServiceName", "ServiceFileName", "ServiceStartType", "ServiceAccount", *_BY),
    ),
    Rule(
        "System", _SERVICES, 7045, "SERVICE_INSTALL", 3, "a service was installed",
        ("UserID",), ("ServiceName", "ImagePath", "ServiceType", "StartType", "AccountName"),
    ),
    Rule("Security", _EVENTLOG, 1102, "LOG_TAMPERING", 5, "the Security log was cleared", ("SubjectUserName",), _BY),
    Rule(
        "System", _EVENTLOG, 104, "LOG_TAMPERING", 5, "a log was cleared",
        ("SubjectUserName",), ("Channel", "BackupPath", *_BY),
    ),
    _security(
        4719, "LOG_TAMPERING", 4, "what is audited was changed",
        ("SubjectUserName",), ("CategoryId", "SubcategoryId", "SubcategoryGuid", "AuditPolicyChanges", *_BY),
    ),
    _security(4740, "SYSTEM_ALERT", 3, "an account was locked out", ("TargetUserName",), _ACCOUNT),
    _security(
        4672, "SYSTEM_ALERT", 1, "a person logged in with an administrator's privileges",
        ("SubjectUserName",), (*_BY, "PrivilegeList"), _is_persons_logon_with_privileges,
    ),
    _security(
        4698, "SYSTEM_ALERT", 3, "a scheduled task was made", ("SubjectUserName",), ("TaskName", *_BY, "TaskContent")
    ),
    Rule(
        _DEFENDER_LOG, _DEFENDER, 1116, "SYSTEM_ALERT", 4, "Defender found malware or unwanted software",
        ("Detection User", "UserID"), _THREAT,
    ),
    Rule(
        _DEFENDER_LOG, _DEFENDER, 1117, "SYSTEM_ALERT", 3, "Defender acted on what it had found",
        ("Detection User", "UserID"), _THREAT,
    ),
    Rule(
        _POWERSHELL_LOG, _POWERSHELL, 4104, "SYSTEM_ALERT", 4,
        "PowerShell: a script that loads code, hides it, or works against Defender, AMSI, logs or credentials",
        ("UserID",), _SCRIPT, _is_suspicious_script,
    ),
    Rule(
        _POWERSHELL_LOG, _POWERSHELL, 4104, "SYSTEM_ALERT", 2, "PowerShell: a script that PowerShell itself warns of",
        ("UserID",), _SCRIPT, _is_marked_script,
    ),
)  # fmt: skip


def _table() -> Dict[Tuple[str, int], List[Rule]]:
    table: Dict[Tuple[str, int], List[Rule]] = {}
    for rule in RULES:
        table.setdefault((rule.provider, rule.event_id), []).append(rule)
    return table


_BY_EVENT = _table()


def queries() -> Dict[str, str]:
    """For each log the XPath query of the events that some rule knows: the rest need not leave the event service."""
    numbers: Dict[str, List[int]] = {}
    for rule in RULES:
        known = numbers.setdefault(rule.channel, [])
        if rule.event_id not in known:
            known.append(rule.event_id)
    return {
        channel: f"*[System[{' or '.join(f'EventID={number}' for number in known)}]]"
        for channel, known in numbers.items()
    }


def recognise(record: Record) -> Optional[Finding]:
    """What `record` tells, `None` when no rule knows it."""
    for rule in _BY_EVENT.get((record.provider, record.event_id), ()):
        if rule.holds(record):
            return Finding(rule, _find_user(rule, record), _find_address(record), _write_text(rule, record))
    return None


def _find_user(rule: Rule, record: Record) -> str:
    for name in rule.users:
        # Defender alone writes the domain before the name
        user = record.data.get(name, "").strip().rpartition("\\")[2]
        if user and user != "-":
            return user[:256]
    return NO_ADDRESS


def _find_address(record: Record) -> str:
    """Where a login came from. IPv4 is written as such, and both of this machine's own addresses as one."""
    address = record.data.get("IpAddress", "").strip()
    if address.lower().startswith("::ffff:") and "." in address:
        address = address[7:]
    return "127.0.0.1" if address == "::1" else clean_address(address)


def _write_text(rule: Rule, record: Record) -> str:
    """One line: when, where, what, and the fields that matter, secrets masked."""
    fields = [
        f"{name.replace(' ', '')}={_write_value(name, record.data[name])}"
        for name in rule.fields
        if record.data.get(name, "").strip() not in ("", "-")
    ]
    head = f"{rfc3339(record.at)} {record.computer or 'localhost'} {record.provider} {record.event_id}"
    return f"{head}: {rule.description}: {' '.join(fields)}".replace("\0", "")


def _write_value(name: str, value: str) -> str:
    """On one line, and quoted unless it is one word: no value looks like a field of its own."""
    shown = value[:LONGEST_FIELD_CHARS]
    shown = " ".join((mask(shown) if name in _COMMANDS else shown).split())
    shown = printable(shown, len(shown))
    if _WORD.fullmatch(shown):
        return shown
    return '"' + shown.replace('"', '""') + '"'
