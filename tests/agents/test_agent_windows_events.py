"""What events of Windows tell: recorded logs counted, what is left out, hostile and damaged XML without harm."""

from __future__ import annotations

import io
import json
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.agent_windows import read_line
from agents.reading import Summary, by_line, read_events
from agents.syslog import LONGEST_MESSAGE_BYTES
from agents.tail import LONGEST_LINE_BYTES
from agents.windows_events import RULES, queries
from agents.windows_xml import split_events
from core.messages import EVENT_TYPES, Event, check_event

RECORDED = Path(__file__).parent / "recorded"
ID = UUID("0197b3a0-0000-7000-8000-000000000000")
NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
AUDITING = "Microsoft-Windows-Security-Auditing"


def event_of(text: str) -> Event | None:
    event = read_line("win-01", ID, text.encode(), NOW)
    if event:
        check_event(event, "win-01")
    return event


def xml(number: int, provider: str = AUDITING, level: int = 0, **fields: str) -> str:
    data = "".join(f"<Data Name='{name}'>{value}</Data>" for name, value in fields.items())
    return (
        f"<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System><Provider Name='{provider}'/>"
        f"<EventID>{number}</EventID><Level>{level}</Level><TimeCreated SystemTime='2026-11-23T06:30:01.6568711Z'/>"
        f"<Channel>Security</Channel><Computer>WIN-01</Computer></System><EventData>{data}</EventData></Event>"
    )


def found(number: int, provider: str = AUDITING, level: int = 0, **fields: str) -> Event:
    event = event_of(xml(number, provider, level, **fields))
    assert event is not None
    return event


@pytest.mark.parametrize("log", sorted(RECORDED.glob("windows-*.xml")), ids=lambda path: path.stem)
def test_a_recorded_log_gives_the_events_that_its_file_says(log: Path) -> None:
    events = list(read_events(log, "win-01", by_line(read_line, split_events), Summary(str(log))))
    assert Counter(event.event_type for event in events) == json.loads(log.with_suffix(".json").read_text())
    for event in events:
        check_event(event, "win-01")
        assert "hunter2" not in event.raw_message


def test_every_recorded_log_has_its_counts_and_its_origin() -> None:
    notes = (RECORDED / "README.md").read_text()
    for log in RECORDED.glob("windows-*.xml"):
        assert log.with_suffix(".json").exists()
        assert f"`{log.name}`" in notes


def test_every_rule_is_met_by_a_recorded_event() -> None:
    met = set()
    for log in RECORDED.glob("windows-*.xml"):
        for event in read_events(log, "win-01", by_line(read_line, split_events), Summary(str(log))):
            met |= {rule for rule in RULES if rule.description in event.raw_message}
    assert met == set(RULES)


def test_a_logs_events_have_ids_of_their_own_and_the_same_again() -> None:
    log = RECORDED / "windows-security.xml"
    first, again = (
        [event.event_id for event in read_events(log, "win-01", by_line(read_line, split_events), Summary(""))]
        for _ in range(2)
    )
    assert first == again
    assert len(set(first)) == len(first)


def test_a_message_is_one_line_with_what_matters() -> None:
    event = found(
        4625, TargetUserName="bob", LogonType="3", IpAddress="192.0.2.9", WorkstationName="-", Status="0xc000006d"
    )
    assert event.raw_message == (
        "2026-11-23T06:30:01.656871Z WIN-01 Microsoft-Windows-Security-Auditing 4625: a login failed: "
        "TargetUserName=bob LogonType=3 IpAddress=192.0.2.9 Status=0xc000006d"
    )
    assert (event.user, event.source_ip, event.timestamp.isoformat()) == (
        "bob",
        "192.0.2.9",
        "2026-11-23T06:30:01.656871+00:00",
    )


@pytest.mark.parametrize(
    ("written", "address"),
    [
        ("-", "N/A"), ("", "N/A"), ("LOCAL", "N/A"), ("::ffff:192.0.2.4", "192.0.2.4"),
        ("::FFFF:192.0.2.4", "192.0.2.4"), ("::1", "127.0.0.1"),
        ("fe80::1%12", "fe80::1"), ("2001:db8::1", "2001:db8::1"), ("::ffff:x.y", "N/A"),
    ],
)  # fmt: skip
def test_an_address_is_written_in_one_way(written: str, address: str) -> None:
    assert found(4625, IpAddress=written).source_ip == address


@pytest.mark.parametrize(
    "fields",
    [
        {"TargetUserName": "x", "LogonType": "5"}, {"TargetUserName": "x", "LogonType": "4"}, {"TargetUserName": "x"},
        {"TargetUserName": "WEB-02$", "LogonType": "3"}, {"TargetUserName": "ANONYMOUS LOGON", "LogonType": "3"},
        {"TargetUserName": "System", "LogonType": "3"}, {"TargetUserName": "-", "LogonType": "3"},
        {"TargetUserName": "DWM-2", "TargetUserSid": "S-1-5-90-0-2", "LogonType": "2"},
        {"TargetUserName": "SYSTÈME", "TargetUserSid": "S-1-5-18", "LogonType": "2"},
    ],
)  # fmt: skip
def test_a_login_of_no_person_is_no_event(fields: dict[str, str]) -> None:
    assert event_of(xml(4624, **fields)) is None


@pytest.mark.parametrize("number", [4771, 4776, 4634, 1102, 104, 7045, 0, 99999])
def test_a_number_that_is_none_of_the_providers_is_no_event(number: int) -> None:
    assert event_of(xml(number, TargetUserName="bob")) is None


def test_no_value_looks_like_a_field_of_its_own() -> None:
    event = found(4625, TargetUserName='x" IpAddress=1.2.3.4', IpAddress="192.0.2.9")
    assert 'TargetUserName="x"" IpAddress=1.2.3.4" IpAddress=192.0.2.9' in event.raw_message
    event = found(4625, TargetUserName="x\n2026-11-23 other line &#x1b;[31m")
    assert event.raw_message.count("\n") == 0
    assert "\x1b" not in event.raw_message


@pytest.mark.parametrize("hidden", ["a\x00b", "a\x01b", "a&#x1;b", "a&#0;b", "a&#xFFFE;b", "a\ufffeb", "a&#x110000;b"])
def test_a_character_that_xml_cannot_hold_hides_no_event(hidden: str) -> None:
    assert found(4625, TargetUserName=hidden, IpAddress="192.0.2.9").user == "a\ufffdb"
    assert found(4625, TargetUserName=hidden, IpAddress="192.0.2.9").source_ip == "192.0.2.9"


@pytest.mark.parametrize("ending", ["<", "&undefined;", "</Wrong>", "<Data Name='x", ""])
def test_an_event_that_breaks_off_is_what_there_is_of_it(ending: str) -> None:
    whole = xml(4625, TargetUserName="bob", IpAddress="192.0.2.9")
    event = event_of(whole[: whole.index("</EventData>")] + ending)
    assert event is not None
    assert (event.user, event.source_ip) == ("bob", "192.0.2.9")


def test_entities_are_neither_defined_nor_expanded() -> None:
    bomb = "<!DOCTYPE Event [<!ENTITY a 'AAAA'><!ENTITY b '&a;&a;&a;&a;'><!ENTITY c SYSTEM 'file:///etc/passwd'>]>"
    event = event_of(bomb + xml(4625, TargetUserName="&b;&c;", IpAddress="192.0.2.9"))
    assert event is not None
    assert "AAAA" not in event.raw_message
    assert "root:" not in event.raw_message
    for place in ("<System>", "<EventData>", "</EventData>"):
        inside = event_of(xml(4625, TargetUserName="&b;").replace(place, bomb + place))
        assert inside is None or "AAAA" not in inside.raw_message


def test_secrets_are_masked_before_they_leave_the_host() -> None:
    event = found(4688, SubjectUserName="bob", CommandLine="net user carol hunter2 /add", NewProcessName="net.exe")
    assert 'CommandLine="net user carol *** /add"' in event.raw_message
    script = "$h = @{ Authorization = 'Bearer hunter2' }\nInvoke-Expression $x"
    assert "hunter2" not in found(4104, "Microsoft-Windows-PowerShell", ScriptBlockText=script).raw_message


@pytest.mark.parametrize(
    ("script", "level", "severity"),
    [
        ("[Convert]::FromBase64String($x)", 5, 4),
        ("Set-MpPreference -DisableRealtimeMonitoring $true", 3, 4),
        ("x", 3, 2),
    ],
)
def test_a_script_that_is_suspicious_is_an_alert(script: str, level: int, severity: int) -> None:
    event = found(4104, "Microsoft-Windows-PowerShell", level, ScriptBlockText=script)
    assert (event.event_type, event.severity) == ("SYSTEM_ALERT", severity)


def test_an_ordinary_script_is_no_event() -> None:
    assert event_of(xml(4104, "Microsoft-Windows-PowerShell", 5, ScriptBlockText="Get-ChildItem")) is None


def test_a_long_event_is_cut_and_says_so() -> None:
    event = found(4688, CommandLine="ü" * 60_000, SubjectUserName="bob")
    assert len(event.raw_message.encode()) <= LONGEST_MESSAGE_BYTES
    assert "[cut: " in event.raw_message


def test_an_event_of_year_one_is_none() -> None:
    assert event_of(xml(4625, TargetUserName="bob").replace("2026-", "0001-")) is None


def test_a_log_is_asked_only_for_what_some_rule_knows() -> None:
    asked = queries()
    assert set(asked) == {rule.channel for rule in RULES}
    assert asked["System"] == "*[System[EventID=7045 or EventID=104]]"
    # Windows refuses a query of more than about twenty conditions
    assert max(query.count("EventID") for query in asked.values()) <= 20


def test_each_rule_has_a_known_type_and_a_description() -> None:
    for rule in RULES:
        assert rule.event_type in EVENT_TYPES
        assert 1 <= rule.severity <= 5
        assert rule.description


def test_an_endless_record_comes_in_pieces() -> None:
    pieces = [len(piece) for _, piece in split_events(io.BytesIO(b"<Event " + b"x" * (3 * LONGEST_LINE_BYTES)))]
    assert sum(pieces) > 2 * LONGEST_LINE_BYTES
    assert max(pieces) <= LONGEST_LINE_BYTES + 65_536


TAGS = [
    "<Event >", "</Event>", "<System>", "</System>", "<EventData>", "</EventData>", "<UserData>", "</Data>", "<Data>",
    "<Data Name='LogonType'>", "<EventID>", "</EventID>", "4625", "<!DOCTYPE", "<![CDATA[", "]]>", "<!--", "-->",
    "<Provider Name='Microsoft-Windows-Security-Auditing'/>", "<TimeCreated SystemTime='2026-11-23T06:30:01Z'/>",
    "&#1;", "&lt;", "&b;", "<x:", "xmlns:x=''", "\x00", "\ud800", "ü", "'",
]  # fmt: skip


@given(st.lists(st.sampled_from(TAGS), max_size=40))
@settings(max_examples=300, deadline=None)
def test_no_xml_raises(pieces: list[str]) -> None:
    raw = "".join(pieces).encode("utf-8", "surrogatepass")
    for start in (b"", b"<Event >", xml(4625)[:-8].encode()):
        event = read_line("win-01", ID, start + raw, NOW)
        if event:
            check_event(event, "win-01")


@given(st.binary(max_size=300))
@settings(max_examples=300, deadline=None)
def test_no_bytes_raise(raw: bytes) -> None:
    for start in (b"", b"\xff\xfe", b"<Event>", xml(4625, TargetUserName="x")[:-40].encode()):
        for _, piece in split_events(io.BytesIO(start + raw)):
            event = read_line("win-01", ID, piece, NOW)
            if event:
                check_event(event, "win-01")


@given(text=st.text(max_size=80), number=st.sampled_from([rule.event_id for rule in RULES]))
@settings(max_examples=200, deadline=None)
def test_no_value_raises_and_every_event_is_valid(text: str, number: int) -> None:
    provider = next(rule.provider for rule in RULES if rule.event_id == number)
    names = {name for rule in RULES if rule.event_id == number for name in (*rule.users, *rule.fields)}
    value = text.replace("&", "&amp;").replace("<", "&lt;")
    event_of(xml(number, provider, 3, **{"LogonType": "3", "IpAddress": value, **dict.fromkeys(names, value)}))


HOSTILE = [
    "<",
    "<a>",
    "</Event>",
    "&#1;",
    "&#x",
    "<Data>",
    "<Event ",
    "password='",
    "FromBase64",
    "-MpPreference ",
    "a ",
    "=",
]


def test_a_hostile_event_of_a_megabyte_costs_no_more_than_its_length() -> None:
    for piece in HOSTILE:
        escaped = piece.replace("<", "&lt;")
        for text in (
            piece,
            xml(4625)[:-8] + piece,
            xml(4104, "Microsoft-Windows-PowerShell", 3, ScriptBlockText=escaped),
        ):
            begun = time.process_time()
            event_of(text.replace(piece, piece * (1_000_000 // len(piece))))
            assert time.process_time() - begun < 15, piece
