"""Fields of an audit record in a message, as agents/audit_lines.py shows one; and the arguments of its command."""

from __future__ import annotations

import re

from core import audit
from core.audit import decode_value, find_operation
from watch.sigma.kinds import AUDIT

# of those whose records have a number alone, but for the arguments, which are not shown as a record
TYPES = {number: name for number, name in audit.TYPES.items() if name in AUDIT and name != "EXECVE"}
# of x86_64, aarch64 and i386
_EXECUTIONS = {
    ("c000003e", "59"): "execve", ("c000003e", "322"): "execveat", ("c00000b7", "221"): "execve",
    ("c00000b7", "281"): "execveat", ("40000003", "11"): "execve", ("40000003", "358"): "execveat",
}  # fmt: skip
_FIELD = re.compile(r"""(?<![\w\]-])([\w-]{1,32})=("[^"]*"?|'[^']*'?|[^\s"']+)""")
_ENCODED = frozenset({"acct", "exe", "comm", "cmd", "key", "name", "cwd"})
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
                found[name] = decode_value(value, name in _ENCODED)
    operation = find_operation(programs)
    if operation:
        found["op"] = operation
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
