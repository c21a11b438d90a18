"""A whole Heimdall for a test: `heimdall up` in a home of its own, on free ports, asked over HTTP and MQTT."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
from waiting import free_port, wait_until

from core.home import Credential, Home
from core.tls import trust

HOST = "test-box"


def outside() -> dict[str, str]:
    """The environment of this process without anything that speaks to Heimdall."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("HEIMDALL_", "SIEM_"))}


class Running:
    """`heimdall up`, as a person would start it."""

    def __init__(self, home: Path, broker: str = "auto", **environment: str) -> None:
        self.home = Home(home)
        self.broker = broker
        self.http_port, self.mqtt_port, self.mqtts_port = free_port(), free_port(), free_port()
        self.environment = {
            **outside(),
            "HEIMDALL_HOME": str(home),
            "HEIMDALL_HTTP_PORT": str(self.http_port),
            "HEIMDALL_MQTT_PORT": str(self.mqtt_port),
            "HEIMDALL_MQTTS_PORT": str(self.mqtts_port),
            "HEIMDALL_HOST": HOST,
            **environment,
        }
        self.output = home.parent / f"{home.name}-up.txt"
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"{'https' if self.home.tls.exists() else 'http'}://127.0.0.1:{self.http_port}"

    @property
    def trust(self) -> ssl.SSLContext:
        """Whom a client of its trusts: its own authority, when it has one."""
        return trust(self.home.tls / "ca.pem")

    def start(self) -> None:
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                self.command("up", "--broker", self.broker),
                env=self.environment, stdout=output, stderr=output, start_new_session=True,
            )  # fmt: skip
        wait_until(self._has_started, "`heimdall up` prints its summary")

    def _has_started(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"`heimdall up` has ended: {self.printed()}"
        return "Ctrl-C stops it all" in self.printed()

    def printed(self) -> str:
        return self.output.read_text() if self.output.exists() else ""

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "heimdall", *words]

    def run(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Another command of the same home."""
        return subprocess.run(
            self.command(*words), env={**self.environment, **environment},
            capture_output=True, text=True, timeout=100, check=False,
        )  # fmt: skip

    def make_token(self, host: str, *options: str) -> str:
        """What `heimdall enroll` makes for `host`."""
        made = self.run("enroll", host, "--json", *options)
        assert made.returncode == 0, made.stderr
        return str(json.loads(made.stdout)["token"])

    def stop(self, number: int = signal.SIGINT) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(30)

    @property
    def key(self) -> str:
        return self.home.api_key.read_text().strip()

    def get(self, path: str, **parameters: Any) -> Any:
        headers = {"api-key": self.key}
        answer = httpx.get(self.url + path, params=parameters, headers=headers, timeout=20, verify=self.trust)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def answers(self) -> bool:
        """Whether the API's process is there."""
        try:
            return httpx.get(f"{self.url}/livez", verify=self.trust).status_code == 200
        except httpx.TransportError:
            return False

    def host(self, name: str) -> Any:
        """The host in `GET /hosts`, on whichever side; `None` when it is not there."""
        answer = self.get("/hosts")
        return next(
            (host for host in answer["active_hosts"] + answer["inactive_hosts"] if host["hostname"] == name), None
        )

    def credential(self, name: str) -> Credential:
        return self.home.credential(name)

    def children(self) -> dict[str, int]:
        """The children's process numbers, by the name of their command."""
        assert self.process is not None
        found = {}
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):  # it may have ended since
                if not entry.name.isdigit() or parent_of(entry) != self.process.pid:
                    continue
                pid, words = entry.name, (entry / "cmdline").read_bytes().decode().split("\0")
                if "mosquitto" in words[0]:
                    found["broker"] = int(pid)
                elif "heimdall" in words[:-1]:
                    found[words[words.index("heimdall") + 1]] = int(pid)
        return found


def parent_of(entry: Path) -> int:
    """The parent of a process in /proc; the fields behind its name, which is in parentheses, have no spaces."""
    return int((entry / "stat").read_text().rpartition(")")[2].split()[1])


def processes_of(home: Path) -> list[str]:
    """Every process that was started for `home`: it is in its environment."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if f"HEIMDALL_HOME={home}\0".encode() in (entry / "environ").read_bytes():
                    found.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode())
    return found


@contextlib.contextmanager
def running(broker: str = "auto", start: bool = True, **environment: str) -> Iterator[Running]:
    """A Heimdall that is ended and whose files are removed whatever happens."""
    folder = Path(tempfile.mkdtemp(prefix="heimdall-test-"))
    up = Running(folder / "home", broker, **environment)
    try:
        if start:
            up.start()
        yield up
    finally:
        if up.process is not None and up.process.poll() is None:
            up.process.send_signal(signal.SIGTERM)
            try:
                up.process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(up.process.pid, signal.SIGKILL)
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def running_with_tls() -> Iterator[Running]:
    """One that listens everywhere, with an authority of its own."""
    with running("mosquitto", start=False, HEIMDALL_BIND="0.0.0.0") as prepared:
        assert prepared.run("tls", "init", "--name", "127.0.0.1").returncode == 0
        prepared.start()
        yield prepared


def login_link(printed: str) -> str:
    found = re.search(r"https?://\S+/login\?token=\S+", printed)
    assert found is not None, printed
    return found[0]
