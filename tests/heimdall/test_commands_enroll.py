"""What `heimdall enroll` prints is for the shell of the kind of host."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def printed(tmp_path: Path) -> Callable[..., str]:
    def run(*words: str) -> str:
        environment = {
            **os.environ, "HEIMDALL_HOME": str(tmp_path), "HEIMDALL_BROKER_URL": "mqtt://x:y@127.0.0.1:1",
            "HEIMDALL_DATABASE_URL": f"sqlite:///{tmp_path}/mini_siem.db",
        }  # fmt: skip
        command = [sys.executable, "-m", "heimdall", "enroll", *words, "--json"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return str(json.loads(done.stdout)["command"])

    return run


def test_a_windows_host_gets_powershell(printed: Callable[..., str]) -> None:
    command = printed("win-01", "--kind", "windows")
    found = re.fullmatch(
        r'py -c "(.*)"; if \(\$\?\) \{ \$env:HEIMDALL_ENROLL_TOKEN=\'hmd_[\w-]+\'; '
        r"py heimdall\.pyz agent --kind windows --host win-01 \}",
        command,
    )
    assert found, command
    ast.parse(found[1])
    # what PowerShell would expand between double quotes, or end them
    assert not set(found[1]) & set('$`"')


def test_a_fleet_of_windows_hosts_reads_its_token_from_a_file(printed: Callable[..., str]) -> None:
    command = printed("win-*", "--kind", "windows", "--auto", "--uses", "9")
    assert command.endswith("; if ($?) { Get-Content TOKEN-FILE | py heimdall.pyz agent --kind windows --enroll - }")
    assert "hmd_" not in command


@pytest.mark.parametrize("words", [("web-01",), ("web-*", "--auto", "--uses", "9")])
def test_any_other_host_gets_a_posix_shell(printed: Callable[..., str], words: tuple[str, ...]) -> None:
    command = printed(*words)
    assert command.startswith('python3 -c "')
    assert subprocess.run(["sh", "-n", "-c", command], check=False).returncode == 0
    assert ("hmd_" in command) == (len(words) == 1)
