"""The agent as a service of Windows: a task that starts with the machine, as LocalSystem.

It is no service of the service control manager, and `docs/decisions/0019-the-agent-as-a-service.md` says why.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Iterator, Sequence
from xml.etree import ElementTree as xml

from agents.service import Call, Plan, call
from core import agent_file
from core.errors import Invalid, Unavailable

NAME = "Heimdall agent"
SYSTEM, ADMINISTRATORS = "*S-1-5-18", "*S-1-5-32-544"
_NAMESPACE = "http://schemas.microsoft.com/windows/2004/02/mit/task"

# a task has neither variables of its own nor a log: HOME, LOG, then what is to run
LAUNCH = (
    "import os,runpy,sys;os.environ['HEIMDALL_HOME']=sys.argv[1];"
    "sys.stderr=open(sys.argv[2],'w',1,'utf-8');del sys.argv[:3];runpy.run_path(sys.argv[0],run_name='__main__')"
)


class WindowsTask:
    """The `Service` of Windows 10, Server 2016 or newer. In `folder`, nobody but administrators may write."""

    manager = "the task scheduler"

    def __init__(self, folder: Path, users: Path, call: Call = call) -> None:
        self.program, self.home = folder / agent_file.NAME, folder / "agent"
        self.personal: Sequence[Path] = (users,)
        self.log = f'Get-Content "{self.home / "logs" / "agent.log"}"'
        self._call = call

    @classmethod
    def of_this_machine(cls) -> WindowsTask:
        """Below %ProgramFiles%: below %ProgramData% anybody may make a folder first, and own it."""
        programs = os.environ.get("PROGRAMFILES", r"C:\Program Files")
        users = Path(os.environ.get("PUBLIC", r"C:\Users\Public")).parent
        return cls(Path(programs) / "Heimdall", users)

    def check(self) -> None:
        """See `Service.check`."""
        if not ctypes.windll.shell32.IsUserAnAdmin():  # type: ignore[attr-defined]
            raise Invalid("a service of this machine is an administrator's affair: open PowerShell as administrator")

    @contextmanager
    def writing_home(self) -> Iterator[None]:
        """See `Service.writing_home`. What is made in the folder later inherits whose it is."""
        self.home.mkdir(parents=True, exist_ok=True)
        rights = [word for who in (SYSTEM, ADMINISTRATORS) for word in ("/grant:r", f"{who}:(OI)(CI)F")]
        self._call("icacls", str(self.home), "/inheritance:r", *rights)
        yield

    def installed(self) -> bool:
        """See `Service.installed`."""
        try:
            self._call("schtasks", "/query", "/tn", NAME)
        except Unavailable:
            return False
        return True

    def write(self, plan: Plan) -> None:
        """See `Service.write`."""
        with tempfile.TemporaryDirectory() as folder:
            definition = Path(folder, "task.xml")
            definition.write_bytes(write_task(plan, self.home))
            self._call("schtasks", "/create", "/f", "/tn", NAME, "/xml", str(definition))

    def start(self) -> None:
        """See `Service.start`."""
        with suppress(Unavailable):  # it does not run
            self._call("schtasks", "/end", "/tn", NAME)
        self._call("schtasks", "/run", "/tn", NAME)

    def remove(self) -> None:
        """See `Service.remove`."""
        with suppress(Unavailable):  # it does not run
            self._call("schtasks", "/end", "/tn", NAME)
        self._call("schtasks", "/delete", "/f", "/tn", NAME)


def write_task(plan: Plan, home: Path) -> bytes:
    """The task's definition (Microsoft's MS-TSCH, section 2.5), in UTF-16 as `schtasks` reads it.

    `RestartOnFailure` would start again what could not be started, not what has ended: each minute a start is tried
    instead, and comes to nothing while the agent runs.
    """
    interpreter, program, *options = plan.command
    log = home / "logs" / "agent.log"
    words = ["-c", LAUNCH, str(home), str(log), program, *options]
    task = xml.Element("Task", {"version": "1.2", "xmlns": _NAMESPACE})
    _add(task, "RegistrationInfo", Description="Heimdall's agent")
    triggers = xml.SubElement(task, "Triggers")
    _add(triggers, "BootTrigger", Enabled="true")
    again = xml.SubElement(triggers, "TimeTrigger")
    _add(again, "Repetition", Interval="PT1M", StopAtDurationEnd="false")
    xml.SubElement(again, "StartBoundary").text = "2020-01-01T00:00:00"
    xml.SubElement(again, "Enabled").text = "true"
    _add(xml.SubElement(task, "Principals"), "Principal", UserId="S-1-5-18", RunLevel="HighestAvailable")
    _add(
        task, "Settings", MultipleInstancesPolicy="IgnoreNew", DisallowStartIfOnBatteries="false",
        StopIfGoingOnBatteries="false", StartWhenAvailable="true", ExecutionTimeLimit="PT0S", Priority="7",
    )  # fmt: skip
    _add(xml.SubElement(task, "Actions"), "Exec", Command=interpreter, Arguments=subprocess.list2cmdline(words))
    return bytes(xml.tostring(task, encoding="utf-16"))


def _add(parent: xml.Element, name: str, **children: str) -> None:
    element = xml.SubElement(parent, name)
    for child, text in children.items():
        xml.SubElement(element, child).text = text
