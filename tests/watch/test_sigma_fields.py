"""Fields: those that the agents write, and no others; read again from records, and from anything without harm."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from linear import grows_linearly
from watch_sigma import everything, executed, macos_line, raw_event, recorded, windows_event

from agents.audit_lines import RULES as AUDIT_RULES
from agents.audit_records import parse_fields, parse_record
from agents.windows_events import RULES as WINDOWS_RULES
from core.audit import TYPES as AGENTS_TYPES
from core.messages import EVENT_TYPES, OS_TYPES
from store.rows import StoredEvent
from watch.sigma.audit import TYPES
from watch.sigma.fields import read_records
from watch.sigma.kinds import AUDIT, KINDS, LINE, OWN_FIELDS, WINDOWS


def records(event: StoredEvent) -> dict[str, dict[str, str]]:
    """The records of `event` by kind, with the fields that the kind names."""
    return {
        record.kind: {name: value for name in KINDS[record.kind].fields if (value := record.get(name)) is not None}
        for record in read_records(event)
    }


def test_the_fields_of_windows_are_those_that_the_agent_writes() -> None:
    told: dict[int, tuple[str, str, set[str]]] = {}
    for rule in WINDOWS_RULES:
        told[rule.event_id] = (rule.channel, rule.provider, {name.replace(" ", "") for name in rule.fields})
    assert {number: (log, provider, set(names.split())) for number, (log, provider, names) in WINDOWS.items()} == told


def test_the_types_of_audit_records_are_those_that_the_agent_tells() -> None:
    assert set(AUDIT) == {name for rule in AUDIT_RULES for name in rule.types} | {"SYSCALL"}
    assert {number: name for number, name in AGENTS_TYPES.items() if name in AUDIT and name != "EXECVE"} == TYPES


def test_every_kind_of_host_has_its_lines() -> None:
    assert set(LINE) == set(OS_TYPES)


@pytest.mark.parametrize("event", recorded("windows"), ids=lambda event: event.raw_message[21:90])
def test_a_recorded_event_of_windows_has_all_that_its_message_names(event: StoredEvent) -> None:
    kind = next(record.kind for record in read_records(event) if record.kind != "windows/line")
    found = records(event)[kind]
    names = re.findall(r" (\w+)=", re.sub(r'"(?:[^"]|"")*"', '""', event.raw_message))
    assert set(names) == set(found) - {"Computer"}
    assert found["Computer"] == "WIN-01.example.com"


def test_no_value_is_taken_for_a_field_of_its_own() -> None:
    event = windows_event(4625, TargetUserName='x" IpAddress=1.2.3.4 LogonType="2', IpAddress="192.0.2.9")
    found = records(event)["windows/4625"]
    assert found["TargetUserName"] == 'x" IpAddress=1.2.3.4 LogonType="2'
    assert found["IpAddress"] == "192.0.2.9"
    assert "LogonType" not in found
    forged = windows_event(4688, NewProcessName="a", CommandLine="b", SubjectUserName="x 4625: y: IpAddress=1.2.3.4")
    assert set(records(forged)) == {"windows/line", "windows/4688"}


@pytest.mark.parametrize(
    "event",
    [one for one in recorded("linux") if one.raw_message.startswith("type=")],
    ids=lambda one: one.raw_message[:50],
)
def test_a_recorded_audit_record_has_the_fields_that_the_agent_itself_reads(event: StoredEvent) -> None:
    text = event.raw_message.partition(" command: ")[0]
    record = parse_record(text)
    assert record is not None
    told = {name: value for name, value in parse_fields(record.body).items() if value}
    found = next(one for one in read_records(event) if one.kind == f"audit/{record.type}")
    for name, value in told.items():
        assert found.get(name) == value


def test_an_audit_record_is_read_from_the_journal_and_from_the_kernels_lines() -> None:
    kinds = {record.kind for event in recorded("linux") for record in read_records(event)}
    assert {"audit/AVC", "audit/SECCOMP", "audit/SYSCALL", "audit/EXECVE", "linux/process", "linux/web"} <= kinds


def test_a_program_does_not_name_what_the_kernel_said() -> None:
    event = raw_event(
        "LINUX",
        "type=USER_AUTH msg=audit(1.1:1): pid=1 uid=0 auid=1000 msg='op=PAM:x acct=\"a\" uid=5 auid=7 res=failed'",
    )
    assert records(event)["audit/USER_AUTH"]["uid"] == "0"
    assert records(event)["audit/USER_AUTH"]["auid"] == "1000"


def test_a_command_has_its_arguments_and_its_user() -> None:
    found = records(executed("sh", "-c", "id; whoami", uid="0"))
    assert [found["audit/EXECVE"].get("type")] == ["EXECVE"]
    assert found["linux/process"] == {
        "Image": "/usr/bin/sh", "CommandLine": "sh -c id; whoami", "User": "root", "ProcessId": "2200",
        "ParentProcessId": "2002",
    }  # fmt: skip


def test_a_process_of_macos_is_what_sudo_ran() -> None:
    line = "   alice : TTY=ttys001 ; PWD=/Users/alice ; USER=root ; COMMAND=/usr/sbin/spctl --master-disable"
    assert records(macos_line("sudo", line))["macos/process"] == {
        "Image": "/usr/sbin/spctl", "CommandLine": "/usr/sbin/spctl --master-disable", "User": "root",
        "CurrentDirectory": "/Users/alice",
    }  # fmt: skip


def test_what_was_counted_is_read_like_what_it_counts() -> None:
    event = windows_event(4625, TargetUserName="bob")
    event.raw_message = f"[12 more within 60 s like this] {event.raw_message}"
    assert records(event)["windows/4625"]["TargetUserName"] == "bob"


def test_an_events_own_fields_are_there_in_each_record_unless_they_say_nothing() -> None:
    event = windows_event(4625, TargetUserName="bob", IpAddress="192.0.2.9")
    for record in read_records(event):
        assert {name: record.get(name) for name in OWN_FIELDS} == {
            "source_host": "win-01", "os_type": "WINDOWS", "event_type": "LOGIN_FAIL", "severity": "3", "user": "bob",
            "source_ip": "192.0.2.9", "raw_message": event.raw_message,
        }  # fmt: skip
    event.source_ip = "N/A"
    assert read_records(event)[0].get("source_ip") is None


PIECES = st.sampled_from(
    [
        *(event.raw_message for event in everything()[::5]), '"', '""', "=", " ", ": ", "type=", "SYSCALL ", "msg='",
        "'", " command: ", "COMMAND=", "\x1d", "\ud800", "\0", "{", "[", '{"request":', "audit(", "<audit-", "9" * 5000,
        "sudo: x : TTY=", "\n", "ß", "ſ", "İ",
    ]
)  # fmt: skip


@given(
    text=st.lists(PIECES | st.text(max_size=20), max_size=6).map("".join), cut=st.integers(0, 200),
    os_type=st.sampled_from((*OS_TYPES, "OTHER")), event_type=st.sampled_from(EVENT_TYPES),
)  # fmt: skip
@settings(max_examples=400, deadline=None)
def test_no_message_raises(text: str, cut: int, os_type: str, event_type: str) -> None:
    for record in read_records(raw_event(os_type, text[cut:], event_type)):
        for name in (*KINDS[record.kind].fields, *OWN_FIELDS, "a0", "nothing"):
            record.get(name)
            record.fold(name)


@pytest.mark.parametrize(
    ("os_type", "start", "piece"),
    [
        ("WINDOWS", "2026 W Microsoft-Windows-Security-Auditing 4688: a: ", 'A="'),
        ("WINDOWS", "2026 W Microsoft-Windows-Security-Auditing 4688: a: CommandLine=", '""'),
        ("WINDOWS", "2026 W Microsoft-Windows-Security-Auditing 4688: a: CommandLine=", "a=b "),
        ("WINDOWS", "2026 W Microsoft-Windows-Security-Auditing 4688", ": "),
        ("LINUX", "type=SYSCALL msg=audit(1.1:1): ", "a=b "),
        ("LINUX", "type=SYSCALL msg=audit(1.1:1): ", 'a="'),
        ("LINUX", "type=SYSCALL msg=audit(1.1:1): x=1 command: ", "'"),
        ("LINUX", "type=SYSCALL msg=audit(1.1:1): x=1 command: ", "' a"),
        ("LINUX", "type=USER_AUTH msg=audit(1.1:1): msg='", "op="),
        ("LINUX", "Mar  2 09:16:02 h sudo: a : TTY=x ; ", "PWD=/ ; "),
        ("LINUX", "Mar  2 09:16:02 h sudo: a : ", "TTY=; "),
        ("PIHOLE", "Pi-hole blocked ", "a (A"),
        ("LINUX", "Mar  2 09:16:02 h pkexec: a: Executing command [USER=", "[COMMAND="),
        ("LINUX", "Mar  2 09:16:02 h doas: a ran command ", " as "),
        ("LINUX", "1 a b c d e ", "[a]"),
        ("LINUX", '1 a b c d e [a b="', "\\"),
        ("MACOS", "2026-11-23T06:30:01 h sudo: ", " : TTY="),
        ("LINUX", "[", "[1 more within "),
    ],
)
def test_a_long_message_costs_no_more_than_its_length(os_type: str, start: str, piece: str) -> None:
    def read(text: str) -> None:
        for event_type in ("SYSTEM_ALERT", "WEB_ATTACK"):
            for record in read_records(raw_event(os_type, text, event_type)):
                record.get("nothing")

    assert grows_linearly(read, start, piece)
