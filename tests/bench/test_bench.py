"""The benchmark measures; what it measures no test asserts."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.mosquitto
def test_a_quick_run_measures_ours_beside_the_bare_pipeline_and_prints_a_table(tmp_path: Path) -> None:
    written = tmp_path / "figures.json"
    done = subprocess.run(
        [sys.executable, "-m", "bench", "--quick", "--database", "sqlite", "--json", written, "single", "bytes"],
        cwd=ROOT, capture_output=True, text=True, timeout=110, check=False,
    )  # fmt: skip
    assert done.returncode in (0, 1), done.stderr  # 1: some figure was missed, as a quick run may
    figures = json.loads(written.read_text())["figures"]
    assert [figure["name"] for figure in figures if "÷ bare pipeline" in figure["name"]]
    for figure in figures:
        assert figure["name"] in done.stdout
        assert figure["measured"] in done.stdout


def test_an_unknown_figure_is_wrong_use_and_names_those_there_are() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bench", "no-such-figure"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "growth" in done.stderr
