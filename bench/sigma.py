"""Sigma: how many events a second one process matches, with more and more rules; no database, no broker.

The events are as the agents write them, of all kinds, one in two hundred of which meets a rule. The rules are made up,
as long and as nested as real ones: names of programs, parts of command lines, exceptions, expressions. The ceiling is
what every event costs before any rule is asked: to find out what it is, and its text in small letters.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence

from bench.figure import Figure, Options, rate, ratio
from store.rows import StoredEvent
from watch.sigma.convert import convert_rule
from watch.sigma.fields import read_records
from watch.sigma.match import PlainRule, Ruleset

COUNTS = (0, 10, 100, 400)
EVENTS = 50_000
LEAST_A_SECOND = 20_000
_AT = "2026-11-23T06:30:16.656871Z"
_SYLLABLES = ("ka", "lo", "mi", "tu", "re", "xan", "dor", "fil", "ser", "vex", "qui", "zet", "bra", "ost", "nim", "pul")
_SOURCES = ("windows", "windows", "windows", "linux", "linux", "auditd", "security", "auth", "macos", "script")


def measure_sigma(options: Options) -> list[Figure]:
    """Of the matcher alone. The database has no part in it."""
    if options.database != "sqlite":
        return []
    chance = random.Random(1)
    rules = [_make_rule(chance, number) for number in range(max(COUNTS))]
    events = [_make_event(chance) for _ in range(options.scaled(EVENTS))]
    words = [word for rule in rules if "linux/line" in rule.trees for word in rule.trees["linux/line"][2][4]]
    for event in chance.sample([one for one in events if " sshd[" in one.raw_message], len(events) // 200):
        event.raw_message = event.raw_message.replace(" for user", f" for {chance.choice(words)}", 1)
    rulesets = {count: Ruleset(rules[:count]) for count in COUNTS}
    ceiling, *found = _measure(options, events, [_read, *(ruleset.match for ruleset in rulesets.values())])
    rates = dict(zip(COUNTS, found, strict=True))
    met = sum(bool(rulesets[max(COUNTS)].match(event)) for event in events)
    options.say(f"{met:,} of {len(events):,} events meet one of {max(COUNTS)} rules")
    figures = [Figure("Sigma, no rule asked: the ceiling", rate(ceiling), "", None)]
    for count, matched in rates.items():
        is_most = count == max(COUNTS)
        figures.append(
            Figure(
                f"Sigma, {count} rules", rate(matched), rate(LEAST_A_SECOND) if is_most else "",
                matched >= LEAST_A_SECOND if is_most else None,
                f"÷ ceiling {ratio(matched, ceiling)}" if count else "nothing is done",
            )
        )  # fmt: skip
    return figures


def _measure(
    options: Options, events: Sequence[StoredEvent], asked: Sequence[Callable[[StoredEvent], object]]
) -> list[float]:
    """The best rate of each in events a second, of several turns in which one follows the other."""
    rates = [0.0] * len(asked)
    for _ in range(options.turns):
        for number, match in enumerate(asked):
            begun = time.perf_counter()
            for event in events:
                match(event)
            rates[number] = max(rates[number], len(events) / (time.perf_counter() - begun))
    return rates


def _read(event: StoredEvent) -> None:
    read_records(event)
    event.raw_message.casefold()


def _word(chance: random.Random) -> str:
    return "".join(chance.choices(_SYLLABLES, k=chance.randint(2, 4)))


def _make_rule(chance: random.Random, number: int) -> PlainRule:
    source = _SOURCES[number % len(_SOURCES)]
    words = [_word(chance) for _ in range(chance.randint(3, 12))]
    logsource, detection = _DETECTIONS[source](chance, words)
    return convert_rule({"title": f"rule {number}", "logsource": logsource, "detection": detection})


def _of_process(product: str) -> Callable[[random.Random, list[str]], tuple[dict[str, str], dict[str, object]]]:
    separator, end = ("\\", ".exe") if product == "windows" else ("/", "")

    def make(chance: random.Random, words: list[str]) -> tuple[dict[str, str], dict[str, object]]:
        images = [f"{separator}{word}{end}" for word in words[:3]]
        # many rules are about programs that everybody runs, and tell by the command line
        usual = [f"{separator}{chance.choice(('cmd', 'powershell', 'net', 'curl', 'sh'))}{end}"]
        detection: dict[str, object] = {
            "image": {"Image|endswith": usual if chance.random() < 0.5 else images},
            "words": {"CommandLine|contains": [f" {word}" for word in words[3:]] or ["--x"]},
            "known": {"CommandLine|contains|all": [words[0], "update"]},
            "condition": "image and words and not known",
        }
        if chance.random() < 0.2:
            detection["words"] = {"CommandLine|re": rf"\s[-/]{words[0][:2]}\w*\s+{words[1]}\d+"}
        return {"category": "process_creation", "product": product}, detection

    return make


def _of_auditd(_: random.Random, words: list[str]) -> tuple[dict[str, str], dict[str, object]]:
    arguments = {f"a{number}|contains": word for number, word in enumerate(words[:3])}
    return {"product": "linux", "service": "auditd"}, {"sel": {"type": "EXECVE", **arguments}, "condition": "sel"}


def _of_security(chance: random.Random, words: list[str]) -> tuple[dict[str, str], dict[str, object]]:
    number = chance.choice((4624, 4625, 4720, 4732, 4697))
    name = "ServiceName" if number == 4697 else "TargetUserName"
    return {"product": "windows", "service": "security"}, {
        "sel": {"EventID": number, name: words[:5]}, "no": {"SubjectUserName|endswith": "$"},
        "condition": "sel" if number in (4624, 4625) else "sel and not no",
    }  # fmt: skip


def _of_auth(_: random.Random, words: list[str]) -> tuple[dict[str, str], dict[str, object]]:
    return {"product": "linux", "service": "auth"}, {"words": words, "condition": "words"}


def _of_script(_: random.Random, words: list[str]) -> tuple[dict[str, str], dict[str, object]]:
    return {"product": "windows", "category": "ps_script"}, {
        "sel": {"ScriptBlockText|contains": [f"Invoke-{word}" for word in words]}, "condition": "sel",
    }  # fmt: skip


_DETECTIONS = {
    "windows": _of_process("windows"), "linux": _of_process("linux"), "macos": _of_process("macos"),
    "auditd": _of_auditd, "security": _of_security, "auth": _of_auth, "script": _of_script,
}  # fmt: skip
_WINDOWS = f"{_AT} WIN-01 Microsoft-Windows-Security-Auditing"
_LINUX = f"{_AT} web-01"
_MESSAGES = (
    (
        "WINDOWS", "PROCESS_EXEC",
        f"{_WINDOWS} 4688: a process was started: NewProcessName=C:\\Windows\\System32\\cmd.exe "
        'CommandLine="cmd.exe /c C:\\Tools\\settings{n}.cmd --all --quiet" NewProcessId=0x{n:x} '
        "ParentProcessName=C:\\Windows\\explorer.exe SubjectUserName=user{u} TokenElevationType=%%1938",
    ),
    (
        "WINDOWS", "PROCESS_EXEC",
        f"{_WINDOWS} 4688: a process was started: NewProcessName=C:\\Tools\\run{{n}}.exe "
        'CommandLine="""C:\\Tools\\run.exe"" settings {n}" NewProcessId=0x{n:x} SubjectUserName=user{u}',
    ),
    (
        "WINDOWS", "LOGIN_FAIL",
        f"{_WINDOWS} 4625: a login failed: TargetUserName=user{{u}} TargetDomainName=EXAMPLE LogonType=3 "
        "IpAddress=192.0.2.{u} IpPort={n} AuthenticationPackageName=NTLM Status=0xc000006d",
    ),
    (
        "WINDOWS", "LOGIN_SUCCESS",
        f"{_WINDOWS} 4624: a person logged in (types 2, 3, 7, 10 and 11): TargetUserName=user{{u}} "
        "TargetDomainName=EXAMPLE LogonType=10 IpAddress=192.0.2.{u} IpPort=0 ElevatedToken=%%1842",
    ),
    ("LINUX", "LOGIN_FAIL", f"{_LINUX} sshd[{{n}}]: Failed password for user{{u}} from 198.51.100.7 port {{n}} ssh2"),
    ("LINUX", "LOGIN_SUCCESS", f"{_LINUX} sshd[{{n}}]: Accepted publickey for user{{u}} from 198.51.100.7 port {{n}}"),
    (
        "LINUX", "SUDO_ESCALATION",
        f"{_LINUX} sudo: user{{u}} : TTY=pts/0 ; PWD=/home ; USER=root ; COMMAND=/usr/bin/apt install settings{{n}}",
    ),
    (
        "LINUX", "PROCESS_EXEC",
        "type=SYSCALL msg=audit(1732400200.500:{n}): arch=c000003e syscall=59 success=yes exit=0 a0=1 a1=2 a2=3 a3=8 "
        'items=2 ppid=2002 pid={n} auid=1000 uid={u} gid=0 euid=0 tty=pts0 ses=3 comm="curl" exe="/usr/bin/curl" '
        "key=\"exec\" command: curl -s -o /tmp/{n} 'https://example.com/settings {u}'",
    ),
    (
        "MACOS", "SUDO_ESCALATION",
        f"{_AT} localhost sudo[{{n}}]: user{{u}} : TTY=ttys1 ; PWD=/Users ; USER=root ; COMMAND=/bin/ls settings{{n}}",
    ),
    (
        "FIREWALL", "CONNECTION_BLOCKED",
        "<134>Nov 23 06:55:46 filterlog[41837]: 4,,,1000000103,igb0,match,block,in,4,0x0,,242,54321,0,none,6,tcp,40,"
        "203.0.113.7,198.51.100.{u},{n},22,0,S,1234567890,,1024,,",
    ),
)  # fmt: skip


def _make_event(chance: random.Random) -> StoredEvent:
    os_type, event_type, message = chance.choice(_MESSAGES)
    user = chance.randint(1, 250)
    text = message.format(n=chance.randint(1_000, 60_000), u=user)
    return StoredEvent(
        1, "0197b3a0-0000-7000-8000-000000000000", _AT, "host-01", os_type, event_type, 2, f"192.0.2.{user}",
        f"user{user}", text, _AT,
    )  # fmt: skip
