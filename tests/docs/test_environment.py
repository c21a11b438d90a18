"""`tools/environment.py`: one clear line for a Python that will not do."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tools.document import ROOT

SCRIPT = ROOT / "tools" / "environment.py"


def test_a_python_that_is_too_old_is_told_so_in_one_line(tmp_path: Path) -> None:
    # no old interpreter need be here: this one says that it is one
    program = f"import runpy, sys; sys.version_info = (3, 9, 18); runpy.run_path({str(SCRIPT)!r}, run_name='__main__')"
    refused = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "venv"), "server"],
        capture_output=True, text=True, env={"PATH": str(tmp_path)}, check=False,
    )  # fmt: skip
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    assert "Python 3.9 is too old: Heimdall needs 3.11 or newer" in refused.stderr


def test_a_python_without_venv_is_told_what_to_install(tmp_path: Path) -> None:
    # as Debian's Python is without the package python3-venv
    (tmp_path / "ensurepip.py").write_text("raise ImportError('no ensurepip')\n")
    refused = subprocess.run(
        [sys.executable, str(SCRIPT), str(tmp_path / "venv"), "server"],
        capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(tmp_path)}, check=False,
    )  # fmt: skip
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    assert f"apt install python{sys.version_info[0]}.{sys.version_info[1]}-venv" in refused.stderr
    assert not (tmp_path / "venv").exists()


def test_an_environment_that_is_current_is_left_alone(tmp_path: Path) -> None:
    wanted = f"{sys.version}\n{ROOT}\n{(ROOT / 'pyproject.toml').read_text()}"
    (tmp_path / "has-server").write_text(wanted)
    quick = subprocess.run([sys.executable, str(SCRIPT), str(tmp_path), "server"], capture_output=True, check=False)
    assert (quick.returncode, quick.stdout, list(tmp_path.iterdir())) == (0, b"", [tmp_path / "has-server"])
