"""The agent as a service of macOS' launchd: as root, for nobody else may read the unified log at boot."""

from __future__ import annotations

import os
import plistlib
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Iterator, Sequence

from agents.service import Call, Plan, call, expect_root
from core import agent_file
from core.errors import Unavailable

LABEL = "heimdall-agent"
TARGET = f"system/{LABEL}"
# not /usr/local: Homebrew may have given it to a person, and root would run what that person writes there
FOLDER = Path("/Library/Application Support/Heimdall")
LOG = "/Library/Logs/heimdall-agent.log"
GONE_SECONDS = 30.0


class LaunchdService:
    """The `Service` of launchd, macOS 10.11 or newer. `daemons` is where administrators' services lie."""

    manager = "launchd"
    log = f"tail {LOG}"
    personal: Sequence[Path] = (Path("/Users"), Path("/private/var/root"), Path("/private/tmp"))

    def __init__(
        self, daemons: Path = Path("/Library/LaunchDaemons"), folder: Path = FOLDER, call: Call = call
    ) -> None:
        self.program, self.home = folder / agent_file.NAME, folder / "agent"
        self.definition = daemons / f"{LABEL}.plist"
        self._call = call

    def check(self) -> None:
        """See `Service.check`."""
        expect_root()

    @contextmanager
    def writing_home(self) -> Iterator[None]:
        """See `Service.writing_home`. It is root's, as the agent is."""
        yield

    def installed(self) -> bool:
        """See `Service.installed`."""
        return self.definition.exists()

    def write(self, plan: Plan) -> None:
        """See `Service.write`."""
        partial = self.definition.with_name(f".{self.definition.name}.{os.getpid()}")
        partial.write_bytes(write_definition(plan, self.home))
        partial.chmod(0o644)
        os.replace(partial, self.definition)

    def start(self) -> None:
        """See `Service.start`."""
        self._stop()
        self._call("launchctl", "enable", TARGET)
        self._call("launchctl", "bootstrap", "system", str(self.definition))

    def remove(self) -> None:
        """See `Service.remove`."""
        self._stop()
        self.definition.unlink()

    def _stop(self) -> None:
        """`bootout` returns before the service is gone, and `bootstrap` fails until it is."""
        with suppress(Unavailable):  # there is none
            self._call("launchctl", "bootout", TARGET)
        deadline = time.monotonic() + GONE_SECONDS
        while time.monotonic() < deadline:
            try:
                self._call("launchctl", "print", TARGET)
            except Unavailable:
                return
            time.sleep(0.2)
        raise Unavailable(f"launchd does not let {TARGET} go")


def write_definition(plan: Plan, home: Path) -> bytes:
    """The property list (launchd.plist(5))."""
    return plistlib.dumps(
        {
            "Label": LABEL,
            "ProgramArguments": plan.command,
            "EnvironmentVariables": {"HEIMDALL_HOME": str(home)},
            "RunAtLoad": True,
            "KeepAlive": True,
            "ThrottleInterval": 5,
            "ExitTimeOut": 30,
            "ProcessType": "Background",
            "Umask": 0o077,
            "StandardOutPath": LOG,
            "StandardErrorPath": LOG,
        }
    )
