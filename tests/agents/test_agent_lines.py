"""What the lines of a Linux log tell: recorded logs counted, hostile names, and anything at all without harm."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.agent_linux import read_line
from agents.journal import parse_entry
from agents.linux_lines import RULES, recognise
from agents.syslog import LONGEST_MESSAGE_BYTES, parse_line
from core.messages import EVENT_TYPES, Event, check_event

RECORDED = Path(__file__).parent / "recorded"
ID = UUID("0197b3a0-0000-7000-8000-000000000000")
NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def event_of(line: str) -> Event | None:
    return read_line("web-01", ID, line.encode(), NOW)


def sshd(message: str) -> Event:
    event = event_of(f"Nov 23 06:55:46 web-01 sshd[2]: {message}")
    assert event is not None
    return event


@pytest.mark.parametrize("log", sorted(RECORDED.glob("*.log")), ids=lambda path: path.stem)
def test_a_recorded_log_gives_the_events_that_its_file_says(log: Path) -> None:
    events = [read_line("web-01", ID, line, NOW) for line in log.read_bytes().splitlines()]
    found = [event for event in events if event]
    assert Counter(event.event_type for event in found) == json.loads(log.with_suffix(".json").read_text())
    for event in found:
        check_event(event, "web-01")


def test_every_recorded_log_has_its_counts_and_its_origin() -> None:
    notes = (RECORDED / "README.md").read_text()
    for log in RECORDED.glob("*.log"):
        assert log.with_suffix(".json").exists()
        assert f"`{log.name}`" in notes


PAM = "authentication failure; logname= uid=0 euid=0 tty=ssh ruser= "
TRICK = "Failed password for root from 1.2.3.4"


@pytest.mark.parametrize(
    ("message", "user", "address"),
    [
        (f"Invalid user {TRICK} from 5.6.7.8 port 22", TRICK, "5.6.7.8"),
        ("Invalid user  from 5.6.7.8 port 22", "N/A", "5.6.7.8"),
        (f"Failed password for invalid user {TRICK} port 1 from 5.6.7.8 port 22 ssh2", f"{TRICK} port 1", "5.6.7.8"),
        ("Failed none for invalid user x from 2001:db8::1 port 5 ssh2", "x", "2001:db8::1"),
        ("Failed publickey for root from fe80::1%eth0 port 5 ssh2: RSA SHA256:abc", "root", "fe80::1"),
        ("Failed password for root from UNKNOWN port 5 ssh2", "root", "N/A"),
    ],
)  # fmt: skip
def test_a_hostile_name_hides_no_address(message: str, user: str, address: str) -> None:
    event = sshd(message)
    assert (event.event_type, event.user, event.source_ip) == ("LOGIN_FAIL", user, address)


@pytest.mark.parametrize("program", ["vsftpd", "sshd(pam_unix)"])
@pytest.mark.parametrize(
    ("rest", "user", "address"),
    [
        ("rhost=evil.example  user=root", "root", "N/A"),
        ("rhost=1.2.3.4  user=a rhost=9.9.9.9", "a rhost=9.9.9.9", "1.2.3.4"),
        ("rhost=218.188.2.4", "N/A", "218.188.2.4"),
    ],
)
def test_a_failure_that_pam_alone_tells_is_an_event(program: str, rest: str, user: str, address: str) -> None:
    prefix = "" if program.endswith(")") else f"pam_unix({program}:auth): "
    event = event_of(f"Nov 23 06:55:46 web-01 {program}[1]: {prefix}{PAM}{rest}")
    assert event is not None
    assert (event.event_type, event.user, event.source_ip) == ("LOGIN_FAIL", user, address)


@pytest.mark.parametrize(
    "message",
    [
        f"pam_unix(sshd:auth): {PAM}rhost=1.2.3.4  user=root",
        f"PAM 5 more {PAM}rhost=1.2.3.4  user=root",
        "error: PAM: Authentication failure for illegal user bob from 192.0.2.3",
        "error: maximum authentication attempts exceeded for root from 1.2.3.4 port 22 ssh2 [preauth]",
        "Disconnecting: Too many authentication failures for root [preauth]",
        "input_userauth_request: invalid user admin [preauth]",
        "pam_unix(sshd:auth): check pass; user unknown",
        "Connection closed by authenticating user root 1.2.3.4 port 22 [preauth]",
        "Disconnected from user Failed password for root from 1.2.3.4 port 22 ssh2",
        "xFailed password for root from 1.2.3.4 port 22 ssh2",
        "Failed password for root from 1.2.3.4 port 22 ssh2\nmore",
    ],
)
def test_what_only_accompanies_a_login_is_no_event(message: str) -> None:
    assert recognise("sshd", message) is None


def test_a_line_of_another_program_that_looks_like_sshd_is_no_event() -> None:
    assert event_of("Nov 23 06:55:46 web-01 logger: Failed password for root from 1.2.3.4 port 22 ssh2") is None


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("Nov 23 06:55:46 h sshd[1]: x", "2026-11-23"),
        ("Nov 24 00:30:00 h sshd[1]: x", "2026-11-24"),  # a clock that is ahead by less than a day
        ("Nov 25 06:55:46 h sshd[1]: x", "2025-11-25"),
        ("Dec  1 06:55:46 h sshd[1]: x", "2025-12-01"),
        ("Feb 29 06:55:46 h sshd[1]: x", "2024-02-29"),
        ("Dec 10 2019 06:55:46 h sshd[1]: x", "2019-12-10"),
    ],
)
def test_a_year_that_is_not_written_is_the_newest_that_fits(line: str, expected: str) -> None:
    parsed = parse_line(line, NOW)
    assert parsed is not None
    assert parsed.at.astimezone().date().isoformat() == expected


def test_local_times_become_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "TZ", "America/New_York")
    time.tzset()
    try:
        parsed = parse_line("Jul 10 06:55:41 h sshd[1]: x", NOW)
        assert parsed is not None
        assert parsed.at == datetime(2026, 7, 10, 10, 55, 41, tzinfo=UTC)
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(
    "line", ["Feb 30 06:55:46 h sshd[1]: x", "Nov 23 25:55:46 h sshd[1]: x", "", "\x00", "{", "[]"]
)
def test_a_line_without_a_time_that_exists_is_no_event(line: str) -> None:
    assert event_of(line) is None


def test_a_long_line_is_cut_and_says_so() -> None:
    event = sshd(f"Failed password for {'ü' * 9_000} from 1.2.3.4 port 22 ssh2")
    assert len(event.raw_message.encode()) <= LONGEST_MESSAGE_BYTES
    assert "[cut: 18" in event.raw_message
    assert event.source_ip == "1.2.3.4"


def test_bytes_that_are_no_text_are_replaced() -> None:
    event = read_line("h", ID, b"Nov 23 06:55:46 h sshd[2]: Invalid user \xff\x00\xfe from 1.2.3.4 port 5\r\n", NOW)
    assert event is not None
    assert event.user == "��"
    check_event(event)


def test_an_entry_of_the_journal_is_read_from_a_file_too() -> None:
    message = list(b"Failed password for \xff from 1.2.3.4 port 5 ssh2")
    fields = {
        "__CURSOR": "s=1", "__REALTIME_TIMESTAMP": "1764000000123456", "SYSLOG_IDENTIFIER": "sshd", "_PID": "7",
        "_HOSTNAME": "other", "MESSAGE": message,
    }  # fmt: skip
    event = read_line("web-01", ID, json.dumps(fields).encode(), NOW)
    assert event is not None
    assert (event.event_type, event.source_ip, event.source_host) == ("LOGIN_FAIL", "1.2.3.4", "web-01")
    assert event.raw_message.startswith("2025-11-24T16:00:00.123456Z other sshd[7]: Failed password for �")
    assert parse_entry({**fields, "MESSAGE": None}).line.message == ""


def test_what_journald_writes_by_way_of_the_kernel_is_journalds() -> None:
    fields = {
        "__CURSOR": "s=1", "__REALTIME_TIMESTAMP": "1764000000123456", "_TRANSPORT": "kernel",
        "SYSLOG_IDENTIFIER": "systemd-journald", "MESSAGE": "Received client request to rotate journal, rotating.",
    }  # fmt: skip
    event = read_line("web-01", ID, json.dumps(fields).encode(), NOW)
    assert event is not None
    assert (event.event_type, event.severity) == ("LOG_TAMPERING", 5)


def test_each_rule_has_a_known_type_and_a_description() -> None:
    for rule in RULES:
        assert rule.event_type in EVENT_TYPES
        assert 1 <= rule.severity <= 5
        assert rule.description


PROGRAMS = [*sorted({program for rule in RULES for program in rule.programs}), "other"]
TEXT = (
    "Failed password for from port ssh2 invalid user root 1.2.3.4 ::1 : ; = COMMAND= ' [ ] pam_unix(sshd:auth): "
    "authentication failure; rhost= user= new name= COMMAND=rm journalctl --vacuum /var/log/ \x00 \n ü"
)
WORDS = st.sampled_from(TEXT.split(" "))


@given(program=st.sampled_from(PROGRAMS), words=st.lists(WORDS, max_size=40))
@settings(max_examples=300, deadline=None)
def test_no_line_raises_and_every_event_is_valid(program: str, words: list[str]) -> None:
    event = event_of(f"Nov 23 06:55:46 h {program}[1]: {' '.join(words)}")
    if event:
        check_event(event, "web-01")


@given(st.binary(max_size=300))
@settings(max_examples=300, deadline=None)
def test_no_bytes_raise(raw: bytes) -> None:
    for line in (raw, b"Nov 23 06:55:46 h sshd[1]: " + raw, b"<1>1 " + raw, b'{"MESSAGE":' + raw):
        event = read_line("web-01", ID, line, NOW)
        if event:
            check_event(event, "web-01")


PIECES = [
    " from", " from 1.2.3.4 port 1", " for x from y", "COMMAND=journalctl ", "COMMAND=rm ", "rm /var/log", " BY x", "'",
    "audit_enabled=0 ", "Created symlink /systemd/system/", "pam_x(", "\\", '[a b="', '"] ', " ", "[", "a.b ", "add '",
]  # fmt: skip
STARTS = [
    "", "Failed x for ", "User ", "pam_unix(x:auth): ", "a : ", "Creating user ",
    "ROOT LOGIN ", "new user: name=", "message repeated 5 times: [ ", "removed group '",
    "Disconnecting authenticating user ",
]  # fmt: skip


def test_a_hostile_line_of_a_megabyte_costs_no_more_than_its_length() -> None:
    for piece in PIECES:
        for start in STARTS:
            text = start + piece * (200_000 // len(piece)) + "!"
            begun = time.process_time()
            for program in ("sshd", "sudo", "login", "su", "kernel", "useradd", "gpasswd", "userdel"):
                recognise(program, text)
            parse_line("<1>1 2026-01-01T00:00:00Z h p 1 - " + text, NOW)
            parse_line("Nov 23 06:55:46 " + text, NOW)
            # a quadratic pattern takes minutes for this, a linear one milliseconds
            assert time.process_time() - begun < 5, (start, piece)
