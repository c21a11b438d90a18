"""What entries of macOS' unified log tell: one table of rules, from which the documentation is made.

OpenSSH and sudo write on macOS what they write on Linux: `agents/linux_lines.py` has the rules of both. One failure is
counted once: a failed login at the login window or in a dialog where `authorizationhost` says so, a failed password of
SSH's keyboard-interactive method where PAM says so ("Failed keyboard-interactive/pam", which follows from the third
try on, is none).
"""

from __future__ import annotations

import json
import re
from typing import List, Optional, Tuple

from agents.linux_lines import RULES as LINUX_RULES
from agents.linux_lines import recognise as recognise_as_on_linux
from agents.rules import Finding, Rule, by_program, clean_address
from core.messages import NO_ADDRESS, EventType

_SSHD = ("sshd", "sshd-session", "sshd-auth")
_AS_ON_LINUX = (*_SSHD, "sudo")
_REMEDIATOR = "XProtectRemediator"  # and a name of what it looks for

# asked of `log`, so that the rest of the log does not reach us; info, for that is the level of sshd's lines
PREDICATE = (
    'process == "sshd" OR process == "sshd-session" OR process == "sshd-auth" OR process == "sudo" OR process == "su" '
    'OR process == "sysadminctl" OR process == "screensharingd" OR process ==[c] "XProtectService" '
    'OR (process == "authorizationhost" AND eventMessage BEGINSWITH "Failed to authenticate user") '
    'OR (process == "loginwindow" AND eventMessage CONTAINS "com.apple.sessionDidLogin") '
    'OR (process == "syspolicyd" AND (eventMessage BEGINSWITH "assessment denied for" '
    'OR eventMessage CONTAINS "due to Gatekeeper rejection" OR eventMessage CONTAINS[c] "malware")) '
    'OR (process BEGINSWITH "XProtectRemediator" AND eventMessage CONTAINS "status_message")'
)


def _rule(programs: str, pattern: str, event_type: EventType, severity: int, description: str) -> Rule:
    names = _SSHD if programs == "sshd" else tuple(programs.split())
    return Rule(names, re.compile(pattern), event_type, severity, description)


RULES: Tuple[Rule, ...] = (
    _rule(
        "authorizationhost", r"Failed to authenticate user <(?P<user>.*)> \([^()]*\)\.?$",
        "LOGIN_FAIL", 3, "the login window, or a dialog that asks for a password: it was wrong",
    ),
    _rule(
        "loginwindow", r".*com\.apple\.sessionDidLogin, with userID: ?(?P<user>\d+)$",
        "LOGIN_SUCCESS", 1, "the login window: a login (the user is its number)",
    ),
    _rule(
        "screensharingd", r"Authentication: FAILED :: User Name: (?P<user>.*?)(?: :: Viewer Address: (?P<ip>\S*))?"
        r"(?: :: Type: \S*)?$",
        "LOGIN_FAIL", 3, "screen sharing: a login failed",
    ),
    _rule(
        "screensharingd", r"Authentication: SUCCEEDED :: User Name: (?P<user>.*?)(?: :: Viewer Address: (?P<ip>\S*))?"
        r"(?: :: Type: \S*)?$",
        "LOGIN_SUCCESS", 1, "screen sharing: a login",
    ),
    _rule(
        "sshd", r"error: PAM: [Aa]uthentication (?:error|failure) for (?:illegal user )?(?P<user>.*) from (?P<ip>\S+)"
        r"(?: via \S+)?$",
        "LOGIN_FAIL", 3, "sshd: a password failed (keyboard-interactive)",
    ),
    _rule(
        "sudo", r"\s*(?P<user>\S+) : (?=(?P<head>.*?COMMAND=))(?P=head)(?:\S*/)?(?:log (?:.* )?erase\b"
        r"|rm (?:.* )?/(?:private/)?var/(?:db/(?:diagnostics|uuidtext)|audit)).*$",
        "LOG_TAMPERING", 5, "sudo: the unified log or the audit trail was erased",
    ),
    _rule(
        "su", r"BAD SU (?P<user>\S+) to \S+(?: on \S+)?$",
        "LOGIN_FAIL", 3, "su: a failed change of user",
    ),
    _rule(
        "su", r"(?P<user>\S+) to \S+ on \S+$",
        "SUDO_ESCALATION", 2, "su: a change of user",
    ),
    _rule(
        "sysadminctl",
        r"(?:Creating home directory|Home directory is assigned \(not created!\)) at (?:\S*/)?(?P<user>[^/]+)$",
        "ACCOUNT_CREATE", 4, "sysadminctl: a new account",
    ),
    _rule(
        "sysadminctl", r"Deleting record for (?P<user>.+)$",
        "ACCOUNT_DELETE", 3, "sysadminctl: an account deleted",
    ),
    _rule(
        "syspolicyd", r"assessment denied for .* but overridden.*$",
        "SYSTEM_ALERT", 4, "Gatekeeper: a program that it denied was let through",
    ),
    _rule(
        "syspolicyd", r"(?:assessment denied for |Terminating process due to Gatekeeper rejection).*$",
        "SYSTEM_ALERT", 3, "Gatekeeper: a program was denied",
    ),
    _rule(
        "XProtectService XprotectService syspolicyd",
        r"(?i)(?!.*\bno malware)(?=.*\bmal(?:ware|icious)\b)(?=.*\b(?:detected|found|block(?:ed|ing)|contains)\b).*$",
        "SYSTEM_ALERT", 4, "XProtect: malware was found when a program was to start",
    ),
    _rule(
        _REMEDIATOR, r".*$",
        "SYSTEM_ALERT", 4, "XProtect Remediator: a scan found something",
    ),
)  # fmt: skip


def shared_rules() -> List[Rule]:
    """The rules of `agents/linux_lines.py` that hold on macOS too."""
    return [rule for rule in LINUX_RULES if set(rule.programs) & set(_AS_ON_LINUX)]


_BY_PROGRAM = by_program(RULES)


def recognise(program: str, message: str) -> Optional[Finding]:
    """What `message` of `program` tells, `None` when it tells nothing that any rule knows."""
    message = message.rstrip()
    if program.startswith(_REMEDIATOR):
        if not _found_something(message):
            return None
        program = _REMEDIATOR
    for rule in _BY_PROGRAM.get(program, ()):
        found = rule.pattern.match(message)
        if found:
            groups = found.groupdict()
            return Finding(rule, _clean_user(groups.get("user")), clean_address(groups.get("ip")))
    if program in _AS_ON_LINUX and not message.startswith("Failed keyboard-interactive/pam "):
        return recognise_as_on_linux(program, message)
    return None


def _found_something(message: str) -> bool:
    """Whether a report of XProtect Remediator, a JSON object, names what it acted on."""
    try:
        report = json.loads(message, parse_int=str)
    except (ValueError, RecursionError):
        return False
    return isinstance(report, dict) and bool(report.get("caused_by"))


def _clean_user(user: Optional[str]) -> str:
    """The user; none where macOS hides it."""
    shown = (user or "").strip()[:256]
    return NO_ADDRESS if shown in ("", "<private>", "(null)") else shown
