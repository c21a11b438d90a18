"""`heimdall up`: starts quickly, restarts what dies, says clearly what is wrong, leaves nothing behind."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from pathlib import Path

import httpx
import pytest
from heimdall_home import Running, processes_of, running
from sqlite_file import opened
from waiting import wait_until

from core.home import Home

BROKERS = [pytest.param("mosquitto", marks=pytest.mark.mosquitto), "embedded"]


@pytest.mark.parametrize("broker", BROKERS)
def test_ctrl_c_stops_all_and_leaves_nothing(broker: str) -> None:
    with running(broker) as up:
        assert len(processes_of(up.home.path)) >= 5
        assert up.stop(signal.SIGINT) == 0
        wait_until(lambda: not processes_of(up.home.path), "the last process is gone", 10)
        for port in (up.http_port, up.mqtt_port):
            with socket.socket() as probe:
                assert probe.connect_ex(("127.0.0.1", port)) != 0


@pytest.mark.mosquitto
def test_a_killed_supervisor_takes_its_children_along() -> None:
    with running() as up:
        assert up.process is not None
        up.process.kill()
        up.process.wait()
        wait_until(lambda: not processes_of(up.home.path), "the last process is gone", 15)


@pytest.mark.parametrize("broker", BROKERS)
def test_what_dies_is_started_again_and_goes_on_working(broker: str) -> None:
    with running(broker) as up:
        for name in ("broker", "ingest", "watch", "api", "agent"):
            before = up.children()[name]
            os.kill(before, signal.SIGKILL)
            wait_until(lambda name=name, before=before: up.children().get(name, before) != before, seconds=10)
        assert "killed by SIGKILL" in up.printed()

        def beats() -> bool:
            headers = {"api-key": up.key, "source_host": "after", "os_type": "LINUX"}
            try:
                return httpx.post(f"{up.url}/heartbeat", headers=headers).status_code == 200
            except httpx.TransportError:
                return False

        wait_until(beats, seconds=40)
        wait_until(lambda: up.host("after"))
        for host in ("after", up.environment["HEIMDALL_HOST"]):
            wait_until(lambda host=host: (up.host(host) or {}).get("state") == "online", f"{host} is held to be online")


def test_a_second_up_on_the_same_home_is_refused(up: Running) -> None:
    second = up.run("up")
    assert (second.returncode, second.stderr.count("\n")) == (1, 1)
    assert str(up.home.path) in second.stderr
    assert "HEIMDALL_HOME" in second.stderr


def test_a_port_that_was_asked_for_and_is_in_use_is_named(tmp_path: Path) -> None:
    with running(start=False) as up, socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        for name in ("HEIMDALL_HTTP_PORT", "HEIMDALL_MQTT_PORT"):
            refused = up.run("up", **{name: port})
            assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
            assert f"{name}={port} is in use" in refused.stderr


def test_a_port_that_was_not_asked_for_becomes_the_next_free_one() -> None:
    with running("embedded", start=False) as up, socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        up.home.prepare()
        up.home.ports.write_text(f"http={taken.getsockname()[1]}\nmqtt={up.mqtt_port}\n")
        for name in ("HEIMDALL_HTTP_PORT", "HEIMDALL_MQTT_PORT"):
            del up.environment[name]
        up.start()
        ports = dict(line.split("=") for line in up.home.ports.read_text().split())
        assert ports["http"] != str(taken.getsockname()[1])
        assert f"HTTP uses {ports['http']}" in up.printed()
        assert httpx.get(f"http://127.0.0.1:{ports['http']}/livez").status_code == 200


def test_an_unwritable_home_is_named(tmp_path: Path) -> None:
    file = tmp_path / "a-file"
    file.touch()
    with running(start=False) as up:
        refused = up.run("up", HEIMDALL_HOME=str(file / "home"))
        assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
        assert "HEIMDALL_HOME" in refused.stderr


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HEIMDALL_HTTP_PORT", "eighty"), ("HEIMDALL_MQTT_PORT", "70000"), ("HEIMDALL_KEEP", "soon"),
        ("HEIMDALL_BIND", "everywhere"), ("HEIMDALL_DATABASE_URL", "mysql://x"), ("HEIMDALL_BROKER_URL", "amqp://x"),
        ("HEIMDALL_HOST", "Grüße"), ("SIEM_API_KEY", "short"), ("SIEM_API_URL", "ftp://x"),
    ],
)  # fmt: skip
def test_a_broken_setting_is_named_in_one_line(name: str, value: str) -> None:
    with running(start=False) as up:
        refused = up.run("up", **{name: value})
        assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
        assert name in refused.stderr


def command_lines() -> str:
    """What any user of the machine sees of every process."""
    shown = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                shown.append((entry / "cmdline").read_bytes().decode(errors="replace"))
    return "\n".join(shown)


def test_secrets_are_for_the_owner_alone(up: Running) -> None:
    assert up.home.path.stat().st_mode & 0o777 == 0o700
    wide = [path for path in up.home.path.rglob("*") if path.is_file() and path.stat().st_mode & 0o077]
    assert wide == []
    for name in ("ingestor", "watch", "keeper", "api", "ops", "agent"):
        user, _, password = Home(up.home.path).credential_path(name).read_text().strip().partition(":")
        assert user == (up.environment["HEIMDALL_HOST"] if name == "agent" else f"@{name}")
        assert len(password) >= 32
        shown = command_lines()
        assert password not in shown


def test_a_database_of_the_http_version_is_opened_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    with opened(path) as database:
        database.execute(
            "CREATE TABLE logs (id INTEGER PRIMARY KEY, event_id VARCHAR UNIQUE NOT NULL, timestamp VARCHAR, "
            "source_host VARCHAR, os_type VARCHAR, event_type VARCHAR, severity INTEGER, source_ip VARCHAR, "
            "user VARCHAR, raw_message TEXT, created_at VARCHAR)"
        )
        database.executemany(
            "INSERT INTO logs (event_id, timestamp, source_host, os_type, event_type, severity, source_ip, user, "
            "raw_message, created_at) VALUES (?, '2025-12-03T20:49:50.123456+00:00Z', ?, 'LINUX', 'LOGIN_FAIL', 3, "
            "'N/A', 'root', 'x', '2025-12-03T20:49:51.123456+00:00Z')",
            [(f"host-{n % 42}-failed-pwd-{n}", f"host-{n % 42}") for n in range(42_000)],
        )
    with running("embedded", HEIMDALL_DATABASE_URL=f"sqlite:///{path}") as up:
        hosts = {host["hostname"]: host for host in up.get("/hosts")["inactive_hosts"]}
        assert all(hosts[f"host-{n}"]["total_events"] == 1_000 for n in range(42))
        newest = up.get("/events", source_host="host-0", limit=1)["events"][0]
        assert newest["event_id"] == "host-0-failed-pwd-41958"
        again = {
            "event_id": "host-0-failed-pwd-0",
            "timestamp": "2025-12-03T20:49:50.123456+00:00Z",
            "source_host": "host-0",
            "os_type": "LINUX",
            "event_type": "LOGIN_FAIL",
            "severity": 3,
            "user": "root",
            "raw_message": "x",
        }
        events = [again, {**again, "event_id": "host-0-failed-pwd-new"}]
        answer = httpx.post(f"{up.url}/ingest", json={"events": events}, headers={"api-key": up.key})
        assert answer.json()["events_processed"] == 2
        wait_until(lambda: up.host("host-0")["total_events"] == 1_001, what="the new event, and it alone")
