"""A stand-in for the ingestor, and agents as processes, for the agents' tests."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from waiting import wait_until

from core.topics import EVENTS, parse_host_topic

ROOT = Path(__file__).resolve().parents[2]
LAUNCH = """
import argparse, logging, os, sys
from agents import agent_linux, link_mqtt, run
from core.errors import HeimdallError
from core.settings import load
from pathlib import Path
logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(levelname)s %(message)s")
# the machine's own logs are not the test's: the sources are the files that the test names
def named(name): return Path(os.environ.get(name, "/nonexistent"))
# nor need a test wait for its turn when its broker is started again
link_mqtt.RECONNECT_SECONDS = 1.0
class NoJournal:
    def last(self): return None
    def close(self): pass
def make(host):
    audit, web = named("TEST_AUDIT_LOG"), str(named("TEST_ACCESS_LOG"))
    return agent_linux.LinuxCollector(host, NoJournal(), [named("TEST_LOG")], (), audit, [web])
agent_linux.make_collector = make
parser = argparse.ArgumentParser()
run.add_arguments(parser)
try:
    sys.exit(run.run(load(), parser.parse_args()))
except HeimdallError as error:
    sys.stderr.write(f"{error}\\n")
    sys.exit(1)
"""


class Receiver:
    """Stands in for the ingestor: keeps what comes and sends receipts, or does not (`answers`).

    Two at once need two names: with one, each would end the other's session.
    """

    def __init__(self, port: int, name: str = "@test") -> None:
        self.answers = True
        self.subscribed = 0
        self.messages: list[MQTTMessage] = []
        self.client = Client(CallbackAPIVersion.VERSION2, client_id=name, protocol=MQTTProtocolVersion.MQTTv5)
        self.client.reconnect_delay_set(1, 1)
        self.client.on_connect = lambda client, *_: client.subscribe("heimdall/#", qos=1)
        self.client.on_message = self._on_message
        self.client.on_subscribe = lambda *_: setattr(self, "subscribed", self.subscribed + 1)
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        wait_until(lambda: self.subscribed, "the receiver has subscribed")

    def _on_message(self, client: Client, _: Any, message: MQTTMessage) -> None:
        self.messages.append(message)
        if self.answers and parse_host_topic(message.topic).kind == EVENTS:  # type: ignore[union-attr]
            self.answer(message)

    def answer(self, message: MQTTMessage) -> None:
        properties = Properties(PacketTypes.PUBLISH)
        properties.CorrelationData = message.properties.CorrelationData
        self.client.publish(message.properties.ResponseTopic, b"", 0, properties=properties)

    def of(self, kind: str) -> list[MQTTMessage]:
        return [message for message in list(self.messages) if message.topic.endswith("/" + kind)]

    def bodies(self, kind: str) -> list[dict[str, Any]]:
        return [json.loads(message.payload) for message in self.of(kind)]

    def events(self) -> list[dict[str, Any]]:
        found = []
        for message in self.of(EVENTS):
            body = json.loads(message.payload)
            found += body if isinstance(body, list) else [body]
        return found

    def ids(self) -> set[str]:
        return {event["event_id"] for event in self.events()}

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


class AgentProcess:
    """`heimdall agent` as a process, with its standard error in a file."""

    def __init__(self, environment: dict[str, str], errors: Path, *arguments: str) -> None:
        self.errors = errors
        with errors.open("ab") as file:
            self.process = subprocess.Popen(
                [os.environ.get("HEIMDALL_TEST_PYTHON", sys.executable), "-W", "error", "-c", LAUNCH, *arguments],
                cwd=ROOT, env={**os.environ, **environment}, stdout=subprocess.PIPE, stderr=file,
            )  # fmt: skip

    def said(self) -> str:
        return self.errors.read_text(errors="replace")

    def end(self, number: int = signal.SIGTERM, seconds: float = 30) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.finish(seconds)

    def finish(self, seconds: float = 60) -> int:
        self.output, _ = self.process.communicate(timeout=seconds)
        return self.process.returncode


FAILED = "Nov 23 06:55:{second:02d} web-01 sshd[{number}]: Failed password for root from 192.0.2.7 port {number} ssh2\n"


def failed_logins(count: int, first: int = 1) -> str:
    """`count` lines of sshd, each different."""
    return "".join(FAILED.format(second=number % 60, number=number) for number in range(first, first + count))
