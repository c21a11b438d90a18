"""What entries of the unified log tell: a recorded log counted, hostile names, and anything at all without harm."""

from __future__ import annotations

import json
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.agent_macos import read_line
from agents.macos_lines import RULES, recognise, shared_rules
from agents.syslog import LONGEST_MESSAGE_BYTES
from core.messages import EVENT_TYPES, Event, check_event

RECORDED = Path(__file__).parent / "recorded"
ID = UUID("0197b3a0-0000-7000-8000-000000000000")
NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def event_of(program: str, message: object, **more: object) -> Event | None:
    fields = {
        "timestamp": "2026-11-23 08:00:01.521571+0200", "processImagePath": f"/usr/libexec/{program}", "processID": 7,
        "eventMessage": message, **more,
    }  # fmt: skip
    event = read_line("mac-01", ID, json.dumps(fields).encode(), NOW)
    if event:
        check_event(event, "mac-01")
    return event


def found(program: str, message: str) -> Event:
    event = event_of(program, message)
    assert event is not None
    return event


def test_a_recorded_log_gives_the_events_that_its_file_says() -> None:
    log = RECORDED / "macos-unified.ndjson"
    events = [read_line("mac-01", ID, line, NOW) for line in log.read_bytes().splitlines()]
    told = [event for event in events if event]
    assert Counter(event.event_type for event in told) == json.loads(log.with_suffix(".json").read_text())
    assert f"`{log.name}`" in (RECORDED / "README.md").read_text()
    for event in told:
        check_event(event, "mac-01")
        assert "hunter2" not in event.raw_message


def test_every_rule_is_met_by_the_recorded_log() -> None:
    met = set()
    for line in (RECORDED / "macos-unified.ndjson").read_text().splitlines():
        if line.startswith("{") and "eventMessage" in line:
            entry = json.loads(line)
            finding = recognise(entry["processImagePath"].rsplit("/", 1)[1], entry["eventMessage"])
            met |= {finding.rule} if finding else set()
    assert met >= set(RULES)


def test_an_entry_becomes_a_line_with_its_time_in_utc() -> None:
    event = found("sshd", "Failed password for alice from 192.0.2.7 port 9 ssh2")
    assert event.raw_message == (
        "2026-11-23T06:00:01.521571Z localhost sshd[7]: Failed password for alice from 192.0.2.7 port 9 ssh2"
    )
    assert event.timestamp == datetime(2026, 11, 23, 6, 0, 1, 521571, UTC)


FAILED = "Authentication: FAILED :: User Name: "
VIEWER = " :: Viewer Address: "


@pytest.mark.parametrize(
    ("program", "message", "user", "address"),
    [
        ("screensharingd", f"{FAILED}x{VIEWER}1.2.3.4{VIEWER}5.6.7.8 :: Type: DH", f"x{VIEWER}1.2.3.4", "5.6.7.8"),
        ("screensharingd", f"{FAILED}{VIEWER}5.6.7.8 :: Type: DH", "N/A", "5.6.7.8"),
        ("screensharingd", f"{FAILED}alice :: Type: RSA-SRP", "alice", "N/A"),
        ("sshd", "error: PAM: authentication error for illegal user x from 1.2.3.4 from 5.6.7.8", "x from 1.2.3.4",
         "5.6.7.8"),
        ("sshd", "error: PAM: authentication error for x from 5.6.7.8 via 192.0.2.1", "x", "5.6.7.8"),
        ("sshd-session", "Invalid user x from fe80::1%en0 port 5", "x", "fe80::1"),
        ("authorizationhost", "Failed to authenticate user <x> (error: 9)> (error: 9).", "x> (error: 9)", "N/A"),
        ("authorizationhost", "Failed to authenticate user <<private>> (error: 9).", "N/A", "N/A"),
    ],
)  # fmt: skip
def test_a_hostile_name_hides_no_address(program: str, message: str, user: str, address: str) -> None:
    event = found(program, message)
    assert (event.event_type, event.user, event.source_ip) == ("LOGIN_FAIL", user, address)


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ("sshd", "Failed keyboard-interactive/pam for alice from 192.0.2.7 port 9 ssh2"),
        ("sshd", "Connection closed by authenticating user alice 192.0.2.7 port 9 [preauth]"),
        ("logger", "Failed password for alice from 192.0.2.7 port 9 ssh2"),
        ("loginwindow", "sendBSDNotification: com.apple.sessionagent.screenIsLocked, with userID:501"),
        ("syspolicyd", "assessment granted for x.app by Developer ID"),
        ("syspolicyd", "no malware was found in x.app"),
        ("XProtectRemediatorAdload", '{"status_message":"NoThreatDetected","caused_by":[]}'),
        ("XProtectRemediatorAdload", "Malware detected"),
        ("XProtectRemediatorAdload", "[1]"),
        ("sysadminctl", "Assigning UID: 503 GID: 20"),
        ("sudo", ""),
    ],
)
def test_what_only_accompanies_an_event_is_none(program: str, message: str) -> None:
    assert event_of(program, message) is None


@pytest.mark.parametrize(
    "line",
    [
        b"", b'Filtering the log data using "process == sudo"', b'{"count":3,"finished":1}', b"{", b"[]", b"{}",
        b"\xff\xfe{", b'{"timestamp":1,"eventMessage":"x","processImagePath":"sudo"}',
        b'{"timestamp":null,"eventMessage":null}',
    ],
)  # fmt: skip
def test_a_line_that_is_no_entry_is_no_event(line: bytes) -> None:
    assert read_line("mac-01", ID, line, NOW) is None


def test_secrets_are_masked_before_they_leave_the_host() -> None:
    command = (
        "alice : TTY=ttys001 ; PWD=/x ; USER=root ; COMMAND=/usr/sbin/sysadminctl -addUser carol -password hunter2"
    )
    assert found("sudo", command).raw_message.endswith(
        "PWD=/x ; USER=root ; COMMAND=/usr/sbin/sysadminctl -addUser carol -password ***"
    )


def test_a_long_entry_is_cut_and_says_so() -> None:
    event = found("sudo", f"alice : TTY=x ; PWD=/ ; USER=root ; COMMAND=/bin/echo {'ü' * 60_000}")
    assert len(event.raw_message.encode()) <= LONGEST_MESSAGE_BYTES
    assert "[cut: " in event.raw_message


def test_each_rule_has_a_known_type_and_a_description() -> None:
    for rule in (*RULES, *shared_rules()):
        assert rule.event_type in EVENT_TYPES
        assert 1 <= rule.severity <= 5
        assert rule.description


PROGRAMS = [*sorted({program for rule in RULES for program in rule.programs}), "XProtectRemediatorX", "sshd", "other"]
TEXT = (
    "Authentication: FAILED :: User Name: Viewer Address: 1.2.3.4 Type: error: PAM: authentication error for from < > "
    "( ) Failed to authenticate user com.apple.sessionDidLogin, with userID:501 : ; COMMAND=log erase BAD SU to on "
    "Malware detected assessment denied but overridden {\"caused_by\":[1]} \x00 \n ü"
)  # fmt: skip


@given(program=st.sampled_from(PROGRAMS), words=st.lists(st.sampled_from(TEXT.split(" ")), max_size=40))
@settings(max_examples=300, deadline=None)
def test_no_message_raises_and_every_event_is_valid(program: str, words: list[str]) -> None:
    event_of(program, " ".join(words))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
)


@given(timestamp=JSON, message=JSON, path=JSON)
@settings(max_examples=300, deadline=None)
def test_no_field_raises(timestamp: object, message: object, path: object) -> None:
    event_of("sudo", message, timestamp=timestamp)
    event_of("sudo", message, processImagePath=path)
    event_of("XProtectRemediatorX", json.dumps(message), processID=timestamp, threadID=path)


@given(st.binary(max_size=300))
@settings(max_examples=300, deadline=None)
def test_no_bytes_raise(raw: bytes) -> None:
    for line in (raw, b'{"eventMessage":' + raw, b'{"timestamp":"' + raw):
        read_line("mac-01", ID, line, NOW)


PIECES = [
    " :: Viewer Address: ", " :: Type: ", "> (", "<", " from 1.2.3.4", "COMMAND=log ", "rm /var/audit ", "/", " to ",
    "[", "9", "malware ", " but overridden", "detected ", "com.apple.sessionDidLogin, with userID:", '{"caused_by":',
]  # fmt: skip
STARTS = [
    ("screensharingd", FAILED), ("authorizationhost", "Failed to authenticate user <"), ("loginwindow", ""),
    ("su", "BAD SU "), ("sudo", "alice : "), ("syspolicyd", "assessment denied for "), ("XProtectService", "malware"),
    ("su", ""), ("sshd", "error: PAM: authentication error for "), ("sysadminctl", "Creating home directory at "),
    ("XProtectRemediatorX", '{"caused_by":'), ("XProtectRemediatorX", "["),
]  # fmt: skip


def test_a_hostile_entry_of_a_megabyte_costs_no_more_than_its_length() -> None:
    for piece in PIECES:
        for program, start in STARTS:
            begun = time.process_time()
            recognise(program, start + piece * (1_000_000 // len(piece)) + "!")
            # a quadratic pattern takes hours for this
            assert time.process_time() - begun < 5, (program, start, piece)
        event_of("sudo", "alice : COMMAND=" + piece * (1_000_000 // len(piece)))
