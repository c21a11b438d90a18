"""What the lines of firewalls tell: recorded logs counted, hostile lines, and anything at all without harm."""

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

from agents.agent_firewall import read_line
from agents.firewall_lines import OWN_RULES, RULES, Finding, recognise
from agents.syslog import LONGEST_MESSAGE_BYTES, parse_header
from core.messages import EVENT_TYPES, Event, check_event

RECORDED = Path(__file__).parent / "recorded" / "firewall"
LOGS = sorted(RECORDED.glob("*.log"))
ID = UUID("0197b3a0-0000-7000-8000-000000000000")
NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def event_of(line: str) -> Event | None:
    return read_line("fw-01", ID, line.encode("utf-8", "surrogatepass"), NOW)


def finding_of(line: str) -> Finding:
    found = recognise(parse_header(line, NOW))
    assert found is not None, line
    return found


@pytest.mark.parametrize("log", LOGS, ids=lambda path: path.stem)
def test_a_recorded_log_gives_the_events_that_its_file_says(log: Path) -> None:
    events = [read_line("fw-01", ID, line, NOW) for line in log.read_bytes().splitlines()]
    found = [event for event in events if event]
    assert Counter(event.event_type for event in found) == json.loads(log.with_suffix(".json").read_text())
    for event in found:
        check_event(event, "fw-01")
        assert event.os_type == "FIREWALL"


def test_every_recorded_log_has_its_counts_and_its_origin() -> None:
    notes = (RECORDED.parent / "README.md").read_text()
    for log in LOGS:
        assert log.with_suffix(".json").exists()
        assert f"`firewall/{log.name}`" in notes


def test_every_rule_of_a_firewall_knows_a_recorded_line() -> None:
    lines = [line for log in LOGS for line in log.read_text().splitlines()]
    used = {found.rule.description for line in lines if (found := recognise(parse_header(line, NOW)))}
    not_recorded = {
        "UniFi (CEF): intrusion detection saw a threat", "UniFi (CEF): an administrator's login failed",
    }  # fmt: skip
    assert {rule.description for rule in OWN_RULES} - used == not_recorded


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            "filterlog: 4,,,1,igb0,match,block,in,4,0x0,,242,1,0,none,6,tcp,40,203.0.113.7,198.51.100.2,51514,22,0,S",
            ("203.0.113.7", "198.51.100.2", "51514", "22"),
        ),
        (
            "filterlog: 4,,,1,igb0,match,block,in,6,0x00,0x0,57,udp,17,40,2001:db8:1::7,2001:db8::2,4000,53,8",
            ("2001:db8:1::7", "2001:db8::2", "4000", "53"),
        ),
        (
            "Nov 23 06:55:46 gw kernel: DROP IN=e OUT= SRC=2001:0db8:0001:0000:0000:0000:0000:0007 DST=2001:db8::2 "
            "LEN=60 PROTO=TCP SPT=1 DPT=2 SYN",
            ("2001:db8:1::7", "2001:db8::2", "1", "2"),
        ),
        (
            "firewall,info drop input: in:e out:(none), proto TCP (SYN), [2001:db8:1::7]:40->[2001:db8::2]:22, len 4",
            ("2001:db8:1::7", "2001:db8::2", "40", "22"),
        ),
        (
            "firewall,info drop input: in:e out:(none), proto ICMPv6 (type 128, code 0), 2001:db8:1::7->2001:db8::2",
            ("2001:db8:1::7", "2001:db8::2", "", ""),
        ),
        (
            '%ASA-4-106023: Deny udp src o:203.0.113.7/53(LOCAL\\bob, 12) dst i:192.0.2.1/33456 by access-group "x"',
            ("203.0.113.7", "192.0.2.1", "53", "33456"),
        ),
        (
            "%ASA-6-106100: access-list x denied icmp outside/203.0.113.7(8) -> inside/192.0.2.1(0) hit-cnt 1",
            ("203.0.113.7", "192.0.2.1", "", ""),
        ),
        (
            "%FTD-3-710003: TCP access denied by ACL from 203.0.113.7/51518 to outside:198.51.100.2/ssh",
            ("203.0.113.7", "198.51.100.2", "51518", "ssh"),
        ),
    ],
)  # fmt: skip
def test_a_blocked_connection_names_both_its_ends(line: str, expected: tuple[str, ...]) -> None:
    found = finding_of(line)
    assert found.rule.event_type == "CONNECTION_BLOCKED"
    assert (found.source_ip, found.destination, found.source_port, found.port) == expected


@pytest.mark.parametrize(
    "line",
    [
        "filterlog[1]: 4,,,1,igb0,match,pass,in,4,0x0,,242,1,0,none,6,tcp,40,203.0.113.7,198.51.100.2,51514,22,0,S,1",
        "filterlog[1]: 4,,,1,igb0,match,block",
        "Nov 23 06:55:46 drop-box kernel: IN=eth0 OUT= SRC=203.0.113.7 DST=198.51.100.2 PROTO=TCP SPT=1 DPT=2",
        "Nov 23 06:55:46 gw kernel: unblocked IN=eth0 OUT= SRC=203.0.113.7 DST=198.51.100.2 PROTO=TCP SPT=1 DPT=2",
        'Nov 23 06:55:46 gw [LAN_IN-A-7] DESCR="no drop" IN=br0 OUT= SRC=192.0.2.1 DST=192.0.2.2 PROTO=TCP SPT=1 DPT=2',
        "Nov 23 06:55:46 gw logger: DROP IN=eth0 OUT= SRC=203.0.113.7 DST=198.51.100.2 PROTO=TCP SPT=1 DPT=2",
        "firewall,info forward: in:drop out:ether1, proto TCP (SYN), 192.0.2.10:50000->198.51.100.80:443, len 60",
        "%ASA-6-106100: access-list denied permitted tcp outside/203.0.113.7(1) -> inside/192.0.2.1(2) hit-cnt 1",
        "%ASA-5-111008: User 'erika' executed the 'show running-config' command.",
        "",
        "<",
        "<134>",
        "<134>Nov 23 06:55:46",
    ],
)  # fmt: skip
def test_what_was_not_blocked_is_no_event(line: str) -> None:
    assert event_of(line) is None


TRICK = "x' from: 192.0.2.1 from 192.0.2.2 via ssh"


@pytest.mark.parametrize(
    ("line", "user"),
    [
        (f"php-fpm[1]: /index.php: webConfigurator authentication error for user '{TRICK}' from: 203.0.113.7", TRICK),
        (f"system,error,critical login failure for user {TRICK} from 203.0.113.7 via ssh", TRICK),
        (f'%ASA-6-605004: Login denied from 203.0.113.7/1 to a:b/ssh for user "{TRICK}"', TRICK),
        ("sshd[1]: error: PAM: Authentication error for illegal user a from b from 203.0.113.7", "a from b"),
    ],
)
def test_a_hostile_name_hides_no_address(line: str, user: str) -> None:
    event = event_of(line)
    assert event is not None
    assert (event.event_type, event.user, event.source_ip) == ("LOGIN_FAIL", user, "203.0.113.7")


@pytest.mark.parametrize(
    ("name", "event_type", "severity"),
    [
        ("Threat Detected", "SYSTEM_ALERT", 4),
        ("Admin Login Failed", "LOGIN_FAIL", 3),
        ("Failed Admin Sign In", "LOGIN_FAIL", 3),
    ],
)
def test_an_event_in_cef_is_told_by_its_name(name: str, event_type: str, severity: int) -> None:
    event = event_of(f"<14>Nov 23 06:55:46 gw CEF:0|Ubiquiti|UniFi Network|9.4|1|{name}|5|x=y src=203.0.113.7 msg=z")
    assert event is not None
    assert (event.event_type, event.severity, event.source_ip) == (event_type, severity, "203.0.113.7")


@pytest.mark.parametrize(
    ("stamp", "expected"),
    [
        ("Nov 22 2026 05:41:07: ", datetime(2026, 11, 22, 10, 41, 7, tzinfo=UTC)),
        ("Nov 22 05:41:07 fw-01 : ", datetime(2026, 11, 22, 10, 41, 7, tzinfo=UTC)),
        (":Nov 22 05:41:07 UTC: ", datetime(2026, 11, 22, 5, 41, 7, tzinfo=UTC)),
        ("2026-11-22T05:41:07+01:00 fw-01 ", datetime(2026, 11, 22, 4, 41, 7, tzinfo=UTC)),
        ("1 2026-11-22T05:41:07Z fw-01 - - - - ", datetime(2026, 11, 22, 5, 41, 7, tzinfo=UTC)),
        ("1 - - - - - - ", NOW),
        ("Feb 30 05:41:07 fw-01 ", NOW),
        ("", NOW),
    ],
)
def test_a_line_has_its_own_time_or_that_of_its_receipt(
    stamp: str, expected: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    # times of their own: what was read in another zone is remembered
    monkeypatch.setitem(os.environ, "TZ", "America/New_York")
    time.tzset()
    try:
        event = event_of(
            f"<166>{stamp}%ASA-6-106015: Deny TCP (no connection) from 203.0.113.7/1 to 192.0.2.1/2 flags A"
        )
        assert event is not None
        assert event.timestamp == expected
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_long_line_is_cut_and_says_so() -> None:
    event = event_of(f'%ASA-6-605004: Login denied from 203.0.113.7/1 to a:b/ssh for user "{"ü" * 9_000}"')
    assert event is not None
    assert len(event.raw_message.encode()) <= LONGEST_MESSAGE_BYTES
    assert "[cut: 18" in event.raw_message


def test_each_rule_has_a_known_type_and_a_description() -> None:
    for rule in RULES:
        assert rule.event_type in EVENT_TYPES
        assert 1 <= rule.severity <= 5
        assert rule.description


WORDS = st.sampled_from(" ".join(line for log in LOGS for line in log.read_text().splitlines()[::3]).split(" "))
STARTS = st.sampled_from(sorted({line[: line.find(": ") + 2] for log in LOGS for line in log.read_text().splitlines()}))


@given(start=STARTS, words=st.lists(WORDS, max_size=40))
@settings(max_examples=300, deadline=None)
def test_no_line_raises_and_every_event_is_valid(start: str, words: list[str]) -> None:
    event = event_of(start + " ".join(words))
    if event:
        check_event(event, "fw-01")


@given(st.binary(max_size=300), STARTS)
@settings(max_examples=300, deadline=None)
def test_no_bytes_raise(raw: bytes, start: str) -> None:
    for line in (raw, start.encode() + raw, b"<1>1 " + raw, b"%ASA-4-106023: Deny " + raw, b"CEF:0|" + raw):
        event = read_line("fw-01", ID, line, NOW)
        if event:
            check_event(event, "fw-01")


PIECES = [
    ",", "block,", "4,", "drop ", "IN=", " IN= SRC=", "SRC=a DST=b ", " SRC=a DST=b PROTO=", " in:", " in:a proto b",
    " proto x, 1:", "->", " from a", " from a/1 to b/2", "' from ", "' from: a", " via x", "|", "CEF:0|",
    "CEF:0|a|b|c|", "Threat Detected", "login fail", " src=1", " dpt=1", "act=", "=", "\\|", ": user = ",
    " : user IP = a", "[", "]", "(", " ", "\n", "\t", "a", "1", "-D]", "<1>", '[a b="', '"', "%ASA-4-106023: ", "(a) ",
    " dst a:b", "Source IP: ", "logged in ",
]  # fmt: skip
BEGINNINGS = [
    "", "<1>1 2026-01-01T00:00:00Z h p 1 - ", "Nov 23 06:55:46 ", "Nov 23 06:55:46 h kernel: ", "filterlog: ",
    "filterlog: ,,,,,,block,in,4,", "php: webConfigurator authentication error for '", "login failure for user ",
    "user ", "%ASA-4-106023: Deny tcp src a:", "%ASA-4-106001: Inbound TCP connection denied from ",
    "drop in:a proto b, 1", "drop in:a proto b, 1.1.1.1:1->",
    "%ASA-6-106100: access-list a denied b c/d(1)", "%ASA-6-605004: Login denied from a to b for user '",
    "%ASA-6-113015: AAA user authentication Rejected : reason = ", "%ASA-5-111010: User '", "kernel: drop IN= SRC=",
    "CEF:0|a|b|c|d|", "CEF:0|a|b|c|d|Threat Detected|7|", "CEF:0|Ubiquiti|UniFi OS|1|admins|1|msg=",
    "%ASA-6-113015: AAA user authentication Rejected : reason = x : local database : user = ",
]  # fmt: skip


@pytest.mark.parametrize("beginning", BEGINNINGS)
def test_a_hostile_line_of_a_megabyte_costs_no_more_than_its_length(beginning: str) -> None:
    size = 100_000 if beginning else 1_000_000
    for piece in PIECES:
        text = beginning + piece * (size // len(piece)) + "!"
        begun = time.process_time()
        recognise(parse_header(text, NOW))
        # a quadratic pattern takes minutes for this, a linear one some dozen milliseconds
        assert time.process_time() - begun < 5, (beginning, piece)
