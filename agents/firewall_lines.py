"""What the lines of firewalls tell: one table of rules, from which the documentation is made.

A line is no event by itself because a firewall wrote it: what was let through is none, and where only the prefix that
somebody chose says what became of a packet (iptables, nftables, MikroTik), it must say so: drop, block, deny, reject.

A login is counted where the program that refused it says so. An ASA says it twice, in 113015 or 113005 (AAA, which the
VPN asks too) and in 605004 (the management service): both are events. What only accompanies them (611102, 113006,
sshguard, OPNsense's "could not authenticate") is none. Of commands at an ASA those that change something are events:
111010, which names the address, and 111008 where no 111010 follows.

Rules with programs are matched against the message, the others against all that is behind the time and the host.
Names are chosen by whoever knocks: patterns are anchored at both ends. No pattern takes more than linear time: what
is searched for is taken at its first place and never looked for again (`_to`).

The formats are the vendors': Netgate's "Raw Filter Log Format", the kernel's nf_log_syslog, MikroTik's "Log", Cisco's
"Secure Firewall ASA Series Syslog Messages", ArcSight's "Common Event Format".
"""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import IPv6Address
from typing import Dict, NamedTuple, Optional, Tuple

from agents import linux_lines
from agents.rules import Rule, by_program, clean_address
from agents.syslog import Header
from core.messages import NO_ADDRESS, EventType


class Finding(NamedTuple):
    """What a line tells. `user` and `source_ip` are `N/A` when it names none, the others are empty."""

    rule: Rule
    user: str
    source_ip: str
    destination: str
    port: str
    source_port: str


def _to(name: str, text: str) -> str:
    """Everything up to the first `text`. A lookahead never comes back for another, which would be quadratic."""
    return rf"(?=(?P<{name}>.*?{text}))(?P={name})"


# "unblocked" is no block
_DENIED = r"(?<![a-z])(?:block|drop|deny|denied|reject|discard)"
_FROM_TO = r"from (?P<ip>[^\s/]+)(?:/(?P<sport>\d+))? to (?P<to>[^\s/,]+?)(?:/(?P<port>[^\s,.]+))?[,.]?(?: .*)?$"
_SRC_DST = (
    r"src [^\s:]+: ?(?P<ip>[^\s/(]+)(?:/(?P<sport>\d+))?(?:\([^)]*\))? "
    r"dst [^\s:]+: ?(?P<to>[^\s/(]+)(?:/(?P<port>\d+))?(?:[ (].*)?$"
)
_NETFILTER = (
    _to("head", r"(?<![A-Z])IN=") + r"\S* " + _to("out", r"(?<!\S)SRC=") + r"(?P<ip>\S+) DST=(?P<to>\S+)"
    r"(?: " + _to("middle", r"(?<!\S)PROTO=") + r"(?P<proto>\w+)(?: SPT=(?P<sport>\d+) DPT=(?P<port>\d+))?)?(?: .*)?$"
)
_GUI = "php-fpm php php-cgi audit opnsense webgui lighttpd"
_TOPICS = r"(?:[a-z0-9!-]+(?:,[a-z0-9!-]+)+ )?"


def _rule(programs: str, pattern: str, event_type: EventType, severity: int, description: str) -> Rule:
    names = tuple("" if name == "-" else name for name in programs.split())
    return Rule(names, re.compile(pattern), event_type, severity, description)


def _asa(numbers: str, pattern: str, event_type: EventType, severity: int, description: str) -> Rule:
    head = rf"(?:\S{{1,253}} (?:: )?)?%(?:ASA|FTD|PIX|FWSM)-(?:\w{{1,20}}-)?\d-(?:{numbers}): "
    return _rule("", head + pattern, event_type, severity, f"Cisco ASA {numbers.replace('|', ', ')}: {description}")


def _cef(name: str, event_type: EventType, severity: int, description: str, has: str = "") -> Rule:
    """`name` is in the header, `has` in the fields behind it; they come in any order: each is looked for by itself."""
    head = rf"(?=(?P<cef>.{{0,100}}?CEF:\d\|(?:[^|]*\|){{4}}))(?P=cef){name}[^|]{{0,100}}\|[^|]*\|"
    fields = (("src", "ip", r"\S+"), ("dst", "to", r"\S+"), ("spt", "sport", r"\d+"), ("dpt", "port", r"\d+"),
              ("proto", "proto", r"\w+"), ("UNIFIadmin", "user", r"\S+"))  # fmt: skip
    wanted = rf"(?=.*?(?<!\S){has})" if has else ""
    found = "".join(rf"(?=(?:.*?(?<!\S){key}=(?P<{group}>{value})(?!\S))?)" for key, group, value in fields)
    return _rule("", head + wanted + found + ".*$", event_type, severity, description)


OWN_RULES: Tuple[Rule, ...] = (
    _rule(
        "filterlog",
        r"(?:[^,]*,){6}(?:block|reject),(?:in|out),"
        r"(?:4,(?:[^,]*,){7}(?P<proto>[^,]*),[^,]*,|6,(?:[^,]*,){3}(?P<protocol>[^,]*),[^,]*,[^,]*,)"
        r"(?P<ip>[^,]*),(?P<to>[^,]*)(?:,(?P<sport>\d{1,5}),(?P<port>\d{1,5}))?(?:,.*)?$",
        "CONNECTION_BLOCKED", 2, "pfSense, OPNsense: a packet was blocked (filterlog)",
    ),
    _rule(
        "kernel ulogd -", r"\[[^\]]{0,100}-[DR](?:-\d{1,20})?\]" + _NETFILTER,
        "CONNECTION_BLOCKED", 2, "UniFi, EdgeOS: a packet was dropped or rejected (the rule's action is D or R)",
    ),
    _rule(
        "kernel ulogd -",
        r"(?!\[[^\]]{0,100}-(?:A|RET)(?:-\d{1,20})?\])(?i:" + _to("word", _DENIED) + ")" + _NETFILTER,
        "CONNECTION_BLOCKED", 2, "iptables, nftables, ufw, firewalld: a packet that was blocked, says the log prefix",
    ),
    _rule(
        "", r"(?i:" + _to("word", _DENIED) + ")" + _to("head", r"(?<!\S)in:") + r"\S+ " + _to("out", r"(?<!\S)proto ")
        + r"(?P<proto>[^\s,(]+)(?: \([^)]*\))?, \[?(?P<ip>[0-9a-fA-F.]+|[0-9a-fA-F:.]+(?=[\]-]))\]?(?::(?P<sport>\d+))?"
        r"->\[?(?P<to>[0-9.]+|[0-9a-fA-F:.]+)\]?(?::(?P<port>\d+))?(?:,.*)?$",
        "CONNECTION_BLOCKED", 2, "MikroTik: a packet that was dropped, says the log prefix",
    ),
    _asa("106001", rf"Inbound TCP connection denied {_FROM_TO}", "CONNECTION_BLOCKED", 2, "a connection was denied"),
    _asa("106006|106007", rf"Deny inbound UDP {_FROM_TO}", "CONNECTION_BLOCKED", 2, "a datagram was denied"),
    _asa(
        "106010|106014", rf"Deny inbound (?:protocol )?\S+ {_SRC_DST}",
        "CONNECTION_BLOCKED", 2, "an inbound packet was denied",
    ),
    _asa(
        "106015", rf"Deny TCP \(no connection\) {_FROM_TO}",
        "CONNECTION_BLOCKED", 2, "a packet of no connection was denied",
    ),
    _asa(
        "106016|106017|106022",
        r"Deny (?:IP spoof|IP due to Land Attack|\S+ connection spoof) from \(?(?P<ip>[^\s()]+)\)? to (?P<to>\S+)"
        r"(?: .*)?$",
        "CONNECTION_BLOCKED", 3, "a packet with a forged address was denied",
    ),
    _asa("106021", rf"Deny \S+ reverse path check {_FROM_TO}", "CONNECTION_BLOCKED", 2, "reverse path check failed"),
    _asa(
        "106023", rf"Deny (?:protocol )?(?P<proto>\S+) {_SRC_DST}",
        "CONNECTION_BLOCKED", 2, "denied by an access group",
    ),
    _asa(
        "106100",
        r"access-list \S+ denied (?P<proto>\S+) [^\s/]+/(?P<ip>[^\s(]+)\((?P<sport>\d+)\)(?:\([^)]*\))? (?:-> )?"
        r"[^\s/]+/(?P<to>[^\s(]+)\((?P<port>\d+)\).*$",
        "CONNECTION_BLOCKED", 2, "denied by an access list",
    ),
    _asa(
        "710003", r"\S+ access denied by ACL from (?P<ip>[^\s/]+)(?:/(?P<sport>\d+))? to [^\s:]+:(?P<to>[^\s/]+)"
        r"(?:/(?P<port>\S+))?$",
        "CONNECTION_BLOCKED", 2, "access to the firewall itself was denied",
    ),
    _cef(
        "Threat Detected and Blocked",
        "CONNECTION_BLOCKED", 3, "UniFi (CEF): intrusion prevention blocked a connection",
    ),
    _cef("Threat Detected", "SYSTEM_ALERT", 4, "UniFi (CEF): intrusion detection saw a threat"),
    _cef(
        "", "CONNECTION_BLOCKED", 2, "UniFi, MikroTik (CEF): the action is block, drop, deny or reject",
        has="act=(?i:block|drop|den|reject)",
    ),
    _asa("733100", r"\[ ?Scanning\] .*$", "PORT_SCAN", 3, "more scanning than the limit allows"),
    _asa("733101", r"(?:Host|Object) (?P<ip>\S+) is attacking\..*$", "PORT_SCAN", 3, "a host scans others"),
    _asa("733100", r".*$", "SYSTEM_ALERT", 3, "a rate of threats is above its limit"),
    _asa(
        "605004", r"Login denied from (?P<ip>[^\s/]+)(?:/\S+)? to \S+ for user [\"'](?P<user>.*)[\"']\s*$",
        "LOGIN_FAIL", 3, "a login was refused",
    ),
    _asa(
        "113015|113005",
        r"AAA user authentication Rejected ?: reason = [^:]*: (?:local database|server = \S+) ?: [Uu]ser = "
        r"(?P<user>.*?)(?: ?: user IP = (?P<ip>\S+))?$",
        "LOGIN_FAIL", 3, "AAA refused a user",
    ),
    _asa(
        "308001", r"(?:\S+ )?console enable password incorrect for \d+ tries \(from (?P<ip>[^)\s]*)\)$",
        "LOGIN_FAIL", 3, "a wrong password for enable",
    ),
    _asa(
        "605005", r"Login permitted from (?P<ip>[^\s/]+)(?:/\S+)? to \S+ for user [\"'](?P<user>.*)[\"']\s*$",
        "LOGIN_SUCCESS", 1, "a login",
    ),
    _asa(
        "113004|113012",
        r"AAA user authentication Successful ?: (?:local database|server = \S+) ?: [Uu]ser = (?P<user>.*)$",
        "LOGIN_SUCCESS", 1, "AAA let a user in",
    ),
    _asa(
        "111008", r"User '(?P<user>[^']*)' executed the 'clear logging\b.*$",
        "LOG_TAMPERING", 5, "the log was cleared",
    ),
    _asa(
        "111010", r"User '(?P<user>[^']*)', running '[^']*' from IP (?P<ip>[^\s,]+), executed "
        r"'(?:no logging|clear configure logging)\b.*$",
        "LOG_TAMPERING", 5, "logging was switched off, wholly or in part",
    ),
    _asa(
        "111010", r"User '(?P<user>[^']*)', running '[^']*' from IP (?P<ip>[^\s,]+), executed '.*$",
        "PROCESS_EXEC", 2, "a command changed the configuration",
    ),
    _asa(
        "111008",
        r"User '(?P<user>[^']*)' executed the '(?:reload|write erase|copy|delete|erase|format|shun|capture)\b.*$",
        "PROCESS_EXEC", 2, "a command that changes files, state or traffic, not the configuration",
    ),
    _asa("502101", r"New user added to local dbase: Uname: (?P<user>\S+) .*$", "ACCOUNT_CREATE", 4, "a new account"),
    _asa(
        "502102", r"User deleted from local dbase: Uname: (?P<user>\S+) .*$",
        "ACCOUNT_DELETE", 3, "an account deleted",
    ),
    _asa(
        "502103", r"User priv level changed: Uname: (?P<user>\S+) .*$",
        "SUDO_ESCALATION", 2, "another privilege level",
    ),
    _rule(
        _GUI, r"(?:/\S*: )?(?:webConfigurator|Web GUI) authentication error for (?:user )?'(?P<user>.*)' from:? "
        r"(?P<ip>\S+)(?: .*)?$",
        "LOGIN_FAIL", 3, "pfSense, OPNsense: a login at the web interface failed",
    ),
    _rule(
        _GUI, r"(?:/\S*: )?Successful (?:webConfigurator )?login for user '(?P<user>.*)' from:? (?P<ip>\S+)(?: .*)?$",
        "LOGIN_SUCCESS", 1, "pfSense, OPNsense: a login at the web interface",
    ),
    _rule(
        "", rf"{_TOPICS}login failure for user (?P<user>.*) from (?P<ip>\S+) via \S+$",
        "LOGIN_FAIL", 3, "MikroTik: a login failed",
    ),
    _rule(
        "", rf"{_TOPICS}user (?P<user>.*) logged in from (?P<ip>\S+) via \S+$",
        "LOGIN_SUCCESS", 1, "MikroTik: a login",
    ),
    _cef(
        r"[^|]{0,40}?(?i:fail[^|]{0,40}?(?:log ?in|sign ?in)|(?:log ?in|sign ?in)[^|]{0,40}?(?:fail|denied))",
        "LOGIN_FAIL", 3, "UniFi (CEF): an administrator's login failed",
    ),
    _cef(
        "Admin Accessed ",
        "LOGIN_SUCCESS", 1, "UniFi (CEF): an administrator's login",
    ),
    _rule(
        "", r".{0,100}?CEF:\d\|Ubiquiti\|UniFi OS\|[^|]*\|admins\|\d+\|msg="
        + _to("user", r"(?= accessed (?:the )?UniFi OS\b)") + _to("end", "Source IP: ") + r"(?P<ip>\S+)$",
        "LOGIN_SUCCESS", 1, "UniFi OS (CEF without a name): an administrator's login",
    ),
    _rule(
        "sshd sshd-session",
        r"error: PAM: [Aa]uthentication error for (?:illegal user )?(?P<user>.*) from (?P<ip>\S+)(?: port \d+)?$",
        "LOGIN_FAIL", 3, "sshd of FreeBSD: a password failed",
    ),
)  # fmt: skip
_SHARED = ("sshd", "dropbear", "login")
# the logins at their own sshd, dropbear and console are told as on any Linux
RULES = OWN_RULES + tuple(rule for rule in linux_lines.RULES if set(_SHARED) & set(rule.programs))


_BY_PROGRAM = by_program(RULES)
# the rules without programs, by what every line that one of them knows has in it: few lines are tried on many rules
_MARKS = ("CEF:", "proto ", " via ", "%")
_BY_MARK = [
    (
        mark,
        [rule for rule in RULES if not rule.programs and next(m for m in _MARKS if m in rule.pattern.pattern) == mark],
    )
    for mark in _MARKS
]
_KERNEL_TIME = re.compile(r"\[ *\d+\.\d+\] ?")
_WITH_PORTS = ("tcp", "udp", "sctp", "6", "17", "")


def recognise(line: Header) -> Optional[Finding]:
    """What `line` tells, `None` when it tells nothing that any rule knows."""
    # one message is one line: with line ends in it `$` would fail, and be tried again, at each of them
    message = line.message.replace("\n", " ").rstrip()
    if line.program in ("kernel", ""):
        message = _KERNEL_TIME.sub("", message, count=1)
    tail = line.tail.replace("\n", " ").rstrip()
    candidates = [(message, _BY_PROGRAM.get(line.program, []))]
    candidates += [(tail, rules) for mark, rules in _BY_MARK if mark in tail]
    for text, rules in candidates:
        for rule in rules:
            found = rule.pattern.match(text)
            if found:
                return _find(rule, found.groupdict())
    return None


def _find(rule: Rule, groups: Dict[str, Optional[str]]) -> Finding:
    user = (groups.get("user") or groups.get("name") or "").strip()[:256]
    protocol = (groups.get("proto") or groups.get("protocol") or "").lower()
    # no address is as long, and what a stranger sends must not fill the memory of those that were seen
    address = _address((groups.get("ip") or "")[:64])
    # what stands in the ports' place of other protocols are types and codes
    ports = protocol in _WITH_PORTS
    return Finding(
        rule, user or NO_ADDRESS, address, (groups.get("to") or "")[:64],
        (groups.get("port") or "")[:32] if ports else "", (groups.get("sport") or "")[:32] if ports else "",
    )  # fmt: skip


@lru_cache(maxsize=4_096)
def _address(text: str) -> str:
    """The address in its one short form: the kernel writes IPv6 addresses at full length."""
    address = clean_address(text)
    return str(IPv6Address(address)) if ":" in address else address
