"""What web servers' access logs tell: attacks, by one table from which the documentation is made.

The logs are in the common or combined format (nginx, Apache with and without the virtual host in front, lighttpd) or
Caddy's JSON. What the client sent is decoded before it is judged: as the server escapes it in its log, and as URLs are,
up to twice. An attack is a probe (severity 3) unless the server answered it with 2xx (4); a scanner that merely gives
its name is always one.

No pattern takes more than linear time: repetitions are bounded, and what begins a pattern is no repetition.
"""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta, timezone
from typing import Any, Callable, List, NamedTuple, Optional, Pattern, Tuple
from urllib.parse import unquote_plus
from uuid import UUID

from agents.floods import Flood
from agents.rules import clean_address
from agents.syslog import MONTH_NAMES, cut, decode_line
from core.clock import parse_time
from core.errors import Invalid
from core.ids import uuid7
from core.messages import NO_ADDRESS, Event

WINDOW_SECONDS = 60.0
LONGEST_TARGET = 8 * 1024  # what servers take as shipped


class Request(NamedTuple):
    """One line of an access log. `at` is UTC; `status` is 0 when there is none."""

    at: datetime
    address: str
    user: str
    target: str
    status: int
    referer: str
    agent: str


class Attack(NamedTuple):
    """What `pattern` finds in one of `parts` of a request: its `raw` or decoded `target`, its `agent` or `referer`."""

    parts: Tuple[str, ...]
    pattern: Pattern[str]
    description: str
    is_probe: bool = False


def _attack(parts: str, pattern: str, description: str, is_probe: bool = False) -> Attack:
    return Attack(tuple(parts.split()), re.compile(pattern), description, is_probe)


RULES: Tuple[Attack, ...] = (
    _attack(
        "target agent referer", r"\$\{(?:jndi:|(?:lower|upper|env|sys|date|ctx|main|java):|:{1,2}-|\$\{)",
        "Log4Shell: a JNDI lookup, also a disguised one",
    ),
    _attack("agent referer target", r"\(\)\s{0,4}\{\s{0,4}[:_]?\s{0,4};", "Shellshock: a function in a header"),
    _attack(
        "target",
        r"(?:[;|`\n]|\|\||&&|\$\()\s{0,8}(?:/\w{1,16}/(?:\w{1,16}/)?)?(?:cat\s{1,4}[/.~*]|(?:wget|curl)\s{1,4}(?:-|https?:|\d)"
        r"|(?:ping|nc|ncat|rm|chmod|nslookup)\s{1,4}[-\w./]{1,64}\.?\w|sleep\s{1,4}\d"
        r"|(?:id|whoami|uname|ls|dir|ifconfig|ipconfig)(?:\s{1,4}-\w{1,8})?\s{0,4}(?:$|[;|`&)#])|(?:ba|da|k|z)?sh\s{1,4}-c)"
        r"|\$\{ifs\}|\$ifs\b|(?<!\w)/bin/(?:ba|da|k|z)?sh(?![\w-])|\bcmd(?:\.exe)?\s{0,4}/c\b|powershell(?:\.exe)?\s{1,4}-",
        "command injection",
    ),
    _attack(
        "target",
        r"\bunion\b[\s/*+(]{1,20}(?:all\b[\s/*+(]{1,20}|distinct\b[\s/*+(]{1,20})?select\b[\s/*+(]{1,20}"
        r"(?:null|[\d@*'\"]|0x|concat|group_concat|char\(|[^&]{0,200}\bfrom\b)"
        r"|['\"`)]\s{0,8}(?:\|\||&&|x?or|and)\s{0,8}\(?(?:\d{1,8}|['\"][\w ]{0,16}['\"])\)?\s{0,4}(?:=|<|>|like\b)"
        r"|[\d'\")]\s{1,8}(?:or|and)\s{1,8}(?P<one>\d{1,8})\s{0,4}=\s{0,4}(?P=one)\b"
        r"|\b(?:pg_)?sleep\s?\(\s?\d{1,4}(?:\.\d{1,4})?\s?\)|\bbenchmark\s?\(\s?\d{1,16}\s?,|\bwaitfor\s{1,8}delay\b"
        r"|\b(?:extractvalue|updatexml)\s{0,4}\(|\binformation_schema\.|\bxp_cmdshell\b|\bdbms_pipe\.|\butl_http\."
        r"|;\s{0,8}(?:drop|alter|truncate)\s{1,8}(?:table|database|user)\b|;\s{0,8}insert\s{1,8}into\b"
        r"|'\s{0,8}(?:--|/\*|;\s{0,4}--)(?:\s|-|\+|$)",
        "SQL injection",
    ),
    _attack(
        "target",
        r"\b(?:php|phar|expect|zip|glob)://|=\s{0,4}(?:gopher|dict|file|ldap|jar)://"
        r"|\bdata:(?:text/[a-z]{1,16})?[;,]{1,2}base64,|\ballow_url_include\b|\bauto_prepend_file\b",
        "PHP wrappers: a stream or an address in a parameter",
    ),
    _attack("target", r"\b169\.254\.169\.254\b|\bmetadata\.google\.internal\b", "the cloud's metadata in a parameter"),
    _attack(
        "target",
        r"(?:\.\.[/\\]){2}|[/\\]etc[/\\](?:passwd|shadow|group|hosts)\b|[/\\]proc[/\\]self[/\\]|\b(?:win|boot)\.ini\b"
        r"|[/\\]windows[/\\]system32\b|\.\.;/",
        "path traversal",
    ),
    _attack(
        "raw", r"%(?:25)?2e(?:%(?:25)?2e|\.)(?:/|\\|%)|\.%(?:25)?2e(?:/|\\|%)|%c0%ae(?:/|%c0%a[ef])"
        r"|\.\.%c[01]%(?:af|9c)|%u002[ef]",
        "path traversal: dots that are disguised",
    ),
    _attack(
        "target",
        r"<\s{0,4}script\b|<\s{0,4}(?:img|svg|iframe|body|video|audio|details|input|object|embed|math|a)\b[^>]{0,64}?"
        r"(?:\bon[a-z]{3,20}\s{0,4}=|javascript:)|<\s{0,4}iframe\b"
        r"|javascript:\s{0,4}(?:alert|eval|prompt|confirm|document|window|fetch|top|self)\b|\bdocument\.cookie\b",
        "cross-site scripting",
    ),
    _attack("target", r"<!(?:doctype|entity)\b[^>]{0,256}\b(?:system|public)\b", "XML external entities"),
    _attack(
        "target",
        r"/(?:\.env(?:\.(?:local|dev|development|prod|production|staging|test|example|sample|bak|backup|old|save))?|\.git/(?:config|head|index|logs/.{0,32})|\.svn/(?:entries|wc\.db)|\.hg/hgrc|\.aws/\w{1,16}"
        r"|\.ssh/\w{1,16}|\.htpasswd|\.npmrc|\.docker/config\.json|\.kube/config|wp-config\.php(?:\.\w{1,8}|~|_\w{1,8})"
        r"|(?:backup|dump|database|db)\.sql(?:\.gz|\.zip)?|id_rsa|\.bash_history)(?:$|\?)",
        "a probe for files with secrets (.env, .git and their like)",
    ),
    _attack(
        "target",
        r"/(?:c99|r57|wso|b374k|alfa|shell|cmd|webshell)\.(?:php\d?|jspx?|aspx?)(?:$|\?)|/shell\?cd |[?&]cmd="
        r"(?:id|whoami|uname)\b",
        "a probe for a web shell",
    ),
    _attack(
        "target",
        r"/phpunit/(?:\w{1,16}/){0,6}eval-stdin\.php|/_ignition/execute-solution|/boaform/admin/formlogin|/gponform/"
        r"|/hnap1(?:/|$)|/setup\.cgi\?next_file|/actuator/(?:env|heapdump|gateway/|jolokia)|/solr/[\w./-]{0,64}dataimport"
        r"|/manager/text/|/jmx-console/|/invoker/jmxinvokerservlet|/cgi-bin/(?:luci/;|test-cgi|php4?(?:$|\?)|bash)"
        r"|/remote/fgt_lang\?|/dana-na/[\w./-]{0,64}\.\.|/ecp/current/exporttool/|/autodiscover/autodiscover\.json\?.{0,64}@"
        r"|/invokefunction|\\think\\|/mgmt/tm/util/bash|/wls-wsat/|/_async/asyncresponse|%\{\(?#|\bclass\.module\.classloader"
        r"|/wp-content/plugins/wp-file-manager/lib/php/connector",
        "a probe for a hole that is well known",
    ),
    _attack(
        "agent",
        r"\b(?:nikto|sqlmap|nmap scripting engine|masscan|zgrab|nuclei|wpscan|gobuster|dirbuster|feroxbuster"
        r"|ffuf|fuzz faster|acunetix|nessus|openvas|w3af|whatweb|arachni|jaeles|netsparker|havij|joomscan|commix"
        r"|l9explore|l9tcpid|wfuzz|dirb|skipfish|zmeu|morfeus|jorgee|burpcollaborator)\b",
        "a scanner that gives its name", is_probe=True,
    ),
)  # fmt: skip

# the host in front (other_vhosts_access.log); the name behind the address may have spaces; quotes within are escaped
_COMBINED = re.compile(
    r"(?:[\w.-]{1,255}:\d{1,5} )?(?P<address>[0-9A-Fa-f:.%]{2,64}|[\w.-]{1,255}) \S{1,255} (?P<user>[^\[]{1,256}) "
    r"\[(?P<day>\d\d)/(?P<month>[A-Z][a-z]{2})/(?P<year>\d{4}):(?P<time>\d\d:\d\d:\d\d) (?P<zone>[+-]\d{4})\] "
    r'"(?P<request>[^"\\]*(?:\\.[^"\\]*)*)" (?P<status>\d{3}|-) (?:\d{1,20}|-)'
    r'(?: "(?P<referer>[^"\\]*(?:\\.[^"\\]*)*)" "(?P<agent>[^"\\]*(?:\\.[^"\\]*)*)")?(?: .*)?$'
)
_MONTHS = {name: at for at, name in enumerate(MONTH_NAMES, start=1)}
_ESCAPED = re.compile(r'\\(?:x([0-9A-Fa-f]{2})|(["\\]))')
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def parse_request(text: str) -> Optional[Request]:
    """A line of an access log taken apart; `None` when it is none."""
    if text.startswith("{"):
        return _parse_caddy(text)
    found = _COMBINED.match(text)
    if not found:
        return None
    day, month, year, time, zone = found.group("day", "month", "year", "time", "zone")
    try:
        offset = timedelta(hours=int(zone[1:3]), minutes=int(zone[3:])) * (-1 if zone[0] == "-" else 1)
        hour, minute, second = (int(part) for part in time.split(":"))
        local = datetime(int(year), _MONTHS[month], int(day), hour, minute, min(second, 59), tzinfo=timezone.utc)
        at = local - offset
    except (ValueError, KeyError, OverflowError):
        return None
    status, user = found.group("status"), found.group("user")
    return Request(
        at, found.group("address"), "" if user == "-" else user, _target(_unescape(found.group("request"))),
        int(status) if status != "-" else 0, _unescape(found.group("referer") or ""),
        _unescape(found.group("agent") or ""),
    )  # fmt: skip


def _target(request: str) -> str:
    """What is asked for, without method and protocol; all of a request that is none."""
    _, _, rest = request.partition(" ")
    target, _, protocol = rest.rpartition(" ")
    return (target if protocol.startswith("HTTP/") else rest) or request


def _unescape(text: str) -> str:
    """`text` as the client sent it: servers write what could end a field as `\\xHH`, or behind a backslash."""
    if "\\" not in text:
        return text
    return _ESCAPED.sub(lambda found: chr(int(found.group(1), 16)) if found.group(1) else found.group(2), text)


def _parse_caddy(text: str) -> Optional[Request]:
    """A line of Caddy's access log, in its JSON format (Caddy's documentation, "log")."""
    try:
        entry = json.loads(text)
        request, headers = entry["request"], entry["request"].get("headers") or {}
        stamp = entry["ts"]
        at = parse_time(stamp) if isinstance(stamp, str) else _EPOCH + timedelta(seconds=float(stamp))
        return Request(
            at, str(request.get("client_ip") or request.get("remote_ip") or ""), str(entry.get("user_id") or ""),
            str(request["uri"]), int(entry["status"]), _first(headers, "Referer"), _first(headers, "User-Agent"),
        )  # fmt: skip
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError, Invalid):
        return None


def _first(headers: Any, name: str) -> str:
    values = headers.get(name)
    return str(values[0]) if isinstance(values, list) and values else ""


def find_attack(request: Request) -> Optional[Attack]:
    """The first rule that fits what `request` asks for, `None` for an ordinary one."""
    raw = request.target[:LONGEST_TARGET].lower()
    parts = {
        "raw": raw, "target": _decode(raw), "agent": request.agent[:LONGEST_TARGET].lower(),
        "referer": _decode(request.referer[:LONGEST_TARGET].lower()),
    }  # fmt: skip
    for rule in RULES:
        if any(rule.pattern.search(parts[part]) for part in rule.parts):
            return rule
    return None


def _decode(text: str) -> str:
    """`text` without URL encoding, of one or two layers, in small letters."""
    for _ in range(2):
        if "%" not in text and "+" not in text:
            break
        text = unquote_plus(text, errors="replace")
    return text.lower().replace("\0", "")


def tell_request(host: str, make_id: Callable[[], UUID], request: Request, text: str) -> Optional[Event]:
    """The event that `request` is, whose line is `text`; `None` for an ordinary one."""
    rule = find_attack(request)
    if rule is None:
        return None
    severity = 4 if 200 <= request.status < 300 and not rule.is_probe else 3
    return Event(
        make_id(), request.at, host, "LINUX", "WEB_ATTACK", severity, cut(f"[{rule.description}] {text}"),
        clean_address(request.address), request.user[:256] or NO_ADDRESS,
    )  # fmt: skip


class AccessLog:
    """What the lines of one access log tell, one after another: see `agents.progress.Teller`.

    Of one address and one kind of attack the first is told at once, the others of the same minute as one with their
    count: a scanner's hundred thousand requests are some hundred events.
    """

    def __init__(self, host: str) -> None:
        self._host = host
        self._flood = Flood(WINDOW_SECONDS, "of other addresses")

    @property
    def waits(self) -> bool:
        return self._flood.waits

    def tell(self, raw: bytes, now: datetime) -> List[Event]:
        text = decode_line(raw)
        request = parse_request(text)
        if request is None:
            return []
        seconds = min(request.at, now).timestamp()
        told = self._flood.due(seconds)
        event = tell_request(self._host, uuid7, request, text)
        if event is None:
            return told
        what, _, _ = event.raw_message.partition("]")
        return told + self._flood.fold(event, (event.source_ip, what, str(event.severity)), seconds)

    def due(self, seconds: float) -> Optional[List[Event]]:
        return self._flood.due(seconds) if self._flood.is_due(seconds) else None
