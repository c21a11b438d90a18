"""A client that heeds no back-pressure is disabled before it starves the others, and what it had queued is dropped."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from pathlib import Path

import httpx
import mqtt5
import pytest
from heimdall_home import Running, outside, running
from test_enrolment import SECRET, ask, keeper_log
from waiting import wait_until

from core import topics
from core.clock import utc_now
from core.home import Home
from core.ids import uuid7
from core.messages import Event, Heartbeat, encode
from store import Store, open_store

TESTS = Path(__file__).parent.parent
INTERVAL_SECONDS = 4.0
DATABASES = ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)]


@pytest.fixture(scope="module", params=DATABASES)
def up(request: pytest.FixtureRequest) -> Iterator[Running]:
    with contextlib.ExitStack() as stack:
        environment = {}
        if request.param == "postgresql":
            from postgresql_server import database

            environment["HEIMDALL_DATABASE_URL"] = stack.enter_context(database())
        started = stack.enter_context(running("mosquitto", **environment))
        wait_until(lambda: "connected to the broker" in keeper_log(started), "the keeper has connected")
        yield started


@pytest.fixture
def store(up: Running) -> Iterator[Store]:
    url = up.environment.get("HEIMDALL_DATABASE_URL", f"sqlite:///{up.home.path / 'mini_siem.db'}")
    with contextlib.closing(open_store(url)) as opened:
        yield opened


def enroll(up: Running, host: str, secret: str = SECRET, *options: str) -> None:
    answer = ask(up, up.make_token(host, *options), host, secret)
    assert answer.status_code == 200, answer.text


@contextlib.contextmanager
def agent(up: Running, folder: Path, host: str, count: int, **more: str) -> Iterator[Home]:
    """A real agent of `host`, enrolled here, which makes `count` events."""
    home = Home(folder / host)
    home.prepare()
    enroll(up, host, home.make_credential("agent", host).password)
    environment = {
        **outside(), "HEIMDALL_HOME": str(home.path), "HEIMDALL_HOST": host, "PYTHONPATH": str(TESTS.parent),
        "HEIMDALL_BROKER_URL": f"mqtt://127.0.0.1:{up.mqtt_port}", "TEST_MS": str(int(time.time() * 1000)),
        "TEST_PATIENCE": "10", "TEST_INTERVAL": str(INTERVAL_SECONDS), **more,
    }  # fmt: skip
    with (folder / f"{host}.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, str(TESTS / "faults" / "numbered_agent.py"), str(count)],
            env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip
        try:
            yield home
        finally:
            process.kill()
            process.wait()


@contextlib.contextmanager
def mad(
    up: Running, folder: Path, host: str, user: str, password: str, pause: str = "0"
) -> Iterator[Callable[[], list[str]]]:
    """A mad agent; what has happened to it, as its last words."""
    said = folder / f"{host}.txt"
    with said.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, str(TESTS / "security" / "mad_client.py"), str(up.mqtt_port), host, user, pause],
            env={**os.environ, "PYTHONPATH": str(TESTS.parent)}, stdin=subprocess.PIPE, stdout=out,
        )  # fmt: skip
        try:
            assert process.stdin is not None
            process.stdin.write(password.encode() + b"\n")
            process.stdin.flush()
            yield lambda: said.read_text().splitlines()
        finally:
            process.kill()
            process.communicate()


def publish(up: Running, host: str, messages: Iterable[tuple[str, bytes]]) -> None:
    """Publish `messages`, kind and payload, as `host`, and wait for the PUBACKs."""
    with socket.create_connection(("127.0.0.1", up.mqtt_port), timeout=10) as broker:
        broker.sendall(mqtt5.ConnectPacket(host, username=host, password=SECRET.encode()).write())
        assert broker.recv(1024)[3] == 0
        for number, (kind, payload) in enumerate(messages, 1):
            packet = mqtt5.PublishPacket(
                topics.host_topic(host, kind), payload, qos=mqtt5.QoS.AT_LEAST_ONCE, packet_id=number
            )
            broker.sendall(packet.write())
            assert broker.recv(1024)[0] == 0x40


def events_of(host: str, count: int) -> list[tuple[str, bytes]]:
    made = (Event(uuid7(), utc_now(), host, "LINUX", "LOGIN_FAIL", 3, f"number {number}") for number in range(count))
    return [(topics.EVENTS, encode(event)) for event in made]


def stored(up: Running, host: str) -> int:
    found = up.host(host)
    return int(found["total_events"]) if found else 0


def metric(up: Running, name: str) -> int:
    text = httpx.get(f"{up.url}/metrics", headers={"api-key": up.key}).text
    found = re.search(rf"^heimdall_ingestor_{name}_total{{.*}} (\S+)$", text, re.MULTILINE)
    return int(float(found[1])) if found else 0


def acts(up: Running, action: str) -> list[dict[str, str]]:
    return [entry for entry in json.loads(up.run("audit", "--json").stdout) if entry["action"] == action]


class Gaps:
    """The longest time that the database held one `last_seen` of a host, looked at as often as asked."""

    def __init__(self, store: Store, host: str) -> None:
        self._store, self._host = store, host
        self.longest_seconds = 0.0
        self.changes = 0
        self._seen: datetime | None = None

    def look(self) -> None:
        found = self._store.get_host(self._host)
        assert found is not None
        assert found.last_seen is not None
        if found.last_seen != self._seen:
            self._seen, self.changes = found.last_seen, self.changes + 1
        self.longest_seconds = max(self.longest_seconds, (utc_now() - found.last_seen).total_seconds())


def test_a_mad_agent_is_disabled_and_the_others_heartbeats_are_on_time_throughout(
    up: Running, store: Store, tmp_path: Path
) -> None:
    enroll(up, "mad-01")
    # one that only beats, for events are signs of life too; and one whose events are to flow again
    with agent(up, tmp_path, "beating", 0), agent(up, tmp_path, "calm", 10**9, TEST_AT_ONCE="2", TEST_PAUSE="0.1"):
        wait_until(lambda: up.host("beating") and stored(up, "calm"), "both are alive")
        started = Gaps(store, "beating")
        # from its connection to its second beat an agent takes up to two intervals
        wait_until(lambda: (started.look(), started.changes)[1] > 1, "it beats each interval")
        gaps = Gaps(store, "beating")

        def until(condition: Callable[[], object], what: str, seconds: float = 60) -> None:
            wait_until(lambda: (gaps.look(), condition())[1], what, seconds)

        with mad(up, tmp_path, "mad-01", "mad-01", SECRET) as said:
            until(lambda: "cut" in said(), "the mad one is cut off")
            # 0x87: not authorized, again and again
            until(lambda: said()[-3:] == ["refused 135"] * 3, "it does not come back")
            until(lambda: flows(store, "calm"), "what the other makes is stored as it is made", 30)
        changes = gaps.changes
        until(lambda: gaps.changes > changes + 1, "it beats on")
        assert gaps.longest_seconds < 2 * INTERVAL_SECONDS
    [act] = acts(up, "host.disabled")
    assert (act["who"], act["target"]) == ("ingestor", "mad-01")
    assert "mad-01 is above its limit" in (up.home.logs / "ingest.log").read_text()
    wait_until(lambda: metric(up, "hosts_disabled"), "the metric tells")
    comes_back(up, "mad-01")


def flows(store: Store, host: str) -> bool:
    """Whether three things that `host` made after one another were stored within a second of when they were made."""
    for _ in range(3):
        before = store.get_host(host)
        assert before is not None
        end = time.monotonic() + 1.0
        while store.get_host(host).total_events == before.total_events:  # type: ignore[union-attr]
            if time.monotonic() > end:
                return False
            time.sleep(0.02)
    return True


def comes_back(up: Running, host: str) -> None:
    enroll(up, host, SECRET, "--replace")
    before = stored(up, host)
    publish(up, host, events_of(host, 5))
    wait_until(lambda: stored(up, host) == before + 5, "the host that was enrolled again is stored")


def test_an_agent_that_was_away_for_days_is_not_disabled_for_its_backlog(up: Running, tmp_path: Path) -> None:
    with agent(up, tmp_path, "backlog", 100_000, TEST_AT_ONCE="5000", TEST_PAUSE="0"):
        wait_until(lambda: stored(up, "backlog") == 100_000, "all of the backlog is stored")
    assert "backlog" not in [act["target"] for act in acts(up, "host.disabled")]


def test_what_a_revoked_host_had_queued_is_not_stored_and_what_another_had_is(up: Running) -> None:
    for host in ("revoked", "kept"):
        enroll(up, host)
    dropped = metric(up, "messages_dropped")
    ingestor = up.children()["ingest"]
    os.kill(ingestor, signal.SIGSTOP)
    try:
        for host in ("revoked", "kept"):
            beat = (topics.HEARTBEAT, encode(Heartbeat("LINUX")))
            publish(up, host, [beat, (topics.INFO, b'{"agent":"1"}'), *events_of(host, 50)])
        assert up.run("revoke", "revoked").returncode == 0
    finally:
        os.kill(ingestor, signal.SIGCONT)
    wait_until(lambda: stored(up, "kept") == 50, "what the other had queued is stored")
    wait_until(lambda: metric(up, "messages_dropped") == dropped + 52, "what was not stored is counted")
    assert up.host("revoked") is None
    comes_back(up, "revoked")
    assert stored(up, "revoked") == 5


def test_on_the_embedded_broker_what_a_mad_agent_sends_is_dropped_and_that_is_said(tmp_path: Path) -> None:
    with running("embedded") as up:
        login = up.credential("api")
        log = up.home.logs / "ingest.log"
        # it holds what waits in memory: not more than some 10,000 messages a second
        with mad(up, tmp_path, "mad-02", login.user, login.password, "0.01"):
            wait_until(lambda: "the embedded broker knows no identities" in log.read_text(), "it is said")
            wait_until(lambda: metric(up, "messages_dropped"), "what it sends is dropped")
