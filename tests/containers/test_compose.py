"""`docker compose up` as it is written in the repository: ready without a further step, closed, kept at a restart."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from waiting import free_port, wait_until

from broker.handshake import prove_closed
from core.clock import rfc3339, utc_now
from core.ids import uuid7
from core.settings import BrokerAddress

ROOT = Path(__file__).parents[2]
START_SECONDS = 600  # the image is built first
pytestmark = [pytest.mark.docker, pytest.mark.timeout(START_SECONDS + 180)]


class Compose:
    """A compose project of its own name on ports of its own."""

    def __init__(self, profile: str) -> None:
        self.project = f"heimdall-test-{os.getpid()}-{profile}"
        self.http_port, self.mqtt_port = free_port(), free_port()
        self._environment = os.environ | {
            "COMPOSE_PROFILES": profile,
            "HEIMDALL_HTTP_PORT": str(self.http_port),
            "HEIMDALL_MQTT_PORT": str(self.mqtt_port),
        }
        self.key = ""

    def run(self, *arguments: str) -> str:
        """The standard output of `docker compose …`; fails with all that it said."""
        done = subprocess.run(
            ["docker", "compose", "--project-name", self.project, *arguments],
            cwd=ROOT, env=self._environment, capture_output=True, text=True, timeout=START_SECONDS, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            pytest.fail(f"docker compose {' '.join(arguments)}: {done.stdout}{done.stderr}")
        return done.stdout

    def up(self) -> None:
        self.run("up", "--detach", "--build", "--wait")
        self.key = self.run("exec", "-T", "api", "cat", "/var/lib/heimdall/api-key").strip()

    def call(self, path: str, body: object = None, **headers: str) -> Any:
        request = Request(
            f"http://127.0.0.1:{self.http_port}{path}",
            data=None if body is None else json.dumps(body).encode(),
            headers={"api-key": self.key, "content-type": "application/json", **headers},
        )
        with urlopen(request, timeout=10) as answer:
            return json.load(answer)

    def host(self, name: str) -> dict[str, Any]:
        hosts = self.call("/hosts")["active_hosts"]
        return next((host for host in hosts if host["hostname"] == name), {})


@pytest.fixture(scope="module", params=["postgresql", "sqlite"])
def compose(request: pytest.FixtureRequest) -> Iterator[Compose]:
    project = Compose(request.param)
    try:
        project.up()
        yield project
    finally:
        project.run("down", "--volumes", "--timeout", "10")


def test_a_heartbeat_and_an_event_go_all_the_way(compose: Compose) -> None:
    event = {
        "event_id": str(uuid7()), "timestamp": rfc3339(utc_now()), "source_host": "web-01", "os_type": "LINUX",
        "event_type": "LOGIN_FAIL", "severity": 3, "raw_message": "Failed password for root",
    }  # fmt: skip
    assert compose.call("/heartbeat", {}, source_host="web-01", os_type="LINUX")["success"] is True
    assert compose.call("/ingest", {"events": [event]})["events_processed"] == 1
    wait_until(lambda: compose.host("web-01").get("total_events") == 1, "the event is stored")


def test_hosts_are_judged_and_channels_can_be_told(compose: Compose) -> None:
    compose.call("/heartbeat", {}, source_host="judged-01", os_type="LINUX")
    wait_until(lambda: compose.host("judged-01").get("state") == "online", "it has a verdict")
    rules = "umask 077; printf '[notify.ops]\\nurl = \"json://127.0.0.1:9/x\"\\n' > /var/lib/heimdall/rules.toml"
    compose.run("exec", "-T", "watch", "sh", "-c", rules)
    told = compose.run("exec", "-T", "watch", "sh", "-c", "heimdall alerts test || true")
    assert "127.0.0.1 lies inside the network" in told, "apprise is there, and asked"
    wait_until(lambda: "the rules have changed: 1 channels: ops" in compose.run("logs", "watch"), "they are read")


def test_only_the_services_of_the_profile_run(compose: Compose) -> None:
    running = set(compose.run("ps", "--services", "--status", "running").split())
    assert running == {"broker", "ingestor", "watch", "api"} | ({"db"} if "postgresql" in compose.project else set())


def test_a_second_up_keeps_key_and_rows(compose: Compose) -> None:
    compose.call("/heartbeat", {}, source_host="kept-01", os_type="LINUX")
    wait_until(lambda: compose.host("kept-01"), "the heartbeat is stored")
    key = compose.key
    compose.run("down", "--timeout", "10")
    compose.up()
    assert compose.key == key
    assert compose.host("kept-01")


def test_the_broker_is_closed_to_strangers(compose: Compose) -> None:
    prove_closed(BrokerAddress("mqtt", "127.0.0.1", compose.mqtt_port))


def test_every_port_is_on_loopback_alone(compose: Compose) -> None:
    ids = compose.run("ps", "--quiet").split()
    inspected = json.loads(subprocess.run(["docker", "inspect", *ids], capture_output=True, check=True).stdout)
    bindings = [one for each in inspected for ports in each["NetworkSettings"]["Ports"].values() for one in ports or []]
    assert {(one["HostIp"], int(one["HostPort"])) for one in bindings} == {
        ("127.0.0.1", compose.http_port),
        ("127.0.0.1", compose.mqtt_port),
    }


def test_each_container_has_limits_and_broker_and_database_do_not_reach_each_other(compose: Compose) -> None:
    ids = compose.run("ps", "--quiet").split()
    inspected = json.loads(subprocess.run(["docker", "inspect", *ids], capture_output=True, check=True).stdout)
    networks = {}
    for each in inspected:
        assert 0 < each["HostConfig"]["Memory"] <= 4 << 30
        assert each["HostConfig"]["LogConfig"]["Config"]["max-size"] == "20m"
        service = each["Config"]["Labels"]["com.docker.compose.service"]
        networks[service] = {name.removeprefix(f"{compose.project}_") for name in each["NetworkSettings"]["Networks"]}
    assert networks["broker"] == {"messages"}
    assert networks.get("db", {"rows"}) == {"rows"}
    assert networks["ingestor"] == networks["watch"] == {"messages", "rows"}


def test_nothing_of_ours_runs_as_root_or_with_capabilities(compose: Compose) -> None:
    for service in ("api", "ingestor", "watch"):
        status = compose.run("exec", "-T", service, "cat", "/proc/1/status")
        fields = dict(line.split(":\t", 1) for line in status.splitlines())
        assert set(fields["Uid"].split()) == {"1883"}
        assert int(fields["CapEff"], 16) == 0


@pytest.mark.parametrize("compose", ["postgresql"], indirect=True)  # one minute's wait is enough
def test_the_logs_tell_once_a_minute_whether_heartbeats_come_and_never_the_key(compose: Compose) -> None:
    def counts() -> list[str]:
        return [line for line in compose.run("logs", "--tail=20").splitlines() if "heartbeat" in line]

    compose.call("/heartbeat", {}, source_host="web-02", os_type="LINUX")
    wait_until(lambda: any(re.search(r"[1-9]\d* heartbeats", line) for line in counts()), "the minute is told", 90)
    assert all("last minute" in line for line in counts())
    assert compose.key not in compose.run("logs")


def test_a_login_link_leads_to_this_machines_port(compose: Compose) -> None:
    link = compose.run("exec", "-T", "api", "heimdall", "login").strip()
    assert link.startswith(f"http://127.0.0.1:{compose.http_port}/login?token=")
