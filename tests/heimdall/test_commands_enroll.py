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


@pytest.mark.parametrize(("run", "install"), [((), "install "), (("--run",), "")])
def test_a_windows_host_gets_powershell(printed: Callable[..., str], run: tuple[str, ...], install: str) -> None:
    command = printed("win-01", "--kind", "windows", *run)
    found = re.fullmatch(
        r'py -c "(.*)"; if \(\$\?\) \{ \$env:HEIMDALL_ENROLL_TOKEN=\'hmd_[\w-]+\'; '
        rf"py heimdall-agent\.pyz {install}--kind windows --host win-01 \}}",
        command,
    )
    assert found, command
    ast.parse(found[1])
    # what PowerShell would expand between double quotes, or end them
    assert not set(found[1]) & set('$`"')


def test_a_fleet_of_windows_hosts_reads_its_token_from_a_file(printed: Callable[..., str]) -> None:
    command = printed("win-*", "--kind", "windows", "--auto", "--uses", "9")
    assert command.endswith(
        "; if ($?) { Get-Content TOKEN-FILE | py heimdall-agent.pyz install --kind windows --enroll - }"
    )
    assert "hmd_" not in command


@pytest.mark.parametrize("run", [(), ("--run",)])
@pytest.mark.parametrize("words", [("web-01",), ("web-*", "--auto", "--uses", "9")])
def test_any_other_host_gets_a_posix_shell(
    printed: Callable[..., str], words: tuple[str, ...], run: tuple[str, ...]
) -> None:
    command = printed(*words, *run)
    assert command.startswith('python3 -c "')
    assert subprocess.run(["sh", "-n", "-c", command], check=False).returncode == 0
    assert ("hmd_" in command) == ("--auto" not in words)
    assert ("sudo python3 heimdall-agent.pyz install --kind linux" in command) == (not run)


@pytest.mark.parametrize("run", [(), ("--run",)])
def test_no_process_is_given_the_token_as_an_argument(
    printed: Callable[..., str], tmp_path: Path, run: tuple[str, ...]
) -> None:
    command = printed("web-01", *run).partition(" && ")[2]
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("sudo", "python3"):
        (programs / name).write_text('#!/bin/sh\necho "arguments: $*"\necho "variable: $HEIMDALL_ENROLL_TOKEN"\ncat\n')
        (programs / name).chmod(0o755)
    # `echo` must be the shell's own: there is no other here but `cat`
    (programs / "cat").symlink_to("/bin/cat")
    done = subprocess.run(
        ["/bin/sh", "-c", command], env={"PATH": str(programs)}, stdin=subprocess.DEVNULL, capture_output=True,
        text=True, check=True,
    )  # fmt: skip
    arguments, variable, *given = done.stdout.splitlines()
    assert "hmd_" not in arguments
    assert ("hmd_" in variable, "hmd_" in "".join(given)) == (bool(run), not run)
