"""A simulation with a judge: one that is right passes, and one that is wrong is caught, in each of the four ways."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pretended_judge import Judge, Wrong
from sim_process import Simulation

pytestmark = pytest.mark.mosquitto

Simulate = Callable[..., Simulation]

FAULTS = """
[[fault]]
at = "1s"
kind = "kill"
names = ["sim-00001", "sim-00002", "sim-00003", "sim-00004", "sim-00005"]
for = "14s"
[[fault]]
at = "1s"
kind = "stop"
hosts = 5
for = "11s"
[[fault]]
at = "1s"
kind = "roam"
hosts = 10
[[fault]]
at = "1s"
kind = "restart"
hosts = 10
[[fault]]
at = "2s"
kind = "away"
hosts = 5
for = "11s"
"""
# a busy machine is no worse judge
OPTIONS = ("--hosts", "200", "--interval", "2", "--slack", "5", "--for", "25")


def test_a_judge_that_is_right_is_found_to_be_so(simulate: Simulate, judge: Judge) -> None:
    simulation = simulate(*OPTIONS, faults=FAULTS)
    code, report = simulation.wait()
    assert report["findings"] == {"missed": [], "false": [], "late": [], "doubled": []}, simulation.said
    assert (code, report["ok"]) == (0, True)
    counts = {label: row["count"] for label, row in report["delays"].items()}
    assert counts["kill"] == counts["kill, alert"] == counts["kill, back"] == counts["stop"] == counts["away"] == 5
    assert not [label for label in counts if label.startswith(("roam", "restart"))]
    assert report["delays"]["kill"]["median_seconds"] >= 3


def test_a_judge_that_is_wrong_is_caught(simulate: Simulate, judge: Judge) -> None:
    judge.wrong = Wrong(silent=["sim-00001"], slow=["sim-00002"], lying=["sim-00003"], doubling=["sim-00004"])
    code, report = simulate(*OPTIONS, faults=FAULTS).wait()
    assert code == 1
    told = {(kind, one["host"]) for kind, findings in report["findings"].items() for one in findings}
    assert told == {
        ("missed", "sim-00001"), ("late", "sim-00002"), ("false", "sim-00003"), ("doubled", "sim-00004"),
    }  # fmt: skip
    assert [one["text"] for one in report["findings"]["missed"]] == ["verdict offline crashed", "alert crashed"]
