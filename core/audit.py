"""The kernel's audit records as text: what agents read in them, and Sigma rules ask for."""

from __future__ import annotations

import re

# linux/audit.h: what the kernel's log, which has numbers alone, may tell
TYPES = {
    "1100": "USER_AUTH", "1102": "USER_MGMT", "1107": "USER_AVC", "1112": "USER_LOGIN", "1114": "ADD_USER",
    "1115": "DEL_USER", "1116": "ADD_GROUP", "1132": "GRP_MGMT", "1201": "DAEMON_END", "1202": "DAEMON_ABORT",
    "1300": "SYSCALL", "1305": "CONFIG_CHANGE", "1309": "EXECVE", "1320": "EOE", "1326": "SECCOMP", "1327": "PROCTITLE",
    "1400": "AVC", "1700": "ANOM_PROMISCUOUS", "1701": "ANOM_ABEND",
}  # fmt: skip
_OPERATION = re.compile(r"op=([^=]{1,100}) [\w-]{1,32}=")
_HEX = re.compile(r"(?:[0-9A-F]{2})+")
_UNSET = frozenset({"?", "?,", "(none)", "(null)", "unset", "-1", "4294967295"})


def find_operation(message: str) -> str:
    """What a program's message says that was done, which may have spaces; empty when it does not."""
    found = _OPERATION.match(message)
    return found.group(1) if found else ""


def decode_value(value: str, encoded: bool) -> str:
    """A field's `value` without quotes; empty when it says that there is none.

    Of an `encoded` one, which somebody else may choose, one without quotes may be hexadecimal.
    """
    if value[0] in "\"'":
        return value[1:-1] if value[-1] == value[0] and len(value) > 1 else value[1:]
    if value in _UNSET:
        return ""
    if encoded and _HEX.fullmatch(value):
        return bytes.fromhex(value).decode("utf-8", "replace").replace("\0", " ")
    return value.rstrip(",)")
