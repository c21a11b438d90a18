"""What the lines of a Linux log tell: one table of rules, from which the documentation is made.

Each line is judged by itself, and one line is one event, a "message repeated 5 times: [ … ]" too. A failed
login is counted where the program that refused it says so, not again where PAM or a summary repeats it:

- `LOGIN_FAIL` are sshd's "Failed … for …", "Invalid user …", "User … not allowed because …" and "ROOT LOGIN
  REFUSED", the refused passwords of login, su and sudo, and PAM's "authentication failure" of any other program.
  What merely accompanies them is none: PAM's line for these four and its "more authentication failures",
  "maximum authentication attempts exceeded", "Too many authentication failures", "input_userauth_request: invalid
  user", "check pass; user unknown", "Connection closed by …", "reverse mapping …".
- `LOGIN_SUCCESS` is "Accepted … for …" (and login's own "LOGIN ON"), not the "session opened" that follows it.
- A group's or account's line about its shadow file is no event beside the one about the group or account.

Names in these lines are chosen by whoever knocks: patterns are anchored at both ends, and an address is the last
that fits, for sshd writes the real one behind the name. No pattern takes more than linear time.
"""

from __future__ import annotations

import re
from typing import Optional, Tuple

from agents.rules import Finding, Rule, by_program, clean_address
from core.messages import NO_ADDRESS, EventType

_SSHD = ("sshd", "sshd-session", "sshd-auth", "dropbear")
_ADDRESS = r"(?P<ip>\S+)"
# sshd's own end of a line: what follows the port is the protocol, and the key's fingerprint
_PORT = r"(?: port \d+)?(?: ssh\d?)?(?:: .*)?(?: \[preauth\])?$"
# these four report the failure themselves; PAM of twenty years ago named itself in the program's place instead,
# and then its line is the only one
_PAM = r"pam_\w+\((?!(?:sshd|sudo|su|su-l|sudo-i|login|remote):)[^)]*\): "


def _rule(programs: str, pattern: str, event_type: EventType, severity: int, description: str) -> Rule:
    names = _SSHD if programs == "sshd" else tuple(programs.split())
    return Rule(names, re.compile(pattern), event_type, severity, description)


RULES: Tuple[Rule, ...] = (
    _rule(
        "sshd",
        rf"Failed \S+ for (?:invalid user |illegal user )?(?P<user>.*) from {_ADDRESS} port \d+(?: ssh\d?)?(?:: .*)?$",
        "LOGIN_FAIL", 3, "sshd: a password, key or other method failed",
    ),
    _rule(
        "sshd", rf"(?:Invalid|Illegal) user (?P<user>.*) from {_ADDRESS}(?: port \d+)?(?: \[preauth\])?$",
        "LOGIN_FAIL", 3, "sshd: a user that does not exist",
    ),
    _rule(
        "sshd", rf"User (?P<user>.*) from {_ADDRESS} not allowed because .*$",
        "LOGIN_FAIL", 3, "sshd: a user whom the configuration does not allow",
    ),
    _rule(
        "sshd", rf"ROOT LOGIN REFUSED FROM {_ADDRESS}{_PORT}",
        "LOGIN_FAIL", 3, "sshd: root may not log in",
    ),
    _rule(
        "dropbear",
        rf"(?:Bad password attempt for '(?P<user>.*)'|Login attempt for nonexistent user) from {_ADDRESS}:\d+$",
        "LOGIN_FAIL", 3, "dropbear: a password failed, or a user that does not exist",
    ),
    _rule(
        "sshd", rf"Accepted \S+ for (?P<user>\S+) from {_ADDRESS} port \d+(?: ssh\d?)?(?:: .*)?$",
        "LOGIN_SUCCESS", 1, "sshd: a login was accepted",
    ),
    _rule(
        "dropbear", rf"\S+ auth succeeded for '(?P<user>[^']*)' .*from {_ADDRESS}:\d+$",
        "LOGIN_SUCCESS", 1, "dropbear: a login was accepted",
    ),
    _rule(
        "", rf"(?:{_PAM})?authentication failure; logname=\S* uid=\d+ euid=\d+ tty=\S* ruser=\S* rhost=(?P<ip>\S*)"
        r"(?:\s+user=(?P<user>.*))?$",
        "LOGIN_FAIL", 3, "PAM: an authentication failed (where sshd, sudo, su or login does not say so itself)",
    ),
    _rule(
        "login",
        r"FAILED LOGIN (?:SESSION |\(\d+\) )?(?:on '[^']*' )?(?:FROM (?P<ip>\S+) )?FOR '?(?P<user>[^',]*)'?,.*$",
        "LOGIN_FAIL", 3, "login: a login on a console failed",
    ),
    _rule(
        "login", r"(?:ROOT LOGIN|LOGIN ON|DIALUP AT) .*?(?: BY (?P<user>\S+))?(?: FROM (?P<ip>\S+))?$",
        "LOGIN_SUCCESS", 1, "login: a login on a console",
    ),
    _rule(
        # the lookahead takes the first COMMAND= and never comes back for another, which would be quadratic
        "sudo", r"\s*(?P<user>\S+) : (?=(?P<head>.*?COMMAND=))(?P=head)(?:\S*/)?(?:"
        r"journalctl (?:.* )?--(?:vacuum|rotate)|(?:truncate|rm|shred|unlink) (?:.* )?/var/log/"
        r"|dmesg (?:.* )?(?:-C|-c|--clear)|auditctl (?:.* )?-(?:e ?0|D)).*$",
        "LOG_TAMPERING", 5, "sudo: a command that clears logs or ends their keeping",
    ),
    _rule(
        "sudo", r"\s*(?P<user>\S+) : (?:user NOT in sudoers|user NOT authorized on host|command not allowed) ;.*$",
        "SUDO_ESCALATION", 4, "sudo: somebody without the right to it tried",
    ),
    _rule(
        "sudo",
        r"\s*(?P<user>\S+) : (?:\d+ incorrect password attempts?|a password is required|conversation failed"
        r"|authentication failure|auth could not identify password.*?) ;.*$",
        "LOGIN_FAIL", 3, "sudo: wrong or missing passwords",
    ),
    _rule(
        "sudo", r"\s*(?P<user>\S+) : .*COMMAND=.*$",
        "SUDO_ESCALATION", 2, "sudo: a command as another user",
    ),
    _rule(
        "pkexec", r"(?P<user>\S+): Executing command \[USER=.*$",
        "SUDO_ESCALATION", 2, "pkexec: a command as another user",
    ),
    _rule(
        "doas", r"(?P<user>\S+) ran command .* as .*$",
        "SUDO_ESCALATION", 2, "doas: a command as another user",
    ),
    _rule(
        "su", r"(?:FAILED SU (?:\(to \S+\) (?P<user>\S+) on .*|for .*)|FAILED su for \S+ by (?P<name>\S+)"
        r"|- \S+ (?P<caller>[^\s:]+):\S+)$",
        "LOGIN_FAIL", 3, "su: a failed change of user",
    ),
    _rule(
        "su",
        r"(?:\(to \S+\) (?P<user>\S+) on .*|Successful su for \S+ by (?P<name>\S+)|\+ \S+ (?P<caller>[^\s:]+):\S+)$",
        "SUDO_ESCALATION", 2, "su: a change of user",
    ),
    _rule(
        "useradd adduser", r"new user: name=(?P<user>[^,]*),.*$",
        "ACCOUNT_CREATE", 4, "useradd: a new account",
    ),
    _rule(
        "systemd-sysusers", r"Creating user '?(?P<user>[^' ]*)'? .*$",
        "ACCOUNT_CREATE", 4, "systemd-sysusers: a new account",
    ),
    _rule(
        "userdel deluser", r"delete user [`'](?P<user>.*)'$",
        "ACCOUNT_DELETE", 3, "userdel: an account deleted",
    ),
    _rule(
        "userdel deluser groupdel delgroup", r"(?:removed group '.*' owned by '(?P<user>.*)'|group '.*' removed)$",
        "ACCOUNT_DELETE", 2, "userdel, groupdel: a group deleted",
    ),
    _rule(
        "useradd groupadd addgroup adduser", r"new group: name=[^,]*,.*$",
        "GROUP_ADD", 3, "groupadd, useradd: a new group",
    ),
    _rule(
        "systemd-sysusers", r"Creating group '?[^' ]*'? .*$",
        "GROUP_ADD", 3, "systemd-sysusers: a new group",
    ),
    _rule(
        "usermod useradd gpasswd groupmems groupmod", r"add(?:ed)? [`'](?P<user>.*)' to group [`'].*'$",
        "GROUP_ADD", 3, "usermod, useradd: a member added to a group",
    ),
    _rule(
        "gpasswd", r"(?:user (?P<user>\S+) added by \S+ to group .*|add member (?P<name>\S+) to group .* by .*"
        r"|members of group \S+ set by \S+ to .*)$",
        "GROUP_ADD", 3, "gpasswd: a member added to a group",
    ),
    _rule(
        "", r"Created symlink \S*/systemd/system/\S+ (?:→|->) \S+?\.?$",
        "SERVICE_INSTALL", 3, "systemctl: a unit was enabled",
    ),
    _rule(
        "kernel", r"(?:Memory cgroup out of memory|Out of memory)\b.*$",
        "CRITICAL_ERROR", 4, "kernel: out of memory, a process was killed",
    ),
    _rule(
        "systemd-oomd", r"Killed \S+ due to .*$",
        "CRITICAL_ERROR", 4, "systemd-oomd: a unit was killed for want of memory",
    ),
    _rule(
        "systemd", r"(?:\S+: Failed with result '[^']*'\.?|Unit \S+ entered failed state\.?|Failed to start .*)$",
        "CRITICAL_ERROR", 3, "systemd: a unit failed",
    ),
    _rule(
        "systemd-journald systemd-journal journald",
        r"(?:Vacuuming done, freed (?!0B ).*|.*request to rotate journal.*)$",
        "LOG_TAMPERING", 5, "journald: journal files deleted, or the journal rotated by hand",
    ),
)  # fmt: skip


_BY_PROGRAM = by_program(RULES)
_OF_ANY = [rule for rule in RULES if not rule.programs]
_REPEATED = re.compile(r"message repeated \d+ times: \[ ?(.*)\]$")
_KERNEL_TIME = re.compile(r"\[ *\d+\.\d+\] ")


def recognise(program: str, message: str) -> Optional[Finding]:
    """What `message` of `program` tells, `None` when it tells nothing that any rule knows."""
    repeated = _REPEATED.match(message)
    if repeated:
        message = repeated.group(1)
    message = message.rstrip()
    if program == "kernel":
        message = _KERNEL_TIME.sub("", message, count=1)
    for rules in (_BY_PROGRAM.get(program, ()), _OF_ANY):
        for rule in rules:
            found = rule.pattern.match(message)
            if found:
                groups = found.groupdict()
                user = groups.get("user") or groups.get("name") or groups.get("caller")
                return Finding(rule, _clean_user(user), clean_address(groups.get("ip")))
    return None


def _clean_user(user: Optional[str]) -> str:
    return user.strip()[:256] or NO_ADDRESS if user else NO_ADDRESS
