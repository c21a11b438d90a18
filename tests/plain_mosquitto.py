"""A Mosquitto of a test's own, without Heimdall's rights and identities."""

from __future__ import annotations

import shutil
import socket
import subprocess
from pathlib import Path

from waiting import free_port, wait_until


class Broker:
    """A Mosquitto on a free port, anonymous, started again on the same port after a kill."""

    def __init__(self, folder: Path, extra: str = "") -> None:
        self.port = free_port()
        folder.mkdir(parents=True, exist_ok=True)
        self.config = folder / "mosquitto.conf"
        self.config.write_text(f"{extra}\nlistener {self.port} 127.0.0.1\nallow_anonymous true\nuser root\n")
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        program = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
        self.process = subprocess.Popen([program, "-c", str(self.config)], stderr=subprocess.DEVNULL)
        wait_until(self._answers, "the broker listens")

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def kill(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None
