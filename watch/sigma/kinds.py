"""What agents tell, in Sigma's words: kinds of records, and the fields that each has.

A rule is converted for each kind by itself. What a kind never tells is unknown there, and what is always the same in
it, such as the number of an event of Windows, is known already: so a rule is looked at only where it can be true.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

LINE = {"WINDOWS": "windows/line", "LINUX": "linux/line", "MACOS": "macos/line", "PIHOLE": "pihole/line",
        "FIREWALL": "firewall/line"}  # fmt: skip
# of every event, whatever its kind; exactly these names
OWN_FIELDS = ("source_host", "os_type", "event_type", "severity", "source_ip", "user", "raw_message")
EXECUTED = "linux/process"
MACOS_EXECUTED = "macos/process"
WEB = "linux/web"
BLOCKED_QUERY = "pihole/query"
CREATED = "windows/4688"


class Kind(NamedTuple):
    """One kind of record.

    `fields` are by the names that rules may call them, `loose` by those names in small letters, where case is of no
    matter. `constants` are the same in each record, and `only` are all values that occur.
    `unsure` fields are not told where the host does not audit them, or another program told the same. `derived` ones do
    not stand in the message as they are. With `arguments` there are a0, a1 and so on.
    """

    name: str
    fields: Mapping[str, str]
    loose: Mapping[str, str] = {}
    constants: Mapping[str, str] = {}
    only: Mapping[str, frozenset[str]] = {}
    unsure: frozenset[str] = frozenset()
    derived: frozenset[str] = frozenset()
    arguments: bool = False

    def find(self, field: str) -> str | None:
        """The field of the record that a rule calls `field`; `None` when the record never has it."""
        found = self.fields.get(field) or self.loose.get(field.lower().replace(" ", ""))
        if found:
            return found
        if self.arguments and field[:1] == "a" and field[1:].isdecimal() and len(field) < 8:
            return f"a{int(field[1:])}"
        return field if field in OWN_FIELDS else None


_AUDITING = "Microsoft-Windows-Security-Auditing"
_EVENTLOG = "Microsoft-Windows-Eventlog"
_DEFENDER = "Microsoft-Windows-Windows Defender"
_POWERSHELL = "Microsoft-Windows-PowerShell"
_DEFENDER_LOG = f"{_DEFENDER}/Operational"
_POWERSHELL_LOG = f"{_POWERSHELL}/Operational"

_LOGON = (
    "TargetUserName TargetDomainName LogonType IpAddress IpPort WorkstationName ProcessName AuthenticationPackageName"
)
_ACCOUNT = "TargetUserName TargetDomainName TargetSid SubjectUserName SubjectDomainName"
_MEMBER = f"MemberName MemberSid {_ACCOUNT}"
_BY = "SubjectUserName SubjectDomainName"
_THREAT = "ThreatName SeverityName CategoryName Path ProcessName DetectionUser ActionName"
_PROCESS = "NewProcessName NewProcessId ParentProcessName SubjectUserName TargetUserName TokenElevationType"

# number: log, provider, and the fields that the agent's message has of it
WINDOWS: Mapping[int, tuple[str, str, str]] = {
    4625: ("Security", _AUDITING, f"{_LOGON} Status SubStatus FailureReason"),
    4624: ("Security", _AUDITING, f"{_LOGON} ElevatedToken"),
    4688: ("Security", _AUDITING, f"{_PROCESS} CommandLine"),
    4720: ("Security", _AUDITING, _ACCOUNT),
    4726: ("Security", _AUDITING, _ACCOUNT),
    4728: ("Security", _AUDITING, _MEMBER),
    4732: ("Security", _AUDITING, _MEMBER),
    4756: ("Security", _AUDITING, _MEMBER),
    4697: ("Security", _AUDITING, f"ServiceName ServiceFileName ServiceStartType ServiceAccount {_BY}"),
    7045: ("System", "Service Control Manager", "ServiceName ImagePath ServiceType StartType AccountName"),
    1102: ("Security", _EVENTLOG, _BY),
    104: ("System", _EVENTLOG, f"Channel BackupPath {_BY}"),
    4719: ("Security", _AUDITING, f"CategoryId SubcategoryId SubcategoryGuid AuditPolicyChanges {_BY}"),
    4740: ("Security", _AUDITING, _ACCOUNT),
    4672: ("Security", _AUDITING, f"{_BY} PrivilegeList"),
    4698: ("Security", _AUDITING, f"TaskName {_BY} TaskContent"),
    1116: (_DEFENDER_LOG, _DEFENDER, _THREAT),
    1117: (_DEFENDER_LOG, _DEFENDER, _THREAT),
    4104: (_POWERSHELL_LOG, _POWERSHELL, "Path MessageNumber MessageTotal ScriptBlockId ScriptBlockText"),
}
_LOGS = {"security": "Security", "system": "System", "windefend": _DEFENDER_LOG, "powershell": _POWERSHELL_LOG}
_LOGON_TYPES = frozenset({"2", "3", "7", "10", "11"})  # the agent tells of no others that succeeded
_AS_OF_PROCESSES = {"image": "NewProcessName", "parentimage": "ParentProcessName"}

_BY_PROGRAM = "pid uid auid ses subj op acct exe hostname addr terminal res grantors grp id UID AUID ID SAUID"
_BY_KERNEL = (
    "arch syscall success exit a0 a1 a2 a3 items ppid pid auid uid gid euid suid fsuid egid sgid fsgid tty ses comm "
    "exe subj key ARCH SYSCALL AUID UID GID EUID SUID FSUID EGID SGID FSGID"
)
# type of the record: the fields that it may have, beside `type`
AUDIT: Mapping[str, str] = {
    "SYSCALL": _BY_KERNEL,
    "EXECVE": "",
    **dict.fromkeys(
        ("USER_AUTH", "USER_LOGIN", "ADD_USER", "DEL_USER", "ADD_GROUP", "GRP_MGMT", "USER_MGMT"), _BY_PROGRAM
    ),
    **dict.fromkeys(("DAEMON_END", "DAEMON_ABORT"), "op ver format kernel auid uid ses pid subj res AUID UID"),
    "CONFIG_CHANGE": "op key list res auid ses subj audit_enabled old AUID",
    "ANOM_ABEND": "auid uid gid ses subj pid comm exe reason sig res AUID UID GID",
    **dict.fromkeys(
        ("AVC", "USER_AVC"),
        "pid comm exe name path dev ino scontext tcontext tclass permissive apparmor operation profile requested_mask "
        "denied_mask fsuid ouid uid auid UID AUID FSUID OUID",
    ),
    "SECCOMP": "auid uid gid ses subj pid comm exe sig arch syscall compat ip code AUID UID GID ARCH SYSCALL",
    "ANOM_PROMISCUOUS": "dev prom old_prom auid uid gid ses AUID UID GID",
}
_EXECUTIONS = frozenset({"execve", "execveat"})  # no other call of SYSCALL is an event

_OF_LINES = ("program", "USER", "TTY", "PWD", "COMMAND")  # those in capitals are sudo's
_WEB_FIELDS = {
    "c-ip": "c-ip", "cs-method": "cs-method", "c-uri": "c-uri", "cs-uri": "c-uri", "cs-uri-stem": "cs-uri-stem",
    "cs-uri-query": "cs-uri-query", "c-uri-query": "cs-uri-query", "sc-status": "sc-status", "cs-referer": "cs-referer",
    "cs-user-agent": "cs-user-agent", "c-useragent": "cs-user-agent",
}  # fmt: skip


def _windows(number: int) -> Kind:
    channel, provider, told = WINDOWS[number]
    names = told.split()
    fields = {name: name for name in (*names, "Computer")}
    constants = {"EventID": str(number), "Provider_Name": provider, "Channel": channel}
    if "Channel" in names:  # of the log that was cleared
        del constants["Channel"]
    loose = {name.lower(): name for name in fields} | {"hostname": "Computer", "computername": "Computer"}
    loose |= {name.lower(): name for name in constants}
    if number == 4688:
        loose |= _AS_OF_PROCESSES
    return Kind(
        f"windows/{number}", fields, loose, constants, {"LogonType": _LOGON_TYPES} if number == 4624 else {},
        frozenset({"CommandLine", "ParentProcessName"} if number == 4688 else ()),
    )  # fmt: skip


def _audit(name: str) -> Kind:
    fields = {one: one for one in (*AUDIT[name].split(), "type")}
    only = {"SYSCALL": _EXECUTIONS} if name == "SYSCALL" else {}
    return Kind(
        f"audit/{name}", fields, {}, {"type": name}, only, derived=frozenset({"SYSCALL"}),
        arguments=name == "EXECVE",
    )  # fmt: skip


def _processes(name: str, *fields: str, unsure: tuple[str, ...] = ()) -> Kind:
    loose = {field.lower(): field for field in (*fields, *unsure)}
    named = {field: field for field in (*fields, *unsure)}
    return Kind(name, named, loose, unsure=frozenset(unsure), derived=frozenset({"User"}))


def _lines(name: str, *fields: str) -> Kind:
    return Kind(name, dict(zip(fields, fields, strict=True)))


def _table() -> dict[str, Kind]:
    kinds = [
        *(_windows(number) for number in WINDOWS),
        *(_audit(name) for name in AUDIT),
        _processes(
            EXECUTED, "Image", "User", unsure=("CommandLine", "ProcessId", "ParentProcessId", "CurrentDirectory"),
        ),
        _processes(MACOS_EXECUTED, "Image", "CommandLine", "User", "CurrentDirectory"),
        Kind(WEB, _WEB_FIELDS, derived=frozenset({"c-uri", "cs-uri-stem", "cs-uri-query", "cs-referer",
                                                  "cs-user-agent"})),
        _lines(BLOCKED_QUERY, "query", "record_type"),
        *(_lines(name, *(_OF_LINES if name in ("linux/line", "macos/line") else ())) for name in LINE.values()),
    ]  # fmt: skip
    return {kind.name: kind for kind in kinds}


KINDS = _table()

_PROCESSES = {
    "windows": (CREATED,), "linux": (EXECUTED,), "macos": (MACOS_EXECUTED,),
}  # fmt: skip
_AUTH_PROGRAMS = (
    "sshd", "sshd-session", "sshd-auth", "dropbear", "sudo", "su", "su-l", "login", "pkexec", "doas", "polkitd",
    "useradd", "userdel", "usermod", "groupadd", "groupdel", "groupmod", "gpasswd", "passwd", "chpasswd",
)  # fmt: skip
# the programs whose lines a service of Linux has; none named: every line
LINUX_SERVICES: Mapping[str, tuple[str, ...]] = {
    "syslog": (),
    "auth": _AUTH_PROGRAMS,
    "sshd": ("sshd", "sshd-session", "sshd-auth"),
    "sudo": ("sudo",),
}


class Sources(NamedTuple):
    """Where the records of a log source are: the kinds, and the programs whose lines they are (none: any)."""

    kinds: tuple[Kind, ...]
    programs: tuple[str, ...] = ()


def find_sources(product: str | None, category: str | None, service: str | None, has_fields: bool) -> Sources | None:
    """The records of a log source, `None` when agents collect nothing of it.

    Without fields (keywords alone) a whole product is looked through by its lines.
    """
    if category and not service:
        names = _of_category(product, category)
    elif category:
        return None
    elif product == "windows":
        names = _of_windows(service, has_fields)
    elif product == "linux":
        if service and service in LINUX_SERVICES:
            return Sources((KINDS["linux/line"],), LINUX_SERVICES[service])
        names = _of_linux(service, has_fields)
    elif product == "macos" and not service:
        names = ("macos/line",)
    else:
        return None
    return Sources(tuple(KINDS[name] for name in names)) if names else None


def _of_category(product: str | None, category: str) -> Iterable[str]:
    if category == "process_creation":
        return _PROCESSES.get(product, ()) if product else [name for names in _PROCESSES.values() for name in names]
    if category == "ps_script" and product in ("windows", None):
        return ("windows/4104",)
    if category == "dns" and product in ("pihole", None):
        return (BLOCKED_QUERY,)
    if category == "webserver" and product in ("linux", None):
        return (WEB,)
    return ()


def _of_windows(service: str | None, has_fields: bool) -> Iterable[str]:
    if not service:
        return [name for name in KINDS if name.startswith("windows/")] if has_fields else ("windows/line",)
    return [f"windows/{number}" for number, told in WINDOWS.items() if told[0] == _LOGS.get(service)]


def _of_linux(service: str | None, has_fields: bool) -> Iterable[str]:
    audit = [f"audit/{name}" for name in AUDIT]
    if service == "auditd":
        return audit
    if service:
        return ()
    return ["linux/line", *audit] if has_fields else ("linux/line",)
