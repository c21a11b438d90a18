"""A Heimdall is backed up while it works, is gone, and goes on from the backup: its hosts notice a pause."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import psycopg
import pytest
from heimdall_home import Running, outside, running
from sqlite_file import opened
from waiting import free_port, wait_until

from core.clock import rfc3339, utc_now
from core.ids import uuid7

pytestmark = pytest.mark.mosquitto

HOST = "fw-01"
LOGIN = b"<38>sshd[77120]: Failed password for %s from 203.0.113.9 port 40122 ssh2"


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def both(request: pytest.FixtureRequest) -> Iterator[tuple[Running, Running]]:
    """One that runs, and one on the same ports that has nothing yet."""
    with ExitStack() as stack:
        urls: list[dict[str, str]] = [{}, {}]
        if request.param == "postgresql":
            from postgresql_server import database

            urls = [{"HEIMDALL_DATABASE_URL": stack.enter_context(database())} for _ in range(2)]
        first = stack.enter_context(running("mosquitto", **urls[0]))
        second = stack.enter_context(running("mosquitto", start=False, **urls[1]))
        second.http_port, second.mqtt_port = first.http_port, first.mqtt_port
        for name in ("HEIMDALL_HTTP_PORT", "HEIMDALL_MQTT_PORT"):
            second.environment[name] = first.environment[name]
        yield first, second


@contextlib.contextmanager
def agent(up: Running, folder: Path, port: int) -> Iterator[None]:
    """An agent with an identity of its own, which listens for syslog on `port`."""
    token = {"HEIMDALL_ENROLL_TOKEN": up.make_token(HOST, "--kind", "firewall")}
    said = folder / "said"
    with said.open("ab") as errors:
        process = subprocess.Popen(
            up.command("agent", "--kind", "firewall", "--host", HOST, "--listen", f"127.0.0.1:{port}"),
            env={**outside(), "HEIMDALL_HOME": str(folder / "agent"), **token}, stdout=errors, stderr=errors,
        )  # fmt: skip
    try:
        wait_until(lambda: "listening for syslog" in said.read_text(), "the agent listens")
        yield
    finally:
        process.kill()
        process.wait()


def send(port: int, user: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(LOGIN % user.encode(), ("127.0.0.1", port))


def users(up: Running) -> list[str]:
    return [event["user"] for event in up.get("/events", source_host=HOST, limit=1000)["events"]]


class Load:
    """Events that come by `POST /ingest` all the time; `answered` are those that were answered with 200."""

    def __init__(self, up: Running) -> None:
        self._up, self._key = up, up.key
        self.answered: list[str] = []
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Load:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        with httpx.Client(headers={"api-key": self._key}, timeout=20) as client:
            while not self._stopping.is_set():
                batch = [
                    {
                        "event_id": str(uuid7()), "timestamp": rfc3339(utc_now()), "source_host": "over-http",
                        "os_type": "LINUX", "event_type": "LOGIN_FAIL", "severity": 3, "raw_message": "x",
                    }
                    for _ in range(20)
                ]  # fmt: skip
                assert client.post(f"{self._up.url}/ingest", json=batch).status_code == 200
                self.answered += [str(event["event_id"]) for event in batch]


def query(up: Running, statement: str) -> list[tuple[object, ...]]:
    url = up.environment.get("HEIMDALL_DATABASE_URL")
    if url:
        with psycopg.connect(url) as database:
            return database.execute(statement.encode()).fetchall()
    with opened(up.home.path / "mini_siem.db") as file:
        return file.execute(statement).fetchall()


def test_who_was_enrolled_goes_on_at_the_restored_server(both: tuple[Running, Running], tmp_path: Path) -> None:
    first, second = both
    words = tmp_path / "passphrase"
    words.write_text("correct horse\n")
    words.chmod(0o600)
    file, port = tmp_path / "backup", free_port()
    sealed = (str(file), "--passphrase-file", str(words), "--json")
    with agent(first, tmp_path, port):
        send(port, "before")
        wait_until(lambda: users(first) == ["before"], "what is sent is stored")
        with Load(first) as load:
            wait_until(lambda: len(load.answered) > 500, "there is something to store")
            accepted = [*load.answered]
            made = first.run("backup", *sealed)
            wait_until(lambda: len(load.answered) > len(accepted) + 100, "it goes on being stored")
        assert made.returncode == 0, made.stderr
        assert first.stop() == 0
        send(port, "meanwhile")
        restored = second.run("restore", *sealed)
        assert restored.returncode == 0, restored.stderr
        assert json.loads(restored.stdout)["tables"] == json.loads(made.stdout)["tables"]
        second.start()
        assert second.key == first.key
        wait_until(lambda: users(second) == ["meanwhile", "before"], "what the agent kept comes to the restored server")
        send(port, "after")
        wait_until(lambda: users(second) == ["after", "meanwhile", "before"], "it goes on")
        wait_until(lambda: (second.host(HOST) or {}).get("state") == "online", "it is judged")
    # what had been answered with 200 is there, of the database's part of the backup or of the API's spool
    wait_until(lambda: missing(second, accepted) == set(), "what was accepted is stored")
    [(count, distinct)] = query(second, "SELECT count(*), count(DISTINCT event_id) FROM logs")
    assert count == distinct
    assert query(second, "SELECT sum(events) FROM activity") == [(count,)]
    assert query(second, "SELECT count(*) FROM logs WHERE source_host NOT IN (SELECT source_host FROM hosts)") == [(0,)]
    assert [row for row in query(second, "SELECT name, slot FROM leases WHERE name = 'ingestor'") if row[1] != 1] == []


def missing(up: Running, wanted: list[str]) -> set[str]:
    return {*wanted} - {str(row[0]) for row in query(up, "SELECT event_id FROM logs WHERE source_host = 'over-http'")}
