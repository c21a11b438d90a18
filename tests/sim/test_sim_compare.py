"""The comparison: a judge that is right is flawless, and each way to be wrong is told of by its name."""

from __future__ import annotations

from dataclasses import replace

from heimdall.sim.compare import Comparison, compare
from heimdall.sim.ledger import Fact, Rules, expect
from heimdall.sim.observer import BEFORE, Said, SaidAlert
from heimdall.sim.report import Counts, as_json, as_text

RULES = Rules(10.0, 10.0)
END = 300.0
FACTS = [
    Fact("web-01", "connect", 10.0),
    Fact("web-01", "kill", 100.0, "kill", 95.0, 95.0),
    Fact("web-01", "return", 160.0, "kill"),
    Fact("web-02", "connect", 10.0),
]
ONLINE = [Said("web-01", "online", "", 10.2), Said("web-02", "online", "", 10.3)]
OFFLINE = Said("web-01", "offline", "crashed", 103.2)
BACK = Said("web-01", "online", "", 160.1)
ALERT = SaidAlert("1", "crashed", "web-01", 103.3, 160.2)
COUNTS = Counts(2, 2, 60, 4, 0, 0, 0, 0, 0, 0.0)


def judged(said: list[Said], alerts: list[SaidAlert]) -> Comparison:
    return compare(expect(FACTS, (), RULES, END), said, alerts, END)


def told(found: Comparison) -> dict[str, list[str]]:
    every = {"missed": found.missed, "false": found.false, "late": found.late, "doubled": found.doubled}
    return {kind: [f"{one.host} {one.text}" for one in findings] for kind, findings in every.items() if findings}


def test_a_judge_that_is_right_is_flawless_and_its_delays_are_counted() -> None:
    found = judged([*ONLINE, OFFLINE, BACK], [ALERT])
    assert told(found) == {}
    assert found.flawless
    assert {label: [round(one, 1) for one in delays] for label, delays in found.delays.items()} == {
        "connect": [0.2, 0.3], "kill": [3.2], "kill, alert": [3.3], "kill, back": [0.1],
    }  # fmt: skip


def test_what_is_not_said_is_missed() -> None:
    assert told(judged([*ONLINE, BACK], [ALERT])) == {"missed": ["web-01 verdict offline crashed"]}
    assert told(judged(ONLINE, [])) == {"missed": ["web-01 verdict offline crashed", "web-01 alert crashed"]}
    assert told(judged([*ONLINE, OFFLINE], [ALERT])) == {"missed": ["web-01 verdict online"]}
    lasting = replace(ALERT, resolved_at=None)
    assert told(judged([*ONLINE, OFFLINE, BACK], [lasting])) == {"missed": ["web-01 alert crashed resolved"]}


def test_what_is_not_so_is_false() -> None:
    right = [*ONLINE, OFFLINE, BACK]
    for wrong in (
        Said("web-02", "late", "no heartbeat", 50.0),
        Said("web-02", "offline", "crashed", 103.2),
        Said("web-01", "zombie", "", 104.0),
        Said("web-01", "offline", "crashed", 101.0),  # within the grace, too
        Said("web-01", "offline", "crashed", 250.0),
    ):
        said = sorted([*right, wrong], key=lambda one: one.at)
        assert told(judged(said, [ALERT]))["false"] == [f"{wrong.host} verdict {wrong.state} {wrong.reason}".strip()]
    other_reason = judged([*ONLINE, OFFLINE._replace(reason="stopped"), BACK], [ALERT])
    assert sorted(told(other_reason)) == ["false", "missed"]
    strange = SaidAlert("2", "silent", "web-02", 50.0)
    assert told(judged(right, [ALERT, strange])) == {"false": ["web-02 alert silent"]}
    early = replace(ALERT, resolved_at=120.0)
    assert told(judged(right, [early])) == {"false": ["web-01 alert crashed resolved, though it lasts"]}


def test_what_is_said_too_late_is_late() -> None:
    found = judged([*ONLINE, OFFLINE._replace(at=106.0), BACK], [replace(ALERT, opened_at=106.5)])
    assert told(found) == {
        "late": ["web-01 verdict offline crashed, 2.00 s late", "web-01 alert crashed, 2.50 s late"]
    }  # fmt: skip
    slow = replace(ALERT, resolved_at=200.0)
    assert list(told(judged([*ONLINE, OFFLINE, BACK], [slow]))) == ["late"]


def test_a_second_alert_of_one_outage_is_doubled() -> None:
    again = replace(ALERT, id="2", opened_at=120.0)
    assert told(judged([*ONLINE, OFFLINE, BACK], [ALERT, again])) == {"doubled": ["web-01 alert crashed"]}


def test_what_a_judge_held_before_need_not_be_said_again() -> None:
    before = [Said("web-01", "online", "", BEFORE), Said("web-02", "online", "", BEFORE)]
    assert told(judged([*before, OFFLINE, BACK], [ALERT])) == {}


def test_above_a_thousand_open_alerts_their_incident_is_enough() -> None:
    hosts = [f"sim-{number:05d}" for number in range(1_500)]
    facts = [fact for host in hosts for fact in (Fact(host, "connect", 10.0), Fact(host, "kill", 100.0, "kill", 95.0))]
    said = [one for host in hosts for one in (Said(host, "online", "", 10.5), Said(host, "offline", "crashed", 103.5))]
    expected = expect(facts, (), RULES, END)
    incident = SaidAlert("1", "crashed", None, 103.6)
    assert len(compare(expected, said, [], END).missed) == 1_500
    found = compare(expected, said, [incident], END)
    assert (found.flawless, found.incidents) == (True, 1)
    few = expect(facts[:20], (), RULES, END)
    assert len(compare(few, said[:20], [incident], END).missed) == 10


def test_the_report_says_all_of_it_in_both_forms() -> None:
    found = judged([*ONLINE, OFFLINE._replace(at=106.0)], [ALERT, replace(ALERT, id="2", opened_at=120.0)])
    text = as_text(found, COUNTS, ["line 3: 'false' ended with 1"], 50.0)
    assert "missed 1, false 0, late 1, doubled 1" in text
    assert "web-01 (kill): verdict offline crashed, 2.00 s late, at 56.0 s" in text
    assert "line 3: 'false' ended with 1" in text
    written = as_json(found, COUNTS, [], 50.0)
    assert (written["ok"], written["missed"], written["late"], written["doubled"]) == (False, 1, 1, 1)
    assert written["delays"]["kill"] == {
        "count": 1, "median_seconds": 6.0, "p99_seconds": 6.0, "longest_seconds": 6.0,
    }  # fmt: skip
    assert written["findings"]["late"][0] == {
        "host": "web-01", "fault": "kill", "text": "verdict offline crashed, 2.00 s late", "at_seconds": 56.0,
    }  # fmt: skip


def test_a_report_without_any_verdict_asks_whether_there_is_a_judge() -> None:
    text = as_text(judged([], []), replace(COUNTS, verdicts=0), [], 0.0)
    assert "does `heimdall watch` run?" in text
