from __future__ import annotations

import logging
import socket
from typing import Any

import jsonschema
import pytest
from api_parts import Api, Ingestor
from waiting import wait_until

from api.problems import KINDS
from core.clock import utc_now

CALLS = [
    ("GET", "/nothing", 404, {}),
    ("GET", "/hosts/", 404, {}),
    ("PUT", "/hosts", 405, {}),
    ("GET", "/heartbeat", 405, {}),
    ("GET", "/hosts?inactive_threshold=x", 422, {}),
    ("POST", "/ingest", 400, {"content": b"{"}),
    ("POST", "/ingest", 413, {"content": b" " * (16 * 1024 * 1024 + 1)}),
    ("GET", "/hosts", 401, {"headers": {"api-key": ""}}),
    ("POST", "/heartbeat", 503, {"headers": {"source_host": "a", "os_type": "LINUX"}}),
]


@pytest.mark.parametrize(("method", "path", "status", "more"), CALLS, ids=range(len(CALLS)))
def test_every_error_is_a_problem_with_its_five_members(
    lone_api: Api, method: str, path: str, status: int, more: dict[str, Any]
) -> None:
    answer = lone_api.client.request(method, path, **more)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert {"type", "title", "status", "detail", "instance"} <= set(problem)
    assert problem["type"] == f"/docs/problems#{KINDS[status].slug}"
    assert (problem["status"], problem["instance"]) == (status, path.partition("?")[0])
    assert problem["detail"]


def test_a_wrong_method_is_told_the_right_ones(lone_api: Api) -> None:
    assert lone_api.client.put("/hosts").headers["allow"] == "GET"


def test_every_type_is_explained_where_it_points(lone_api: Api) -> None:
    page = lone_api.anyone.get("/docs/problems").text
    for kind in KINDS.values():
        assert f'id="{kind.slug}"' in page


def test_a_fault_of_ours_is_a_problem_without_its_inside(
    lone_api: Api, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("the inside")

    monkeypatch.setattr(lone_api.store, "walk_status", fail)
    answer = lone_api.client.get("/hosts")
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "the inside" not in answer.text
    assert "the inside" in caplog.text


@pytest.mark.parametrize("path", ["/", "/hosts", "/nothing", "/livez", "/docs"])
def test_every_answer_has_the_headers_that_protect(lone_api: Api, path: str) -> None:
    headers = lone_api.client.get(path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert "server" not in headers
    assert headers["cache-control"] == ("no-cache" if path == "/" else "no-store")


def test_the_log_has_a_line_a_request_but_none_for_a_heartbeat_and_no_secret(
    lone_api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "api.access")
    lone_api.client.post("/heartbeat", headers={"source_host": "a", "os_type": "LINUX"})
    lone_api.anyone.get("/livez")
    lone_api.client.get("/events?q=needle&limit=5")
    lone_api.anyone.get("/login?token=a-secret-token")
    lone_api.client.get("/hosts?api-key=a-secret-key")
    lone_api.client.get("/nothing%0d%0aFAKE%1b[31m%e2%80%ae")

    def lines_of_requests() -> list[str]:
        return [record.getMessage() for record in caplog.records if record.name == "api.access"]

    # a line is written once the answer has been sent, in the order of the requests
    lines = wait_until(lambda: "nothing" in "".join(lines_of_requests()) and lines_of_requests(), "the last line")
    assert len(lines) == 4
    assert "GET /events?q=needle&limit=5 200" in lines[0]
    assert "secret" not in "".join(lines)
    assert all(line.isprintable() for line in lines)
    assert "\\r\\nFAKE\\x1b[31m\\u202e" in lines[3]


def test_an_unchanged_file_of_the_page_is_not_sent_again(lone_api: Api) -> None:
    etag = lone_api.anyone.get("/frame.js").headers["etag"]
    again = lone_api.anyone.get("/frame.js", headers={"if-none-match": etag})
    assert (again.status_code, again.content) == (304, b"")


def test_the_documents_show_every_call_and_ask_nobody_else(lone_api: Api) -> None:
    page = lone_api.anyone.get("/docs").text
    for path in lone_api.anyone.get("/openapi.json").json()["paths"]:
        assert path in page
    assert "http://" not in page.replace(lone_api.url, "")
    assert "https://" not in page


def _answer_schema(openapi: dict[str, Any], path: str, method: str) -> dict[str, Any]:
    schema = openapi["paths"][path][method]["responses"]["200"]["content"]["application/json"]["schema"]
    return {**schema, "components": openapi["components"]}


@pytest.mark.mosquitto
def test_every_answer_has_the_shape_that_openapi_says(api: Api, ingestor: Ingestor) -> None:
    ingestor.sign()
    wait_until(lambda: api.anyone.get("/readyz").status_code == 200, "ready")
    openapi = api.anyone.get("/openapi.json").json()
    api.store.record_heartbeat("web-01", "LINUX", utc_now())
    example = openapi["paths"]["/ingest"]["post"]["requestBody"]["content"]["application/json"]["example"]
    status = openapi["paths"]["/system-status"]["post"]["requestBody"]["content"]["application/json"]["example"]
    calls = [
        ("/heartbeat", "post", "/heartbeat", {"headers": {"source_host": "web-01", "os_type": "LINUX"}}),
        ("/ingest", "post", "/ingest", {"json": example}),
        ("/system-status", "post", "/system-status", {"json": status}),
        ("/hosts", "get", "/hosts", {}),
        ("/hosts/{host}", "get", "/hosts/web-01", {}),
        ("/events", "get", "/events", {}),
        ("/livez", "get", "/livez", {}),
        ("/readyz", "get", "/readyz", {}),
        ("/sessions", "post", "/sessions", {"json": {"key": api.key}}),
    ]
    for path, method, target, more in calls:
        answer = api.client.request(method, target, **more)
        assert answer.status_code == 200, answer.text
        jsonschema.validate(answer.json(), _answer_schema(openapi, path, method))


@pytest.mark.parametrize(
    "header", [b"host: [", b"host: \xff", b"origin: http://[", b"cookie: \xff=;;=", b"content-length: 0"]
)
def test_headers_of_nonsense_are_no_fault_of_ours(lone_api: Api, header: bytes) -> None:
    with socket.create_connection(("127.0.0.1", lone_api.settings.http_port)) as raw:
        lines = [b"DELETE /sessions HTTP/1.1", header, b"connection: close"]
        raw.sendall(b"\r\n".join(lines) + b"\r\n\r\n")
        status = int(raw.makefile("rb").readline().split()[1])
    assert status < 500


def test_a_body_that_is_cut_off_is_no_fault_of_ours(lone_api: Api, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "api.access")
    with socket.create_connection(("127.0.0.1", lone_api.settings.http_port)) as raw:
        key = lone_api.key.encode()
        raw.sendall(b"POST /ingest HTTP/1.1\r\nhost: a\r\napi-key: " + key + b"\r\ncontent-length: 100\r\n\r\n[")
    wait_until(lambda: "POST /ingest 400" in caplog.text, "it has been noticed")
    assert "Traceback" not in caplog.text
