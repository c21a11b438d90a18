"""The agent as a service, from the printed command to its removal: the agent's file, a real server, real processes.

The service manager is a test's own (`service_process.py`), so what systemd and the others do is not proven here.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest
from heimdall_home import Running, running_with_tls
from machine import oldest_python
from service_process import ProcessService
from test_agent_upgrade import agent_of
from waiting import wait_until

from agents.compiled import read_origin
from agents.standing import read_standing
from api.agent_file import build_agent_file
from core.agent_file import digest
from core.home import Home
from core.spool import Spool
from core.token import read_token

pytestmark = pytest.mark.mosquitto
MANAGER = Path(__file__).with_name("service_process.py")


@pytest.fixture(scope="module")
def up() -> Iterator[Running]:
    with running_with_tls() as started:
        yield started


class Machine:
    """A machine with the agent's file in a folder that somebody has fetched it to."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.python = folder, oldest_python()
        self.file = folder / "heimdall-agent.pyz"
        self.service = ProcessService(folder)
        self.home = Home(self.service.home)

    def run(self, *words: str, given: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.python, "-W", "error", MANAGER, self.folder, self.file, *words], env={"PATH": os.environ["PATH"]},
            input=given, capture_output=True, text=True, timeout=100, check=False,
        )  # fmt: skip

    def status(self) -> dict[str, object]:
        told = self.run("status", "--json")
        status: dict[str, object] = json.loads(told.stdout)
        assert told.returncode == (0 if status["running"] else 1), told.stderr
        return status

    def boot(self) -> str:
        standing = read_standing(self.home.agent_standing)
        assert standing is not None
        return standing.boot


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    made = Machine(tmp_path)
    made.file.write_bytes(build_agent_file())
    yield made
    made.service.end()


def test_an_installed_agent_is_connected_before_the_command_ends(up: Running, machine: Machine) -> None:
    token = up.make_token("inst-01")
    done = machine.run("install", "--host", "inst-01", "--interval", "1", "--enroll", "-", given=token)
    assert (done.returncode, "connected as inst-01" in done.stderr) == (0, True), done.stderr
    wait_until(lambda: up.host("inst-01"), "the host is alive")
    status = machine.status()
    since = status.pop("since")
    assert status == {
        "installed": True, "running": True, "version": version("heimdall-siem"), "host": "inst-01", "server": up.url,
        "connected": True, "trouble": None, "spool": 0,
    }  # fmt: skip
    assert str(since).endswith("Z")
    # what it runs is a copy, compiled, which does not go away with what was fetched
    assert read_origin(machine.service.program.read_bytes()) == digest(machine.file.read_bytes())
    assert str(machine.service.program) in json.loads(machine.service.plan.read_text())


def test_the_token_is_in_no_definition_process_list_or_log(up: Running, machine: Machine) -> None:
    token = up.make_token("inst-02")
    done = machine.run("install", "--host", "inst-02", "--enroll", "-", given=token)
    assert done.returncode == 0, done.stderr
    process = Path("/proc", machine.service.pid.read_text())
    shown = [(process / name).read_text() for name in ("cmdline", "environ")]
    kept = [path.read_bytes().decode("latin-1") for path in machine.folder.rglob("*") if path.is_file()]
    for secret in (token, read_token(token).secret):
        assert [text for text in [*shown, *kept, done.stdout, done.stderr] if secret in text] == []


def test_a_second_install_changes_the_service_and_keeps_who_it_is_and_what_waits(up: Running, machine: Machine) -> None:
    assert machine.run("install", "--host", "inst-03", "--enroll", "-", given=up.make_token("inst-03")).returncode == 0
    secret, boot = machine.home.credential("agent"), machine.boot()
    spool = Spool(machine.home.agent_spool, checkpoints=False)
    kept = spool.id
    spool.close()
    done = machine.run("--interval", "7", "install")
    assert done.returncode == 0, done.stderr
    assert json.loads(machine.service.plan.read_text())[-2:] == ["--interval", "7.0"]
    assert machine.boot() != boot
    assert machine.home.credential("agent") == secret
    spool = Spool(machine.home.agent_spool, checkpoints=False)
    assert spool.id == kept
    spool.close()


def test_without_a_token_or_with_wrong_options_nothing_is_installed(machine: Machine) -> None:
    for words in ((), ("--kind", "toaster"), ("--listen", "127.0.0.1:5514"), ("--interval", "0"), ("--once",)):
        # an option that is the agent's alone stands before the command's name
        done = machine.run(*words, "install") if words == ("--once",) else machine.run("install", *words)
        assert done.returncode == 2, done.stderr
    assert not machine.service.installed()
    assert not machine.service.program.exists()
    assert machine.status()["installed"] is False


def test_an_upgrade_takes_the_server_s_file_and_starts_it(up: Running, machine: Machine) -> None:
    machine.file.write_bytes(agent_of("0.0.1"))
    assert machine.run("install", "--host", "inst-04", "--enroll", "-", given=up.make_token("inst-04")).returncode == 0
    assert machine.status()["version"] == "0.0.1"
    boot = machine.boot()
    done = machine.run("upgrade")
    assert done.returncode == 0, done.stderr
    assert (machine.status()["version"], machine.boot() != boot) == (version("heimdall-siem"), True)
    assert read_origin(machine.service.program.read_bytes()) == digest(build_agent_file())
    wait_until(lambda: up.host("inst-04"), "the server knows the host")
    wait_until(
        lambda: up.get("/hosts/inst-04")["info"]["version"] == version("heimdall-siem"), "the server knows the version"
    )
    again = machine.run("upgrade")
    assert (again.returncode, "up to date" in again.stderr) == (0, True), again.stderr


def test_another_server_than_the_one_of_the_enrolment_upgrades_nothing(up: Running, machine: Machine) -> None:
    machine.file.write_bytes(agent_of("0.0.1"))
    assert machine.run("install", "--host", "inst-05", "--enroll", "-", given=up.make_token("inst-05")).returncode == 0
    with running_with_tls() as other:
        machine.home.write_server({**machine.home.read_server(), "api": other.url})
        done = machine.run("upgrade")
    assert (done.returncode, "certificate verify failed" in done.stderr) == (1, True), done.stderr
    assert machine.status()["version"] == "0.0.1"


def test_what_is_wrong_is_told_while_it_is_not_connected(up: Running, machine: Machine) -> None:
    assert machine.run("install", "--host", "inst-06", "--enroll", "-", given=up.make_token("inst-06")).returncode == 0
    assert up.run("revoke", "inst-06").returncode == 0
    wait_until(lambda: not machine.status()["connected"], "it has no connection any more")
    wait_until(lambda: "enrol the host again" in str(machine.status()["trouble"]), "it says what is wrong")
    assert machine.status()["running"] is True


def test_what_is_uninstalled_is_gone_but_for_its_home_unless_that_is_asked_for(up: Running, machine: Machine) -> None:
    assert machine.run("install", "--host", "inst-07", "--enroll", "-", given=up.make_token("inst-07")).returncode == 0
    assert machine.run("uninstall").returncode == 0
    status = machine.status()
    assert (status["installed"], status["running"], status["host"]) == (False, False, "inst-07")
    assert not machine.service.program.parent.exists()
    # who it is was kept, so no token is needed
    assert machine.run("install").returncode == 0
    assert machine.run("uninstall", "--purge").returncode == 0
    assert not machine.home.path.exists()
    assert machine.run("uninstall").returncode == 0


def test_the_printed_command_installs_by_one_line(up: Running, machine: Machine) -> None:
    printed = up.run("enroll", "inst-08").stdout.strip()
    assert printed.endswith(" | sudo python3 heimdall-agent.pyz install --kind linux --host inst-08 --enroll -")
    machine.file.unlink()
    # what sudo is to the shell, with the test's service manager; `python3 FILE` are the words before the command's
    programs = machine.folder / "bin"
    programs.mkdir()
    (programs / "python3").symlink_to(shutil.which("python3") or sys.executable)
    (programs / "sudo").write_text(
        f'#!/bin/sh\nfile=$2\nshift 2\nexec {sys.executable} {MANAGER} {machine.folder} "$file" "$@"\n'
    )
    (programs / "sudo").chmod(0o755)
    environment = {"PATH": f"{programs}:{os.environ['PATH']}", "PYTHONSAFEPATH": "1"}
    done = subprocess.run(
        ["sh", "-c", printed], cwd=machine.folder, env=environment, capture_output=True, text=True, timeout=100,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    wait_until(lambda: up.host("inst-08"), "the host is alive")
    assert machine.status()["connected"] is True


def test_a_checkout_is_not_installed_and_the_reason_is_said(machine: Machine) -> None:
    machine.file, machine.python = Path(__file__).parents[2], sys.executable
    done = machine.run("install", "--host", "inst-09")
    assert (done.returncode, "the agent's one file" in done.stderr) == (2, True), done.stderr
