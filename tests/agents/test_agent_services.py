"""What each service manager is told to run, with which rights, and by which commands.

Neither systemd, launchd nor Windows runs here: what is written is read by whatever of theirs can read it, and what
would be called is compared. `test_agent_installed.py` has the rest with real processes.
"""

from __future__ import annotations

import json
import os
import plistlib
import re
import shlex
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from agents import service
from agents.install import check_interpreter
from agents.service import Plan, Service
from agents.service_launchd import LaunchdService
from agents.service_systemd import GROUPS, SystemdService, find_groups, write_unit
from agents.service_windows import WindowsTask, write_task
from core.errors import Invalid, Unavailable

FILE = "/usr/local/lib/heimdall/heimdall-agent.pyz"
LINUX = Plan(["/usr/bin/python3", FILE, "--kind", "linux", "--host", "web-01"], "linux")
SOMEBODY = 61_234
TASK = "{http://schemas.microsoft.com/windows/2004/02/mit/task}"


class Calls:
    """Takes what would be called, and answers as told: nothing, or that it failed."""

    def __init__(self, *failing: str) -> None:
        self.made: list[str] = []
        self._failing = failing

    def __call__(self, *words: str) -> str:
        self.made.append(" ".join(words))
        if any(name in words for name in self._failing):
            raise Unavailable(f"{words} failed")
        return ""


def settings_of(unit: str) -> dict[str, str]:
    return dict(re.findall(r"^(\w+)=(.*)$", unit, re.MULTILINE))


@pytest.mark.systemd
@pytest.mark.parametrize(
    "plan",
    [
        LINUX,
        Plan(["/usr/bin/python3", FILE, "--kind", "pihole"], "pihole"),
        Plan(["/usr/bin/python3", FILE, "--kind", "firewall", "--listen", "0.0.0.0:514"], "firewall", 514),
        Plan(["/usr/bin/python3", FILE, "--kind", "firewall", "--listen", "0.0.0.0:5514"], "firewall", 5514),
    ],
    ids=["linux", "pihole", "firewall-514", "firewall-5514"],
)
def test_systemd_finds_little_that_an_agent_could_do_and_nothing_wrong(plan: Plan, tmp_path: Path) -> None:
    unit = tmp_path / "heimdall-agent.service"
    unit.write_text(write_unit(plan, Path("/var/lib/heimdall-agent"), list(GROUPS.get(plan.kind, ()))))
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", "--no-pager", unit], capture_output=True, text=True, check=True
    )
    level = re.search(r"Overall exposure level for \S+: ([\d.]+)", done.stdout)
    assert level is not None, done.stdout
    assert float(level[1]) < 2.0, done.stdout
    # `verify` looks for the program too
    unit.write_text(unit.read_text().replace("/usr/bin/python3", sys.executable))
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False)
    assert (done.returncode, [line for line in done.stderr.splitlines() if unit.name in line]) == (0, [])


@pytest.mark.systemd
def test_an_enabled_unit_is_started_at_boot(tmp_path: Path) -> None:
    units = tmp_path / "etc/systemd/system"
    units.mkdir(parents=True)
    SystemdService(units, call=Calls()).write(LINUX)
    subprocess.run(["systemctl", f"--root={tmp_path}", "enable", "heimdall-agent"], capture_output=True, check=True)
    assert (units / "multi-user.target.wants/heimdall-agent.service").is_symlink()


def test_systemd_is_told_to_start_it_now_and_at_boot_and_to_forget_it(tmp_path: Path) -> None:
    calls = Calls()
    systemd = SystemdService(tmp_path, call=calls)
    assert not systemd.installed()
    systemd.write(LINUX)
    systemd.start()
    assert systemd.installed()
    assert systemd.unit.stat().st_mode & 0o777 == 0o644
    systemd.remove()
    assert not systemd.installed()
    assert list(tmp_path.iterdir()) == []
    assert calls.made == [
        "systemctl daemon-reload", "systemctl enable heimdall-agent", "systemctl restart heimdall-agent",
        "systemctl disable --now heimdall-agent", "systemctl daemon-reload",
    ]  # fmt: skip


def test_a_unit_keeps_the_agent_running_in_a_home_of_its_own() -> None:
    unit = settings_of(write_unit(LINUX, Path("/var/lib/heimdall-agent"), ["adm"]))
    assert unit["ExecStart"] == f"/usr/bin/python3 {FILE} --kind linux --host web-01"
    assert unit["Environment"] == '"HEIMDALL_HOME=/var/lib/heimdall-agent"'
    assert unit["StateDirectory"] == "heimdall-agent"
    assert (unit["Restart"], unit["DynamicUser"]) == ("always", "yes")
    assert unit["SupplementaryGroups"] == "adm"


@pytest.mark.parametrize(("port", "rights"), [(None, ""), (5514, ""), (1024, ""), (514, "CAP_NET_BIND_SERVICE")])
def test_only_a_port_of_root_s_needs_a_right_of_root_s(port: int | None, rights: str) -> None:
    unit = settings_of(write_unit(LINUX._replace(port=port), Path("/var/lib/heimdall-agent"), []))
    assert (unit["CapabilityBoundingSet"], unit["AmbientCapabilities"]) == (rights, rights)
    assert "SupplementaryGroups" not in unit


def test_words_that_systemd_would_change_are_quoted() -> None:
    plan = Plan(["/opt/a b/python3", "100%", "$HOME", 'say "x"', "back\\slash"], "linux")
    unit = settings_of(write_unit(plan, Path("/var/lib/heimdall-agent"), []))
    assert unit["ExecStart"] == '"/opt/a b/python3" 100%% $$HOME "say \\"x\\"" "back\\\\slash"'


def test_only_groups_that_exist_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(GROUPS, "linux", ("no-such-group", "root", "no-such-either"))
    assert find_groups("linux") == ["root"]
    assert find_groups("firewall") == []


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The home of an agent that has run as somebody."""
    if os.geteuid() != 0:
        pytest.skip("only root can give files away")
    home = tmp_path / "home"
    (home / "credentials").mkdir(parents=True)
    for path in (home, home / "credentials"):
        os.chown(path, SOMEBODY, SOMEBODY)
    return home


def owners(home: Path) -> set[int]:
    return {path.lstat().st_uid for path in (home, *home.rglob("*"))}


def test_what_root_has_written_into_the_home_is_the_agent_s(home: Path) -> None:
    with SystemdService(home.parent, home=home).writing_home():
        assert owners(home) == {0}
        (home / "credentials" / "agent").write_text("web-01:secret")
    assert owners(home) == {SOMEBODY}


@pytest.mark.parametrize("link", ["symbolic", "hard"])
def test_root_writes_nothing_where_a_link_leads_elsewhere(home: Path, link: str) -> None:
    elsewhere = home.parent / "root-s-own"
    elsewhere.write_text("")
    place = home / "credentials" / "agent"
    place.symlink_to(elsewhere) if link == "symbolic" else place.hardlink_to(elsewhere)
    with pytest.raises(Unavailable, match="is a link"), SystemdService(home.parent, home=home).writing_home():
        pytest.fail("root would write")
    assert elsewhere.stat().st_uid == 0


def test_a_machine_without_systemd_and_who_is_not_root_are_told_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1_000)
    monkeypatch.setattr(sys, "argv", ["heimdall-agent.pyz", "install", "--enroll", "hmd_secret"])
    with pytest.raises(Invalid, match=r"type `sudo \S+ heimdall-agent.pyz …`") as told:
        service.expect_root()
    assert "hmd_secret" not in str(told.value)
    if not Path("/run/systemd/system").exists():
        with pytest.raises(Invalid, match="systemd does not manage this machine's services"):
            SystemdService().check()


def test_a_python_in_somebody_s_home_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    homes = tmp_path / "Users"
    real, linked = homes / "eve" / "python.exe", tmp_path / "bin" / "python.exe"
    for path in (real, linked):
        path.parent.mkdir(parents=True)
    real.write_text("")
    linked.symlink_to(real)
    windows = WindowsTask(tmp_path / "Heimdall", homes)
    for python in (real, linked):
        monkeypatch.setattr(sys, "executable", str(python))
        with pytest.raises(Invalid, match="installed for everybody"):
            check_interpreter(windows)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python.exe"))
    check_interpreter(windows)


def test_launchd_keeps_it_running_from_boot_on(tmp_path: Path) -> None:
    calls = Calls("print")
    launchd = LaunchdService(tmp_path, tmp_path / "Heimdall", calls)
    launchd.write(LINUX)
    launchd.start()
    told = plistlib.loads(launchd.definition.read_bytes())
    assert told["ProgramArguments"] == LINUX.command
    assert told["EnvironmentVariables"] == {"HEIMDALL_HOME": str(tmp_path / "Heimdall/agent")}
    assert (told["KeepAlive"], told["RunAtLoad"], told["Umask"]) == (True, True, 0o077)
    assert launchd.definition.stat().st_mode & 0o777 == 0o644
    assert calls.made == [
        "launchctl bootout system/heimdall-agent", "launchctl print system/heimdall-agent",
        "launchctl enable system/heimdall-agent", f"launchctl bootstrap system {launchd.definition}",
    ]  # fmt: skip
    launchd.remove()
    assert not launchd.installed()


def test_windows_starts_it_at_boot_as_system_and_again_whenever_it_has_ended() -> None:
    task = ElementTree.fromstring(write_task(LINUX, Path("/homes/agent")))
    text = {element.tag.removeprefix(TASK): element.text for element in task.iter()}
    assert task.find(f"{TASK}Triggers/{TASK}BootTrigger") is not None
    assert (text["UserId"], text["Interval"], text["MultipleInstancesPolicy"]) == ("S-1-5-18", "PT1M", "IgnoreNew")
    # neither three days, which is the default, nor a battery ends it
    assert (text["ExecutionTimeLimit"], text["StopIfGoingOnBatteries"]) == ("PT0S", "false")
    # MS-TSCH, section 2.5: the order is the schema's
    assert [part.tag.removeprefix(TASK) for part in task] == [
        "RegistrationInfo", "Triggers", "Principals", "Settings", "Actions",
    ]  # fmt: skip


def test_what_windows_is_told_to_run_finds_its_home_and_says_what_it_does_there(tmp_path: Path) -> None:
    program, home = tmp_path / "agent file.py", tmp_path / "a home"
    (home / "logs").mkdir(parents=True)
    program.write_text("import json,os,sys;print(json.dumps([os.environ['HEIMDALL_HOME'],*sys.argv]),file=sys.stderr)")
    task = ElementTree.fromstring(
        write_task(Plan([sys.executable, str(program), "--kind", "windows"], "windows"), home)
    )
    arguments = task.findtext(f".//{TASK}Arguments")
    assert arguments is not None
    # no word of it has what list2cmdline would write otherwise than a POSIX shell
    subprocess.run([task.findtext(f".//{TASK}Command") or "", *shlex.split(arguments)], check=True)
    assert json.loads((home / "logs/agent.log").read_text()) == [str(home), str(program), "--kind", "windows"]


def test_windows_is_told_to_start_it_and_to_let_nobody_else_read_its_home(tmp_path: Path) -> None:
    calls = Calls("/end")
    windows = WindowsTask(tmp_path / "Heimdall", tmp_path / "Users", calls)
    with windows.writing_home():
        assert windows.home.is_dir()
    windows.write(LINUX)
    windows.start()
    windows.remove()
    assert calls.made[0] == (
        f"icacls {windows.home} /inheritance:r /grant:r *S-1-5-18:(OI)(CI)F /grant:r *S-1-5-32-544:(OI)(CI)F"
    )
    assert re.fullmatch(r"schtasks /create /f /tn Heimdall agent /xml \S+task\.xml", calls.made[1])
    assert [call.split()[1] for call in calls.made[2:]] == ["/end", "/run", "/end", "/delete"]
    assert windows.installed()
    assert not WindowsTask(tmp_path, tmp_path, Calls("/query")).installed()


def test_every_service_is_a_service(tmp_path: Path) -> None:
    services: list[Service] = [SystemdService(), LaunchdService(), WindowsTask(tmp_path, tmp_path)]
    assert len({one.manager for one in services}) == 3


def test_a_program_that_fails_is_told_with_what_it_said() -> None:
    with pytest.raises(Unavailable, match=r"failed \(3\): no such unit"):
        service.call(sys.executable, "-c", "import sys; print('no such\\nunit', file=sys.stderr); sys.exit(3)")
    with pytest.raises(Unavailable, match="cannot be run"):
        service.call("no-such-program-at-all")
