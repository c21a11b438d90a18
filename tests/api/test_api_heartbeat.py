from __future__ import annotations

import json
import re
import socket

import httpx
import pytest
from api_parts import Api, Broker, Ingestor
from waiting import wait_until


def beat(api: Api, **headers: str) -> httpx.Response:
    return api.client.post("/heartbeat", headers=headers)


@pytest.mark.mosquitto
def test_a_heartbeat_is_answered_in_the_agreed_words_once_the_broker_has_it(api: Api, ingestor: Ingestor) -> None:
    answer = beat(api, source_host="web-01", os_type="LINUX")
    assert answer.status_code == 200
    content = answer.json()
    assert list(content) == ["success", "message", "timestamp"]
    assert content["success"] is True
    assert content["message"] == "Heartbeat recorded for web-01"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", content["timestamp"])
    wait_until(lambda: ingestor.beats, "the ingestor has it")
    message = ingestor.beats[0]
    assert message.topic == "heimdall/v1/hosts/web-01/heartbeat"
    assert json.loads(message.payload) == {"os_type": "LINUX", "interval_s": 60}
    assert message.properties.MessageExpiryInterval <= 120
    assert not message.retain


@pytest.mark.mosquitto
def test_both_spellings_of_the_headers_and_lower_case_systems_are_taken(api: Api, ingestor: Ingestor) -> None:
    assert beat(api, **{"source-host": "web-02", "os-type": "windows"}).status_code == 200
    wait_until(lambda: ingestor.beats, "the ingestor has it")
    assert json.loads(ingestor.beats[0].payload)["os_type"] == "WINDOWS"


@pytest.mark.mosquitto
def test_a_heartbeat_that_nobody_takes_is_503_with_retry_after(api: Api) -> None:
    answer = beat(api, source_host="web-01", os_type="LINUX")
    assert answer.status_code == 503
    assert answer.headers["retry-after"].isdigit()
    assert "ingestor" in answer.json()["detail"]


def test_a_heartbeat_while_the_broker_is_away_is_503_with_retry_after(lone_api: Api) -> None:
    answer = beat(lone_api, source_host="web-01", os_type="LINUX")
    assert answer.status_code == 503
    assert answer.headers["retry-after"].isdigit()
    assert answer.json()["type"] == "/docs/problems#unavailable"


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({"os_type": "LINUX"}, "source_host is missing"),
        ({"source_host": "web-01"}, "os_type is missing"),
        ({"source_host": "web 01", "os_type": "LINUX"}, "A-Z a-z 0-9"),
        ({"source_host": "..", "os_type": "LINUX"}, "A-Z a-z 0-9"),
        ({"source_host": "a/b", "os_type": "LINUX"}, "A-Z a-z 0-9"),
        ({"source_host": "#", "os_type": "LINUX"}, "A-Z a-z 0-9"),
        ({"source_host": "x" * 254, "os_type": "LINUX"}, "1 to 253"),
        ({"source_host": "web-01", "os_type": "BEOS"}, "WINDOWS, LINUX, MACOS, PIHOLE, FIREWALL"),
    ],
)
def test_headers_that_do_not_fit_are_refused_with_what_would(lone_api: Api, headers: dict[str, str], said: str) -> None:
    answer = beat(lone_api, **headers)
    assert answer.status_code == 422
    assert said in answer.json()["detail"]


def test_headers_of_raw_bytes_do_no_harm(lone_api: Api) -> None:
    lines = [
        b"POST /heartbeat HTTP/1.1", b"Host: localhost", b"api-key: " + lone_api.key.encode(),
        b"source_host: \xff\xfe\xe2\x80\xae", b"os_type: LINUX", b"content-length: 0", b"connection: close",
    ]  # fmt: skip
    with socket.create_connection(("127.0.0.1", lone_api.settings.http_port)) as raw:
        raw.sendall(b"\r\n".join(lines) + b"\r\n\r\n")
        assert b" 422 " in raw.makefile("rb").readline()


@pytest.mark.mosquitto
def test_a_system_status_is_a_heartbeat_and_becomes_the_hosts_retained_info(api: Api, ingestor: Ingestor) -> None:
    status = {"source_host": "web-01", "os_type": "linux", "cpu_percent": 12.5, "note": "<b>ü</b>"}
    answer = api.client.post("/system-status", json={"status": status})
    assert answer.status_code == 200
    assert list(answer.json()) == ["success", "message", "timestamp"]
    wait_until(lambda: ingestor.beats and ingestor.infos, "the ingestor has both")
    assert len(ingestor.beats) == 1
    message = ingestor.infos[0]
    assert message.topic == "heimdall/v1/hosts/web-01/info"
    assert json.loads(message.payload) == status | {"os_type": "LINUX"}


@pytest.mark.parametrize(
    "body",
    [
        b"[]", b"{}", b'{"status": 1}', b'{"status": {"source_host": "web-01"}}',
        b'{"status": {"source_host": "..", "os_type": "LINUX"}}',
        b'{"status": {"source_host": "web-01", "os_type": "LINUX", "note": "\\u0000"}}',
        b'{"status": {"source_host": "web-01", "os_type": "LINUX", "note": "\\ud800"}}',
        b'{"status": {"source_host": "web-01", "os_type": "LINUX", "note": "' + b"x" * 70_000 + b'"}}',
    ],
)  # fmt: skip
def test_a_system_status_that_does_not_fit_is_422(lone_api: Api, body: bytes) -> None:
    assert lone_api.client.post("/system-status", content=body).status_code == 422


@pytest.mark.mosquitto
def test_a_broker_that_dies_is_said_and_one_that_returns_is_found_again(api: Api, broker: Broker) -> None:
    broker.kill()
    wait_until(lambda: api.bridge.state() != "ok", "the bridge has noticed")
    assert beat(api, source_host="web-01", os_type="LINUX").status_code == 503
    broker.start()
    ingestor = Ingestor(broker.port)
    ingestor.start()
    try:
        wait_until(lambda: beat(api, source_host="web-01", os_type="LINUX").status_code == 200, "heartbeats go again")
    finally:
        ingestor.stop()
