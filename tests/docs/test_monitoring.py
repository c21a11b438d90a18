"""Prometheus' alarms ring when they should and not otherwise, and what is drawn and asked for exists."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from core import metrics

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docker" / "monitoring"
ALERTS: list[dict[str, Any]] = yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"][0]["rules"]
SUFFIXES = {metrics.COUNTER: ["_total"], metrics.GAUGE: [""], metrics.HISTOGRAM: ["_bucket", "_sum", "_count"]}
KNOWN = {"heimdall_up", *(f"heimdall_{one.name}{SUFFIXES[one.kind][0]}" for one in metrics.FLEET)} | {
    f"heimdall_ingestor_{metric.name}{suffix}" for metric in metrics.METRICS for suffix in SUFFIXES[metric.kind]
}

WELL = {
    'up{job="heimdall", instance="api:8010"}': "1+0x60",
    'heimdall_up{job="heimdall", service="ingestor", instance="0"}': "1+0x60",
    'heimdall_up{job="heimdall", service="watch", instance="0"}': "1+0x60",
    'heimdall_ingestor_behind_seconds{job="heimdall", instance="0"}': "0+0x60",
    'heimdall_ingestor_commit_failures_total{job="heimdall", instance="0"}': "4+0x60",
    'heimdall_ingestor_dead_letters_total{job="heimdall", instance="0"}': "7+0x60",
    'heimdall_ingestor_hosts_disabled_total{job="heimdall", instance="0"}': "1+0x60",
    'heimdall_ingestor_reconnects_total{job="heimdall", instance="0"}': "3+0x60",
    'heimdall_ingestor_commit_seconds_bucket{job="heimdall", instance="0", le="0.1"}': "0+100x60",
    'heimdall_ingestor_commit_seconds_bucket{job="heimdall", instance="0", le="+Inf"}': "0+100x60",
}


def series(name: str, labels: str) -> str:
    return f'{name}{{job="heimdall", {labels}}}'


ILL: dict[str, dict[str, str | None]] = {
    "HeimdallApiAway": {'up{job="heimdall", instance="api:8010"}': "0+0x60"},
    "HeimdallNoIngestor": {series("heimdall_up", 'service="ingestor", instance="0"'): None},
    "HeimdallServiceAway": {series("heimdall_up", 'service="keeper", instance="0"'): "0+0x60"},
    "HeimdallNoWatch": {series("heimdall_up", 'service="watch", instance="0"'): "0+0x60"},
    "HeimdallBehind": {series("heimdall_ingestor_behind_seconds", 'instance="0"'): "90+0x60"},
    "HeimdallCommitsFail": {series("heimdall_ingestor_commit_failures_total", 'instance="0"'): "0+1x60"},
    "HeimdallCommitsSlow": {
        series("heimdall_ingestor_commit_seconds_bucket", 'instance="0", le="0.1"'): "0+1x60",
        series("heimdall_ingestor_commit_seconds_bucket", 'instance="0", le="10"'): "0+100x60",
    },
    "HeimdallDeadLetters": {series("heimdall_ingestor_dead_letters_total", 'instance="0"'): "0+1x60"},
    "HeimdallHostDisabled": {series("heimdall_ingestor_hosts_disabled_total", 'instance="0"'): "0+0x30 1+0x30"},
    "HeimdallReconnects": {series("heimdall_ingestor_reconnects_total", 'instance="0"'): "0+2x60"},
}


def rings(folder: Path, told: dict[str, str | None]) -> set[str]:
    """The alarms that ring after an hour of `told`, a value each minute, beside what is well otherwise."""
    given = [{"series": name, "values": values} for name, values in (WELL | told).items() if values is not None]
    checks = [{"eval_time": "35m", "alertname": rule["alert"], "exp_alerts": []} for rule in ALERTS]
    shutil.copy(FOLDER / "alerts.yml", folder)
    test = {
        "rule_files": ["alerts.yml"],
        "evaluation_interval": "1m",
        "tests": [{"interval": "1m", "input_series": given, "alert_rule_test": checks}],
    }
    (folder / "test.yml").write_text(yaml.safe_dump(test))
    done = subprocess.run(
        ["promtool", "test", "rules", "test.yml"], cwd=folder, capture_output=True, text=True, check=False
    )
    said = done.stdout + done.stderr
    assert "FAILED" in said or "SUCCESS" in said, said
    return set(re.findall(r"alertname: (\w+)", said))


@pytest.mark.promtool
def test_nothing_rings_while_all_is_well(tmp_path: Path) -> None:
    assert rings(tmp_path, {}) == set()


@pytest.mark.promtool
@pytest.mark.parametrize("alert", ILL)
def test_an_alarm_rings_for_what_it_is_about_alone(tmp_path: Path, alert: str) -> None:
    # a service that is away is told as such as well
    also = {"HeimdallServiceAway"} if alert == "HeimdallNoWatch" else set()
    assert rings(tmp_path, ILL[alert]) == {alert} | also


def test_every_alarm_is_tried_and_explained() -> None:
    names = {rule["alert"] for rule in ALERTS}
    assert names == set(ILL)
    operations = (ROOT / "docs" / "operations.md").read_text()
    assert {name for name in names if f"`{name}`" not in operations} == set()


def test_every_metric_that_is_asked_for_exists() -> None:
    dashboard = json.loads((FOLDER / "heimdall.json").read_text())
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    asked += [rule["expr"] for rule in ALERTS]
    assert {name for text in asked for name in re.findall(r"heimdall_\w+", text)} <= KNOWN
