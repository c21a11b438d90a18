"""From an agent to `GET /hosts`: real processes, real brokers."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import subprocess
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import httpx
import paho.mqtt.client as mqtt
import pytest
from heimdall_home import HOST, Running, login_link
from sqlite_file import opened
from waiting import wait_until

from core.clock import parse_time, rfc3339, utc_now
from core.ids import uuid7
from core.topics import host_topic

LINE = "Nov 23 06:55:46 web-01 sshd[24200]: Failed password for root from 203.0.113.9 port 38926 ssh2\n"


def rows(up: Running, query: str, *values: object) -> list[tuple[object, ...]]:
    with opened(up.home.path / "mini_siem.db") as database:
        return database.execute(query, values).fetchall()


def publish(up: Running, user: str, topic: str, payload: bytes, retain: bool = False) -> None:
    """Publish as a client of the broker would that knows nothing of Heimdall's agent."""
    credential = up.credential(user)
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, f"{credential.user}-test", protocol=mqtt.MQTTv5)
    client.username_pw_set(*credential)
    client.connect("127.0.0.1", up.mqtt_port)
    client.loop_start()
    client.publish(topic, payload, qos=1, retain=retain).wait_for_publish(10)
    client.disconnect()
    client.loop_stop()


def retained(up: Running, topic: str) -> list[bytes]:
    """What the broker keeps on `topic`: it sends that before the sign of life that it keeps too."""
    seen: dict[str, bytes] = {}
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, "@ops-look", protocol=mqtt.MQTTv5)
    client.username_pw_set(*up.credential("ops"))
    client.on_message = lambda _client, _data, message: seen.update({message.topic: message.payload})
    client.on_connect = lambda client, *_: client.subscribe([(topic, 0), ("heimdall/v1/services/#", 0)])
    client.connect("127.0.0.1", up.mqtt_port)
    client.loop_start()
    wait_until(lambda: any("/services/" in name for name in seen))
    client.disconnect()
    client.loop_stop()
    return [payload for name, payload in seen.items() if name == topic]


def event(host: str, **changed: object) -> dict[str, object]:
    return {
        "event_id": str(uuid7()), "timestamp": rfc3339(utc_now()), "source_host": host, "os_type": "LINUX",
        "event_type": "LOGIN_FAIL", "severity": 3, "source_ip": "203.0.113.9", "user": "root",
        "raw_message": "Failed password for root", **changed,
    }  # fmt: skip


def heartbeat(up: Running, host: str, os_type: str = "LINUX") -> httpx.Response:
    headers = {"api-key": up.key, "source_host": host, "os_type": os_type}
    return httpx.post(f"{up.url}/heartbeat", headers=headers, timeout=20)


def ingest(up: Running, body: object, **headers: str) -> httpx.Response:
    return httpx.post(f"{up.url}/ingest", json=body, headers={"api-key": up.key, **headers}, timeout=20)


def test_this_machines_agent_is_active_and_has_made_no_event(up: Running) -> None:
    host = wait_until(lambda: up.host(HOST), what="this machine's own agent")
    assert host["os_type"] == "LINUX"
    assert HOST in [active["hostname"] for active in up.get("/hosts")["active_hosts"]]


def test_an_event_that_the_agent_reads_is_in_logs_and_its_host_is_active(up: Running, tmp_path: Path) -> None:
    before = up.get("/events", source_host=HOST, limit=1000)["events"]
    log = tmp_path / "auth.log"
    log.write_text(LINE * 3)
    done = up.run("agent", "--kind", "linux", "--read", str(log), "--once")
    assert done.returncode == 0, done.stderr
    after = up.get("/events", source_host=HOST, limit=1000)["events"]
    assert len(after) - len(before) == 3
    assert (after[0]["event_type"], after[0]["source_ip"], after[0]["user"]) == ("LOGIN_FAIL", "203.0.113.9", "root")
    assert up.host(HOST)["total_events"] == len(after)

    again = up.run("agent", "--kind", "linux", "--read", str(log), "--once")
    assert again.returncode == 0, again.stderr
    assert len(up.get("/events", source_host=HOST, limit=1000)["events"]) == len(after), "the same file adds nothing"


def test_a_host_with_heartbeats_alone_is_active_and_logs_stay_empty(up: Running) -> None:
    assert heartbeat(up, "only-beats").status_code == 200
    host = wait_until(lambda: up.host("only-beats"))
    assert host["total_events"] == 0
    assert rows(up, "SELECT count(*) FROM logs WHERE source_host = 'only-beats'") == [(0,)]


def test_a_host_with_events_alone_appears_and_is_judged_by_them(up: Running) -> None:
    publish(up, "api", host_topic("only-events", "events"), json.dumps(event("only-events")).encode())
    host = wait_until(lambda: up.host("only-events"))
    assert (host["total_events"], host["os_type"]) == (1, "LINUX")


def test_a_heartbeat_takes_precedence_over_old_events(up: Running) -> None:
    long_ago = rfc3339(utc_now() - timedelta(days=20))
    assert ingest(up, event("old-news", timestamp=long_ago)).status_code == 200
    wait_until(lambda: up.host("old-news"))
    answer = heartbeat(up, "old-news").json()
    answered = parse_time(answer["timestamp"])
    # the clock is the ingestor's: what the broker has and what is stored lie a moment apart
    wait_until(lambda: parse_time(up.host("old-news")["last_seen"]) >= answered - timedelta(seconds=2))
    assert up.host("old-news")["total_events"] == 1


def test_the_threshold_moves_a_host_from_active_to_inactive(up: Running) -> None:
    heartbeat(up, "moves")
    wait_until(lambda: up.host("moves"))
    active = up.get("/hosts", inactive_threshold=15)
    assert "moves" in [host["hostname"] for host in active["active_hosts"]]
    # a thousandth of a second, in minutes
    inactive = up.get("/hosts", inactive_threshold=0.001 / 60)
    assert "moves" in [host["hostname"] for host in inactive["inactive_hosts"]]
    assert inactive["total_inactive"] == len(inactive["inactive_hosts"])


@pytest.mark.curl
def test_the_documented_curl_calls_work_letter_for_letter(up: Running) -> None:
    script = f"""
    KEY=$(cat {up.home.api_key})
    curl -sS -X POST {up.url}/heartbeat -H "api-key: $KEY" -H "source_host: test-host" -H "os_type: LINUX"
      -H "api-key: $KEY" -H "source_host: test-host" -H "os_type: LINUX"
    echo
    curl -sS -H "api-key: $KEY" {up.url}/hosts
    """
    environment = {**up.environment, "no_proxy": "127.0.0.1", "NO_PROXY": "127.0.0.1"}
    wait_until(lambda: heartbeat(up, "test-host").status_code == 200)
    out = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True, env=environment).stdout
    first, second = (json.loads(line) for line in out.splitlines())
    assert (first["success"], first["message"]) == (True, "Heartbeat recorded for test-host")
    assert parse_time(first["timestamp"]) <= utc_now()
    assert set(second) == {
        "success", "active_hosts", "inactive_hosts", "threshold_minutes", "total_active", "total_inactive",
    }  # fmt: skip
    assert wait_until(lambda: up.host("test-host"))


def test_what_the_http_versions_agents_send_is_stored_once(up: Running) -> None:
    """Header names with a hyphen, ids of any text, an offset followed by Z, the same batch again."""
    when = "2025-12-03T20:49:50.123456+00:00Z"
    body = {"events": [event("old-agent", event_id="old-agent-failed-pwd-0cc175b9", timestamp=when)]}
    for _ in range(2):
        answer = ingest(up, body, **{"source-host": "old-agent", "os-type": "LINUX"})
        assert (answer.status_code, answer.json()["events_processed"]) == (200, 1)
    wait_until(lambda: up.host("old-agent"))
    status = {"status": {"source_host": "old-agent", "os_type": "LINUX", "cpu": 12.5}}
    assert httpx.post(f"{up.url}/system-status", json=status, headers={"api-key": up.key}).status_code == 200
    wait_until(lambda: up.get("/hosts/old-agent")["info"] and True)
    assert up.host("old-agent")["total_events"] == 1


def test_a_poison_message_goes_to_the_dead_letters_and_its_neighbours_are_stored(up: Running) -> None:
    good = [event("poisoned"), event("poisoned")]
    bad = [
        event("poisoned", severity=9),
        {"event_id": str(uuid4())},
        event("somebody-else"),
        event("poisoned", raw_message="\0"),
    ]
    publish(up, "api", host_topic("poisoned", "events"), json.dumps([good[0], *bad, good[1]]).encode())
    publish(up, "api", host_topic("poisoned", "events"), b"\xff not json")
    publish(up, "api", host_topic("poisoned", "heartbeat"), b'{"os_type":"AMIGA"}')
    wait_until(lambda: (h := up.host("poisoned")) and h["total_events"] == 2)
    wait_until(lambda: rows(up, "SELECT count(*) FROM dead_letters WHERE source_host = 'poisoned'") == [(6,)])
    reasons = " ".join(
        str(reason) for (reason,) in rows(up, "SELECT reason FROM dead_letters WHERE source_host = 'poisoned'")
    )
    for word in ("severity", "timestamp", "somebody-else", "NUL", "os_type"):
        assert word in reasons


def test_a_retained_event_is_stored_once_and_cleared_from_mosquitto(up: Running) -> None:
    topic = host_topic("retains", "events")
    publish(up, "api", topic, json.dumps(event("retains")).encode(), retain=True)
    wait_until(lambda: (h := up.host("retains")) and h["total_events"] == 1)

    if up.broker == "mosquitto":  # the embedded broker does not pass the flag on
        wait_until(lambda: retained(up, topic) == [])
    assert rows(up, "SELECT count(*) FROM dead_letters WHERE source_host = 'retains'") == [(0,)]


def test_the_same_id_with_another_body_keeps_the_first(up: Running) -> None:
    first = event("conflict")
    for body in (first, {**first, "raw_message": "something else"}):
        publish(up, "api", host_topic("conflict", "events"), json.dumps(body).encode())
    wait_until(lambda: rows(up, "SELECT reason FROM dead_letters WHERE source_host = 'conflict'"))
    assert rows(up, "SELECT raw_message FROM logs WHERE source_host = 'conflict'") == [(first["raw_message"],)]


@pytest.mark.sqlite3
def test_the_heartbeats_table_reads_well(up: Running) -> None:
    heartbeat(up, "readable")
    wait_until(lambda: up.host("readable"))
    out = subprocess.run(
        ["sqlite3", str(up.home.path / "mini_siem.db"), "SELECT * FROM heartbeats ORDER BY last_seen DESC;"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    line = next(line for line in out.splitlines() if "readable" in line)
    assert parse_time(line.split("|")[3]).tzinfo is not None


def test_the_printed_link_logs_in_once(up: Running) -> None:
    link = login_link(up.run("login").stdout)
    with httpx.Client(follow_redirects=True) as browser:
        assert browser.get(link).status_code == 200
        assert browser.get(f"{up.url}/hosts").status_code == 200
    with httpx.Client(follow_redirects=True) as thief:
        assert thief.get(link).status_code >= 400
        assert thief.get(f"{up.url}/hosts").status_code == 401


@pytest.mark.parametrize("name", ["Grüße", "a b", "../x", "", "x" * 254, "."])
def test_a_host_name_that_cannot_be_one_is_refused_with_what_would_fit(up: Running, name: str) -> None:
    answer = httpx.post(
        f"{up.url}/heartbeat", headers={"api-key": up.key.encode(), "source_host": name.encode(), "os_type": b"LINUX"}
    )
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"


def test_ops_can_tail_everything_and_sees_no_password(up: Running) -> None:
    credential = up.credential("ops")
    seen: list[str] = []
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, "@ops-tail", protocol=mqtt.MQTTv5)
    client.username_pw_set(*credential)
    client.on_message = lambda _client, _data, message: seen.append(f"{message.topic} {message.payload!r}")
    client.on_connect = lambda client, *_: client.subscribe("heimdall/#", qos=0)
    client.connect("127.0.0.1", up.mqtt_port)
    client.loop_start()
    wait_until(lambda: any("/services/ingestor/" in line for line in seen))
    heartbeat(up, "tailed")
    wait_until(lambda: any("hosts/tailed/heartbeat" in line for line in seen))
    client.disconnect()
    client.loop_stop()
    secrets = [up.key, *(up.credential(name).password for name in ("ingestor", "api", "ops", "agent"))]
    logs = " ".join(path.read_text() for path in up.home.logs.iterdir()) + " ".join(seen) + up.printed()
    assert not [secret for secret in secrets if secret in logs]


def test_readyz_names_a_database_that_another_program_has_locked(up: Running) -> None:
    def state() -> str:
        return str(httpx.get(f"{up.url}/readyz").json()["parts"]["ingestor"])

    with contextlib.closing(sqlite3.connect(up.home.path / "mini_siem.db", timeout=30, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert heartbeat(up, "waits").status_code == 200
        assert ingest(up, event("waits")).status_code == 200, "events are accepted meanwhile"
        wait_until(lambda: "commit" in state())
        other.execute("ROLLBACK")
    wait_until(lambda: state() == "ok")
    wait_until(lambda: (h := up.host("waits")) and h["total_events"] == 1)
