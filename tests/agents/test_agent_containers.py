"""What containers' daemons tell: every rule knows a recorded line, ordinary ends are none, and anything is harmless."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from linear import grows_linearly

from agents.container_lines import PROGRAMS, RULES, recognise
from agents.journal import Entry, parse_entry
from agents.roles import Roles
from agents.syslog import Line
from agents.system_log import SystemLog, judge
from core.ids import uuid7
from core.messages import check_event

RECORDED = Path(__file__).parent / "recorded" / "containers.log"
ENTRIES = [parse_entry(json.loads(line)) for line in RECORDED.read_text().splitlines()]
NOW = datetime(2025, 11, 24, tzinfo=UTC)


def test_every_rule_knows_a_recorded_line() -> None:
    found = [recognise(entry.line.program, entry.line.message) for entry in ENTRIES]
    assert {finding.rule.description for finding in found if finding} == {rule.description for rule in RULES}


@pytest.mark.parametrize(("code", "told"), [("1", 1), ("3", 1), ("255", 1), ("130", 0), ("137", 0), ("143", 0)])
def test_a_container_that_somebody_stopped_is_no_event(code: str, told: int) -> None:
    message = f"2025-11-23 06:40:01 +0000 UTC container died {'a' * 64} (image=x:latest, name=web) [exit code {code}]"
    assert (recognise("podman", message) is not None) == bool(told)


def test_the_same_container_again_and_again_is_one_event_and_a_count() -> None:
    log: SystemLog[Entry] = SystemLog("web-01", lambda entry, _: (entry.line, entry.text), Roles(journal=True))
    crash = next(entry for entry in ENTRIES if "restarting-pod_default" in entry.text)
    told = [event for _ in range(6) for event in log.tell(crash, NOW)]
    told += log.due(NOW.timestamp() + 100) or []
    assert [event.severity for event in told] == [3, 3]
    assert told[1].raw_message.startswith(
        "[5 more within 60 s like this] 2025-11-23T06:40:06.000000Z web-01 kubelet[912]"
    )


def test_who_only_calls_himself_kernel_or_audit_is_neither() -> None:
    for program in ("kernel", "audit"):
        fields = {"__CURSOR": "x", "__REALTIME_TIMESTAMP": "1", "SYSLOG_IDENTIFIER": program, "MESSAGE": "AVC x"}
        assert parse_entry({**fields, "_TRANSPORT": program}).line.program == program
        forged = parse_entry({**fields, "_TRANSPORT": "syslog"})
        assert forged.line.program == ""
        assert f" {program}: AVC x" in forged.text


PIECES = [
    "CrashLoopBackOff: ", "back-off 5m0s restarting failed container=", 'CrashLoopBackOff: \\"back-off 5m ', "a",
    " pod=", "container died ", " (image=", "name=x,", "[exit code 1", "msg=", "IN=", " SRC=", " DPT=1", "DROP ",
    "PROTO=TCP ", "apparmor=", "audit: type=1400 audit(1.1:1): ", "avc:  denied ",
]  # fmt: skip
STARTS = [
    "", "CrashLoopBackOff: back-off 5m restarting failed container=", f"x container died {'a' * 64} (image=x, name=x, ",
    'time="x" level=error msg="restartmanger wait error: ', "DROP IN=eth0 OUT= SRC=1.2.3.4 DST=1.2.3.4 ", "AVC ",
    "audit: type=1400 audit(1.1:1): ",
]  # fmt: skip
NAMES = sorted(PROGRAMS | {"kernel", "audit"})


@given(
    program=st.sampled_from(NAMES), words=st.lists(st.sampled_from(PIECES + STARTS + ["ü", "\x00", "\n"]), max_size=30)
)
@settings(max_examples=400, deadline=None)
def test_no_line_raises_and_every_event_is_valid(program: str, words: list[str]) -> None:
    text = "".join(words)
    judged = judge("web-01", uuid7, Line(NOW, program, text), text.replace("\0", ""))
    if judged:
        check_event(judged.event, "web-01")


@pytest.mark.parametrize("start", STARTS)
def test_a_hostile_line_of_a_megabyte_costs_no_more_than_its_length(start: str) -> None:
    for program in ("kubelet", "podman", "dockerd", "kernel", "audit"):
        for piece in PIECES:
            work = lambda text, program=program: judge("web-01", uuid7, Line(NOW, program, text), text)  # noqa: E731
            assert grows_linearly(work, start, piece, 400_000), (program, start, piece)
