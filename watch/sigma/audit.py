"""Fields of an audit record in a message, as agents/audit_lines.py shows one; and the arguments of its command."""

from __future__ import annotations

import re

# linux/audit.h, where a record has its type's number alone
TYPES = {
    "1100": "USER_AUTH", "1102": "USER_MGMT", "1107": "USER_AVC", "1112": "USER_LOGIN", "1114": "ADD_USER",
    "1115": "DEL_USER", "1116": "ADD_GROUP", "1132": "GRP_MGMT", "1201": "DAEMON_END", "1202": "DAEMON_ABORT",
    "1300": "SYSCALL", "1305": "CONFIG_CHANGE", "1326": "SECCOMP", "1400": "AVC", "1700": "ANOM_PROMISCUOUS",
    "1701": "ANOM_ABEND",
}  # fmt: skip
# of x86_64, aarch64 and i386
_EXECUTIONS = {
    ("c000003e", "59"): "execve", ("c000003e", "322"): "execveat", ("c00000b7", "221"): "execve",
    ("c00000b7", "281"): "execveat", ("40000003", "11"): "execve", ("40000003", "358"): "execveat",
}  # fmt: skip
_FIELD = re.compile(r"""(?<![\w\]-])([\w-]{1,32})=("[^"]*"?|'[^']*'?|[^\s"']+)""")
_OPERATION = re.compile(r"op=([^=]{1,100}) [\w-]{1,32}=")
_HEX = re.compile(r"(?:[0-9A-F]{2})+")
_ENCODED = frozenset({"acct", "exe", "comm", "cmd", "key", "name", "cwd"})
_NONE = frozenset({"?", "?,", "(none)", "(null)", "unset", "-1", "4294967295"})
_ARGUMENT = re.compile(r"'([^']*)'(?!\S)|(\S+)")
MOST_ARGUMENTS = 4096


def read_audit(kind: str, body: str) -> dict[str, str]:
    """The fields of a record of the type `kind`. What says that there is nothing is left out."""
    # a program writes its message itself: it cannot name what the kernel has said before it
    kernels, _, rest = body.partition("msg='")
    programs, _, added = rest.rpartition("'")
    found: dict[str, str] = {}
    for part in (kernels, programs, added):
        for name, value in _FIELD.findall(part):
            if name not in found:
                found[name] = _decode(name, value)
    operation = _OPERATION.match(programs)
    if operation:
        found["op"] = operation[1]
    fields = {name: value for name, value in found.items() if value}
    if kind in ("SYSCALL", "SECCOMP"):
        call = _EXECUTIONS.get((fields.get("arch", ""), fields.get("syscall", "")))
        if call:
            fields.setdefault("SYSCALL", call)
    fields["type"] = kind
    return fields


def read_command(command: str) -> list[str]:
    """The arguments of a command, as far as their quotes tell them apart."""
    found = []
    for argument in _ARGUMENT.finditer(command):
        found.append(argument[2] if argument[1] is None else argument[1])
        if len(found) >= MOST_ARGUMENTS:
            break
    return found


def _decode(name: str, value: str) -> str:
    if value[0] in "\"'":
        return value[1:-1] if value[-1] == value[0] and len(value) > 1 else value[1:]
    if value in _NONE:
        return ""
    if name in _ENCODED and _HEX.fullmatch(value):
        return bytes.fromhex(value).decode("utf-8", "replace").replace("\0", " ")
    return value.rstrip(",)")
