"""What audit records tell: recorded logs counted, records of one event put together, and anything without harm."""

from __future__ import annotations

import gzip
import json
import os
import random
import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from linear import grows_linearly

from agents import progress
from agents.agent_linux import read_line, split_records
from agents.audit_lines import RULES, AuditLog
from agents.audit_records import GROUPS_OPEN, parse_fields, parse_message, parse_record
from agents.reading import Summary, read_events
from agents.roles import Roles
from agents.run import KINDS
from agents.sources import LogFile
from core.messages import EVENT_TYPES, Event, check_event

RECORDED = Path(__file__).parent / "recorded" / "audit"
LOGS = sorted(RECORDED.glob("*.log"))
ID = UUID("0197b3a0-0000-7000-8000-000000000000")
NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def event_of(line: str) -> Event | None:
    return read_line("web-01", ID, line.encode("utf-8", "surrogatepass"), NOW)


def tell(lines: list[str], others: bool = False) -> list[Event]:
    """What a follower of the log is told, at last when nothing more comes."""
    log = AuditLog("web-01", Roles(journal=others))
    events = [event for line in lines for event in log.tell(line.encode(), NOW)]
    return events + (log.due(NOW.timestamp()) or [])


@pytest.mark.parametrize("log", LOGS, ids=lambda path: path.stem)
def test_a_recorded_log_gives_the_events_that_its_file_says(log: Path) -> None:
    expected = json.loads(log.with_suffix(".json").read_text())
    with log.open("rb") as file:
        read = [event for _, raw in split_records(file) if (event := read_line("web-01", ID, raw, NOW))]
    for events in (read, tell(log.read_text().split("\n"))):
        assert Counter(event.event_type for event in events) == expected
        for event in events:
            check_event(event, "web-01")
            assert "HUNTER2" not in event.raw_message
            assert "48554E54455232" not in event.raw_message  # the same, hexadecimal


def test_the_same_log_read_again_or_compressed_tells_the_same_events(tmp_path: Path) -> None:
    log = RECORDED / "raw.log"
    packed = tmp_path / "audit.log.1.gz"
    packed.write_bytes(gzip.compress(log.read_bytes()))
    os.utime(packed, (log.stat().st_mtime, log.stat().st_mtime))
    read = [list(read_events(path, "web-01", KINDS["linux"].read_file, Summary("x"))) for path in (log, log, packed)]
    assert read[0] == read[1] == read[2]
    assert len({event.event_id for event in read[0]}) == len(read[0]) == 17


def test_every_recorded_log_has_its_counts_and_its_origin() -> None:
    notes = (RECORDED.parent / "README.md").read_text()
    for log in LOGS:
        assert f"`audit/{log.name}`" in notes


def test_every_rule_knows_a_recorded_record() -> None:
    types = {record.type for log in LOGS for line in log.read_text().split("\n") if (record := parse_record(line))}
    for rule in RULES:
        assert rule.event_type in EVENT_TYPES
        assert types & set(rule.types), rule.description


def test_a_login_that_its_own_program_tells_is_not_counted_again() -> None:
    lines = (RECORDED / "raw.log").read_text().split("\n")
    found = [event for event in tell(lines, others=True) if event.event_type in ("LOGIN_FAIL", "ACCOUNT_CREATE")]
    # useradd writes a line of its own; a program that is none of shadow's does not
    assert [(event.event_type, event.user) for event in found] == [("ACCOUNT_CREATE", "backdoor")]


STAMP = "msg=audit(1732400200.500:40):"
CALL = f'type=SYSCALL {STAMP} arch=c000003e syscall=59 auid=1000 comm="x" exe="/bin/x" key="exec"'


def execution(*arguments: str) -> list[str]:
    fields = " ".join(f"a{n}={argument}" for n, argument in enumerate(arguments))
    return [CALL, f"type=EXECVE {STAMP} argc={len(arguments)} {fields}", f'type=PROCTITLE {STAMP} proctitle="x"']


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (('"ls"', '"-l"'), "command: ls -l"),
        (('"sh"', '"-c"', "6563686F2068692026"), "command: sh -c 'echo hi &'"),
        (('"x"', "20", "312032"), "command: x ' ' '1 2'"),
        (('"x"', "C3BC0A"), "command: x ü\n"),
        (('"x"', '"--token"', '"HUNTER2"'), "command: x --token ***"),
        (('"x"', "70617373776F72643D48554E54455232"), "command: x password=***"),
    ],
)
def test_a_command_is_told_decoded_and_without_secrets(arguments: tuple[str, ...], shown: str) -> None:
    [event] = tell(execution(*arguments))
    assert (event.event_type, event.severity, event.user) == ("PROCESS_EXEC", 1, "1000")
    assert event.raw_message.endswith(shown)
    read = event_of("\n".join(execution(*arguments)))
    assert read is not None
    assert read.raw_message == event.raw_message


def test_a_long_argument_is_put_together_from_several_fields_and_records() -> None:
    lines = [
        CALL, f'type=EXECVE {STAMP} argc=3 a0="x" a1_len=8 a1[0]=616263', f"type=EXECVE {STAMP} a1[1]=64",
        f'type=EXECVE {STAMP} a2="z"', f'type=PROCTITLE {STAMP} proctitle="x"',
    ]  # fmt: skip
    assert tell(lines)[0].raw_message.endswith("command: x abcd z")


def test_a_command_without_a_key_is_no_event() -> None:
    lines = execution('"ls"')
    assert tell([lines[0].replace('key="exec"', "key=(null)"), *lines[1:]]) == []


def test_records_of_several_events_that_come_mixed_are_told_apart() -> None:
    lines = []
    for parts in zip(*(execution(f'"x{n}"') for n in range(3)), strict=True):
        lines += [part.replace(":40)", f":{n})") for n, part in enumerate(parts)]
    assert [event.raw_message[-2:] for event in tell(lines)] == ["x0", "x1", "x2"]


def test_what_is_cut_off_is_waited_for_and_told_after_a_while() -> None:
    log = AuditLog("web-01", Roles())
    lines = [line.encode() for line in execution('"ls"')[:2]]
    assert [event for line in lines for event in log.tell(line, NOW)] == []
    assert log.waits
    assert log.due(1732400202.4) is None
    told = log.due(1732400202.6)
    assert told is not None
    assert told[0].raw_message.endswith("command: ls")
    assert not log.waits


def test_a_later_event_ends_the_wait_for_one_that_is_not_whole() -> None:
    later = "type=DAEMON_END msg=audit(1732400203.000:8122): op=terminate auid=1000 res=success"
    told = tell([*execution('"ls"')[:2], later])
    assert [event.event_type for event in told] == ["PROCESS_EXEC", "LOG_TAMPERING"]


def test_events_that_never_end_are_bounded() -> None:
    log = AuditLog("web-01", Roles())
    for n in range(3 * GROUPS_OPEN):
        log.tell(CALL.replace(":40)", f":{n})").encode(), NOW)
        log.tell(CALL.replace(":40)", ":1)").encode(), NOW)
    assert len(log._assembler._open) <= GROUPS_OPEN
    assert max(map(len, log._assembler._open.values())) <= 256


def test_rules_that_are_deleted_one_by_one_are_one_event_and_a_count() -> None:
    line = "type=CONFIG_CHANGE msg=audit(1732400400.{n:03d}:{n}): op=remove_rule key=(null) list=4 res=1 auid=1000"
    told = tell([line.format(n=n) for n in range(200)])
    assert [event.severity for event in told] == [5, 5]
    assert told[1].raw_message.startswith("[199 more within 60 s like this] type=CONFIG_CHANGE")


def follow(path: Path, text: bytes, cuts: list[int], chance: random.Random) -> list[str]:
    """What is kept of a log that grows from cut to cut, when its reader dies before some of what it read is kept."""
    kept: list[str] = []
    position = ""
    source = None
    for cut in [*cuts, len(text)]:
        path.write_bytes(text[:cut])
        stamps = [float(stamp) for stamp in re.findall(rb"audit\((\d+\.\d+):", text[:cut])]
        now = datetime.fromtimestamp(max(stamps, default=0), UTC)
        dying = cut < len(text)
        # what still waits at the end is told when its time has come
        for seconds in (0.5, 1, 1.5) if dying else (0.5, 100, 101):
            if source is None:
                source = LogFile("web-01", path, lambda: AuditLog("web-01", Roles()), is_new=True)
            lines = source.read(position, now + timedelta(seconds=seconds))
            if dying and chance.random() < 0.4:
                source = None
                if chance.random() < 0.5:
                    continue
            position = lines.position
            kept += [event.raw_message for event in lines.events]
    return kept


@pytest.mark.parametrize("seed", range(25))
def test_nothing_is_lost_or_told_twice_by_a_reader_that_dies_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    print(f"seed {seed}")
    # some of them with so little to be read again that what waits is told before its time
    monkeypatch.setattr(progress, "MOST_READ_AGAIN", 20 if seed % 3 == 0 else 50_000)
    chance = random.Random(seed)
    text = (RECORDED / "raw.log").read_bytes()
    # interleaved, so that something waits at most places
    lines = text.splitlines(keepends=True)
    for n in range(0, len(lines) - 3, 3):
        lines[n], lines[n + 1] = lines[n + 1], lines[n]
    text = b"".join(lines)
    cuts = sorted(chance.randrange(len(text)) for _ in range(12))
    whole = follow(tmp_path / "whole.log", text, [], chance)
    assert Counter(follow(tmp_path / "audit.log", text, cuts, chance)) == Counter(whole)
    assert len(whole) >= 17


def test_numbers_stand_for_types_where_the_kernel_itself_writes() -> None:
    printed = parse_message("kernel", "audit: type=1701 audit(1732400300.398:50): auid=1 sig=11")
    journaled = parse_message("audit", "<audit-1701> auid=1 sig=11")
    assert printed is not None
    assert journaled is not None
    assert printed.type == journaled.type == "ANOM_ABEND"
    assert parse_message("sshd", "USER_AUTH pid=1 res=failed") is None


def test_a_message_does_not_speak_for_the_kernel() -> None:
    fields = parse_fields("pid=1 auid=1000 msg='op=x auid=0 acct=\"a\" res=success'")
    assert (fields["auid"], fields["acct"], fields["res"]) == ("1000", "a", "success")


WORDS = st.sampled_from([
    "type=SYSCALL", "type=EXECVE", "type=AVC", "type=USER_AUTH", "type=ADD_USER", "type=EOE", "type=PROCTITLE",
    "node=x", "msg=audit(1.1:1):", "msg=audit(99999999999.999:1):", "msg='op=PAM:authentication", "acct=C3", 'acct="',
    "res=failed'", 'key="k"', "a0=41", "a1[0]=42", 'a1[1]="x"', '\x1dAUID="a"', "avc:  denied", "audit_enabled=0",
    "old=1", "=", "'", '"', "\x00", "ü", "\ud800",
])  # fmt: skip


@given(words=st.lists(WORDS, max_size=30), separator=st.sampled_from([" ", "", "\n"]))
@settings(max_examples=400, deadline=None)
def test_no_line_raises_and_every_event_is_valid(words: list[str], separator: str) -> None:
    text = separator.join(words)
    for line in (text, f"type=SYSCALL {STAMP} {text}", f"{CALL} {text}\ntype=EXECVE {STAMP} {text}"):
        event = event_of(line)
        told = AuditLog("web-01", Roles()).tell(line.encode("utf-8", "surrogatepass"), NOW)
        for one in [event, *told]:
            if one:
                check_event(one, "web-01")


@given(st.binary(max_size=300))
@settings(max_examples=300, deadline=None)
def test_no_bytes_raise(raw: bytes) -> None:
    for line in (b"type=" + raw, b"type=USER_AUTH msg=audit(1.1:1): " + raw):
        event = read_line("web-01", ID, line, NOW)
        if event:
            check_event(event, "web-01")


PIECES = [
    "a=", 'a="', "a='", "msg='", "op=a ", "op= a", "a0=41 ", "a0=4", "a1[0]=", "avc: ", "avc:  denied", "-", "\x1d",
    "apparmor=", '"', "a1[", "type=EXECVE ", "41",
]  # fmt: skip


@pytest.mark.parametrize("piece", PIECES)
def test_a_hostile_record_of_a_megabyte_costs_no_more_than_its_length(piece: str) -> None:
    for start in (f"type=AVC {STAMP} ", f"type=USER_AUTH {STAMP} msg='op=", f"{CALL}\ntype=EXECVE {STAMP} ", "type=A"):
        assert grows_linearly(event_of, start, piece), (start, piece)
