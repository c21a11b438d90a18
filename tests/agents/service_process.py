"""A service manager of a test's own: `service_process.py FOLDER FILE WORDS…` is `FILE WORDS…` with it.

What it is told to run is a real process, which goes on when the command has ended; all else is the agent's file.
It does not restart what ends, and knows no boot.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class ProcessService:
    """The `Service` of one folder, for which `check` takes anybody."""

    manager, log, personal = "the test", "cat log", ()

    def __init__(self, folder: Path) -> None:
        self.program, self.home = folder / "lib" / "heimdall-agent.pyz", folder / "home"
        self.plan, self.pid, self.said = folder / "plan.json", folder / "pid", folder / "log"

    def check(self) -> None:
        pass

    @contextlib.contextmanager
    def writing_home(self) -> Iterator[None]:
        yield

    def installed(self) -> bool:
        return self.plan.exists()

    def write(self, plan: Any) -> None:
        self.plan.write_text(json.dumps(plan.command))

    def start(self) -> None:
        self.end()
        environment = {"PATH": os.environ["PATH"], "HEIMDALL_HOME": str(self.home)}
        with self.said.open("ab") as output:
            process = subprocess.Popen(
                json.loads(self.plan.read_text()), env=environment, stdin=subprocess.DEVNULL, stdout=output,
                stderr=output, start_new_session=True,
            )  # fmt: skip
        self.pid.write_text(str(process.pid))

    def remove(self) -> None:
        self.end()
        self.plan.unlink()

    def end(self) -> None:
        """End its process, and wait until that holds its home no more."""
        if not self.pid.exists():
            return
        from core import lock

        with contextlib.suppress(ProcessLookupError):
            os.kill(int(self.pid.read_text()), signal.SIGTERM)
        deadline = time.monotonic() + 30
        while lock.is_held(self.home / "spool" / "agent.lock"):
            assert time.monotonic() < deadline, "the agent does not end"
            time.sleep(0.05)
        self.pid.unlink()


if __name__ == "__main__":
    folder, file, *words = sys.argv[1:]
    sys.path[0] = file
    from heimdall import agent

    agent.find_service = lambda: ProcessService(Path(folder))
    raise SystemExit(agent.main(words))
