"""`heimdall sim` as a process, and who listens to what its hosts publish."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from core.topics import parse_host_topic

ROOT = Path(__file__).parents[2]


class Ear:
    """Keeps what is published of hosts: host, kind, and the payload as read."""

    def __init__(self, port: int) -> None:
        self._lock = threading.Lock()
        self._heard: list[tuple[str, str, dict[str, Any]]] = []
        self.retained: set[str] = set()
        self.client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
        self.client.on_message = self._hear
        self.client.connect("127.0.0.1", port)
        self.client.subscribe("heimdall/#", qos=0)
        self.client.loop_start()

    def _hear(self, _client: Client, _data: Any, message: MQTTMessage) -> None:
        found = parse_host_topic(message.topic)
        with self._lock:
            if message.retain:
                self.retained.add(message.topic)
            if found is not None and message.payload:
                self._heard.append((found.host, found.kind, json.loads(message.payload)))

    def of(self, kind: str, host: str = "") -> list[tuple[str, dict[str, Any]]]:
        with self._lock:
            return [(name, what) for name, one, what in self._heard if one == kind and host in ("", name)]

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


class Simulation:
    """`heimdall sim` as a process."""

    def __init__(self, port: int, folder: Path, *options: str, faults: str = "") -> None:
        command = [sys.executable, "-m", "heimdall", "sim", "--broker", f"mqtt://127.0.0.1:{port}", "--json"]
        if faults:
            (folder / "faults.toml").write_text(faults)
            command += ["--faults", str(folder / "faults.toml")]
        environment = {**os.environ, "HEIMDALL_HOME": str(folder / "home"), "PYTHONPATH": str(ROOT)}
        self._process = subprocess.Popen(
            [*command, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, cwd=folder
        )
        self.said = ""

    def interrupt(self) -> None:
        self._process.send_signal(signal.SIGINT)

    def wait(self) -> tuple[int, dict[str, Any]]:
        """The exit code, and the report; without one it is empty, and what was said instead is in `said`."""
        out, self.said = self._process.communicate(timeout=100)
        return self._process.returncode, json.loads(out) if out else {}

    def end(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.communicate()
