"""Events as the agents make them, of what is recorded or of what a test writes; and rules of a few lines."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from uuid import UUID

import yaml

from agents import agent_linux, agent_macos, agent_windows
from agents.kinds import KINDS
from agents.reading import Summary, read_events
from core.clock import rfc3339, utc_now
from core.messages import Event
from store.rows import StoredEvent
from watch.sigma.collect import convert_files
from watch.sigma.convert import convert_rule
from watch.sigma.match import PlainRule, Ruleset

RECORDED = Path(__file__).parent.parent / "agents" / "recorded"
OWN = Path(__file__).parent.parent.parent / "watch" / "sigma" / "own"
LOGS = {
    "windows": ("windows-security.xml", "windows-system.xml", "windows-operational.xml"),
    "linux": ("audit/raw.log", "audit/enriched.log", "debian-12-auth.log", "debian-12-own.log", "debian-12-kern.log",
              "journal-audit.log", "rfc5424-auth.log", "centos-7-secure.log", "alpine-3-messages.log", "containers.log",
              "ubuntu-22.04-syslog.log", "web/nginx-access.log", "web/apache-access.log", "web/caddy-access.log"),
    "macos": ("macos-unified.ndjson",),
    "firewall": ("firewall/pfsense-2.7.log", "firewall/unifi.log"),
}  # fmt: skip
PROCESSES = {"category": "process_creation", "product": "windows"}
SECURITY = {"product": "windows", "service": "security"}
AUDITING = "Microsoft-Windows-Security-Auditing"
_ID = UUID("0197b3a0-0000-7000-8000-000000000000")


def stored(event: Event) -> StoredEvent:
    """`event` as the store gives it."""
    return StoredEvent(
        1, str(event.event_id), rfc3339(event.timestamp), event.source_host, event.os_type, event.event_type,
        event.severity, event.source_ip, event.user, event.raw_message, rfc3339(event.timestamp),
    )  # fmt: skip


@cache
def recorded(kind: str) -> list[StoredEvent]:
    """The events of all recorded logs of a kind of host."""
    return [
        stored(event)
        for log in LOGS[kind]
        for event in read_events(RECORDED / log, "host-01", KINDS[kind].read_file, Summary(log))
    ]


def everything() -> list[StoredEvent]:
    return [event for kind in LOGS for event in recorded(kind)]


def raw_event(os_type: str, raw_message: str, event_type: str = "SYSTEM_ALERT", **own: str) -> StoredEvent:
    at = "2026-11-23T06:30:00.000000Z"
    told = {"source_ip": "N/A", "user": "N/A", "timestamp": at, **own}
    return StoredEvent(
        1, str(_ID), told["timestamp"], "host-01", os_type, event_type, 3, told["source_ip"], told["user"],
        raw_message, at,
    )  # fmt: skip


def windows_event(number: int, provider: str = AUDITING, **fields: str) -> StoredEvent:
    """What our agent makes of an event of Windows with `fields`."""
    data = "".join(
        f"<Data Name='{name}'>{value.replace('&', '&amp;').replace('<', '&lt;')}</Data>"
        for name, value in fields.items()
    )
    text = (
        f"<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System><Provider Name='{provider}'/>"
        f"<EventID>{number}</EventID><Level>3</Level><TimeCreated SystemTime='2026-11-23T06:30:01.6568711Z'/>"
        f"<Channel>Security</Channel><Computer>WIN-01</Computer></System><EventData>{data}</EventData></Event>"
    )
    event = agent_windows.read_line("win-01", _ID, text.encode(), utc_now())
    assert event is not None
    return stored(event)


def executed(*arguments: str, exe: str = "", uid: str = "1000") -> StoredEvent:
    """What our agent makes of auditd's records of a command under a rule with a key."""
    stamp = "msg=audit(1732400200.500:40):"
    told = " ".join(f"a{number}={_as_audited(argument)}" for number, argument in enumerate(arguments))
    exe = exe or f"/usr/bin/{arguments[0].rsplit('/', 1)[-1]}"
    lines = (
        f"type=SYSCALL {stamp} arch=c000003e syscall=59 success=yes exit=0 a0=1 a1=2 a2=3 a3=8 items=2 ppid=2002 "
        f"pid=2200 auid=1000 uid={uid} gid=0 euid={uid} tty=pts0 ses=3 comm={_as_audited(exe.rsplit('/', 1)[-1][:15])} "
        f'exe={_as_audited(exe)} key="exec"\n'
        f"type=EXECVE {stamp} argc={len(arguments)} {told}"
    )
    event = agent_linux.read_line("web-01", _ID, lines.encode(), utc_now())
    assert event is not None
    return stored(event)


def _as_audited(text: str) -> str:
    """`text` in quotes, or hexadecimal when these would not hold it."""
    fits = text.isascii() and text.isprintable() and not set(text) & {'"', " "}
    return f'"{text}"' if fits else text.encode().hex().upper()


def linux_line(text: str) -> StoredEvent:
    event = agent_linux.read_line("web-01", _ID, text.encode(), utc_now())
    assert event is not None
    return stored(event)


def macos_line(process: str, message: str) -> StoredEvent:
    entry = {
        "timestamp": "2026-11-23 07:00:13.521583+0100", "eventMessage": message, "processID": 513, "threadID": 1,
        "processImagePath": f"/usr/bin/{process}",
    }  # fmt: skip
    event = agent_macos.read_line("mac-01", _ID, json.dumps(entry).encode(), utc_now())
    assert event is not None
    return stored(event)


def plain(logsource: dict[str, str], detection: str, title: str = "a rule") -> PlainRule:
    """The rule whose `detection` is this YAML; its condition is `sel` unless it has one. Raises `Invalid`."""
    told = yaml.safe_load(detection)
    told.setdefault("condition", "sel")
    return convert_rule({"title": title, "logsource": logsource, "detection": told})


def meets(event: StoredEvent, logsource: dict[str, str], detection: str) -> bool:
    return bool(Ruleset([plain(logsource, detection)]).match(event))


def own_rules() -> Ruleset:
    converted, refused = convert_files(sorted(OWN.glob("*.yml")))
    assert not refused
    return Ruleset([one.plain for one in converted])
