"""Requests that no honest client sends, byte by byte to a real site: each has its refusal, none is a fault of ours."""

from __future__ import annotations

import contextlib
import gzip
import re
import socket
from collections.abc import Iterator
from typing import NamedTuple

import pytest
from heimdall_home import HOST, Running, running

from api.auth import hash_secret
from store import open_store

pytestmark = pytest.mark.mosquitto

ADMIN = "the-key-of-an-administrator"
PATIENCE_SECONDS = 30
LINUX = b"os_type: LINUX"
CHUNKED = b"transfer-encoding: chunked"
HIDDEN = b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n"  # a second request where only one should be
SECRET = b"a-secret-of-the-test-that-is-long-enough"


@pytest.fixture(scope="module")
def site() -> Iterator[Running]:
    with running("mosquitto") as up:
        store = open_store(f"sqlite:///{up.home.path}/mini_siem.db")
        store.add_key(hash_secret(ADMIN), "admin", ["admin", "operate", "read"])
        store.close()
        yield up


class Row(NamedTuple):
    """A request, and the status that it gets."""

    status: int
    request: bytes
    headers: tuple[bytes, ...] = ()
    body: bytes = b""
    admin: bool = False


def beat(status: int, *headers: bytes) -> Row:
    return Row(status, b"POST /heartbeat", headers)


def get(status: int, target: bytes) -> Row:
    return Row(status, b"GET " + target)


def ingest(status: int, body: bytes, *headers: bytes) -> Row:
    return Row(status, b"POST /ingest", headers, body)


def make_key(status: int, body: bytes) -> Row:
    return Row(status, b"POST /keys", (), body, admin=True)


DEEP = b"[" * 100_000
HEADERS = {
    "a list of hosts": beat(422, b"source_host: web-01, web-02", LINUX),
    "two hosts": beat(422, b"source_host: web-01", b"source_host: web-02", LINUX),
    "two spellings that disagree": beat(422, b"source_host: web-01", b"source-host: web-02", LINUX),
    "two systems": beat(422, b"source_host: web-01", LINUX, b"os-type: WINDOWS"),
    "one host twice": beat(200, f"source_host: {HOST}".encode(), f"source-host: {HOST}".encode(), LINUX),
    "an escaped line end": beat(422, b"source_host: web-01%0d%0ax-forged: 1", LINUX),
    "a folded line": beat(400, b"source_host: web-01\r\n x-forged: 1", LINUX),
    "a bare line feed": beat(400, b"source_host: web-01\nx-forged: 1", LINUX),
    "a bare carriage return": beat(400, b"source_host: web-01\rx-forged: 1", LINUX),
    "a NUL": beat(400, b"source_host: web\0-01", LINUX),
    "an escape sequence": beat(400, b"source_host: \x1b[31mweb-01", LINUX),
    "a bidirectional override": beat(422, "source_host: web\u202e10".encode(), LINUX),
    "a space before the colon": beat(400, b"source_host : web-01", LINUX),
    "another host name": Row(200, b"GET /livez", (b"host: evil.example", b"x-forwarded-host: evil.example")),
    "somebody else's address": Row(200, b"GET /livez", (b"x-forwarded-for: 192.0.2.1\x09", b"forwarded: for=x")),
}
BODIES = {
    "nested and never closed": ingest(400, DEEP),
    "nested": ingest(400, DEEP + b"]" * 100_000),
    "nested objects": ingest(400, b'{"a":' * 100_000 + b"1" + b"}" * 100_000),
    "a number of a million digits": ingest(422, b"1" * 1_000_000),
    "a number beyond all": ingest(422, b"1e999999999"),
    "no number": ingest(422, b"NaN"),
    "one key twice": ingest(200, b'{"events":[7],"events":[]}'),
    "half a surrogate pair": ingest(422, b'{"events":[{"event_id":"\\ud800"}]}'),
    "half a pair as a key": ingest(422, b'{"\\ud800":1}'),
    "half a pair to log in with": Row(403, b"POST /sessions", (), b'{"key":"\\ud800"}'),
    "half a pair to enrol with": Row(
        403, b"POST /enroll", (), b'{"token":"\\ud800","host":"web-09","secret":"' + SECRET + b'"}'
    ),
    "half a pair as a name": make_key(422, b'{"name":"\\ud800","scopes":["read"]}'),
    "half a pair as a scope": make_key(422, b'{"name":"x","scopes":["agent:\\ud800"]}'),
    "an escape sequence as a name": make_key(422, b'{"name":"\\u001b[31m","scopes":["read"]}'),
    "a bidirectional override as a name": make_key(422, '{"name":"a\u202eb","scopes":["read"]}'.encode()),
    "digits of another script": make_key(422, '{"name":"x","scopes":["read"],"expires":"٣d"}'.encode()),
    "an end beyond the calendar": make_key(422, b'{"name":"x","scopes":["read"],"expires":"99999y"}'),
    "nested in a status": Row(400, b"POST /system-status", (), b'{"status":{"x":' + DEEP),
    "half a pair in a status": Row(
        422, b"POST /system-status", (), b'{"status":{"source_host":"web-09","os_type":"LINUX","\\ud800":1}}'
    ),
    "gzip": ingest(400, gzip.compress(b'{"events":[]}'), b"content-encoding: gzip"),
    "a form": ingest(400, b"events=[]", b"content-type: application/x-www-form-urlencoded"),
    "a form of parts": ingest(400, b"--x\r\n\r\n[]\r\n--x--\r\n", b"content-type: multipart/form-data; boundary=x"),
    "XML with an entity": ingest(400, b'<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>'),
    "JSON that is called text": ingest(200, b"[]", b"content-type: text/plain"),
    "JSON of UTF-16": ingest(400, "[]".encode("utf-16")),
}
FRAMES = {
    "chunks": ingest(200, b"2\r\n[]\r\n0\r\n\r\n", CHUNKED),
    "a chunk of no size": ingest(400, b"zz\r\n[]\r\n0\r\n\r\n", CHUNKED),
    "a chunk below nothing": ingest(400, b"-2\r\n[]\r\n0\r\n\r\n", CHUNKED),
    "a chunk without end": ingest(400, b"f" * 20 + b"\r\n[]\r\n0\r\n\r\n", CHUNKED),
    "a chunk longer than it says": ingest(400, b"2\r\n[]xx0\r\n\r\n", CHUNKED),
    "a chunk's extension with a NUL": ingest(400, b"2;a=\0\r\n[]\r\n0\r\n\r\n", CHUNKED),
    "chunks between bare line feeds": ingest(400, b"2\n[]\n0\n\n", CHUNKED),
    "a key behind the chunks": ingest(200, b"2\r\n[]\r\n0\r\napi-key: x\r\n\r\n", CHUNKED),
    "two lengths of a body": ingest(400, b"2\r\n[]\r\n0\r\n\r\n" + HIDDEN, CHUNKED, b"content-length: 2"),
    "two encodings": ingest(400, b"2\r\n[]\r\n0\r\n\r\n", CHUNKED, b"transfer-encoding: identity"),
    "an unknown encoding": ingest(400, b"2\r\n[]\r\n0\r\n\r\n", b"transfer-encoding: xchunked"),
    "two announced lengths": ingest(400, b"[]xxx", b"content-length: 2", b"content-length: 5"),
    "another request behind a body": ingest(200, b"2\r\n[]\r\n0\r\n\r\n" + HIDDEN, CHUNKED),
    **{
        f"a length of {length}": ingest(400, b"[]", f"content-length: {length}".encode())
        for length in ("-1", "+2", "2e0", "0x2", "2, 2", "9" * 20, "²")
    },
}
TARGETS = {
    target: get(status, target.encode())
    for status, targets in {
        404: (
            "/hosts/..%2f..%2fetc%2fpasswd", "/hosts/%2e%2e", "/hosts/../keys", "//hosts",
            "/frame.js/..%2f..%2fapi-key", "/..%2fapi-key", "/%2e%2e/api-key", "/docs/../api-key", "/hosts/web-01%00",
            "/HOSTS", "/hosts/%c0%af", "*", "/hosts;x=1", "/hosts%3fa=1", "/hosts/%", "/hosts/%zz",
            "/events/%0d%0aset-cookie:%20x-forged=1",
            "/events/%ed%a0%80", "/events/%00", "/hosts/" + "x" * 5_000,
        ),
        403: ("/login?token=%ed%a0%80", "/login?token=%00", "/login?token=%0d%0ax-forged:1", "/keys"),
        422: (
            "/events?cursor=%00", "/events?q=%00", "/events?since=%00", "/events?cursor=%c2%b2", "/events?limit=1e1",
            "/events?severity_gte=%d9%a3", "/hosts?inactive_threshold=nan", "/hosts?inactive_threshold=1e400",
            "/events?q=" + "x" * 300, "/hosts?%0d%0ax-forged=1",
        ),
        200: ("/hosts#x", "http://evil.example/hosts", "/events?q=%ed%a0%80", "/events?q=%25%27%3b--"),
        400: ("/ho sts", "/hosts/\xff"),
    }.items()
    for target in targets
}  # fmt: skip
METHODS = {
    **{name: Row(405, f"{name} /hosts".encode()) for name in ("OPTIONS", "TRACE", "CONNECT", "PATCH", "M-SEARCH")},
    **{name: Row(400, f"{name} /hosts".encode()) for name in ("PRI", "get", "GET\0", "GE\x1bT")},
}
TABLES = (HEADERS, BODIES, FRAMES, TARGETS, METHODS)
ROWS = [pytest.param(row, id=ascii(name)[:40]) for table in TABLES for name, row in table.items()]


def write(row: Row, key: str) -> bytes:
    said = {header.partition(b":")[0].strip() for header in row.headers}
    lines = [row.request + b" HTTP/1.1", b"api-key: " + key.encode(), b"connection: close", *row.headers]
    if b"host" not in said:
        lines.insert(1, b"host: localhost")
    if row.body and not said & {b"content-length", b"transfer-encoding"}:
        lines.append(b"content-length: %d" % len(row.body))
    return b"\r\n".join(lines) + b"\r\n\r\n" + row.body


def exchange(port: int, request: bytes) -> bytes:
    """All that the server says to `request` until it closes the connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS) as client:
        heard = b""
        with contextlib.suppress(ConnectionError):  # it may answer and close before it has read everything
            client.sendall(request)
        with contextlib.suppress(ConnectionError):
            while part := client.recv(65_536):
                heard += part
    return heard


@pytest.mark.parametrize("row", ROWS)
def test_it_has_one_answer_the_one_expected(site: Running, row: Row) -> None:
    answer = exchange(site.http_port, write(row, ADMIN if row.admin else site.key))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert int(head.split()[1]) == row.status, answer[:500]
    assert answer.count(b"HTTP/1.1 ") == 1
    assert not re.search(rb"^(x-forged|set-cookie)", head, re.MULTILINE | re.IGNORECASE)
    if b"problem+json" in head:
        assert body.isascii()
        assert b"\x1b" not in body


@pytest.mark.parametrize(
    ("said", "status"),
    [
        (b"GET /hosts\r\n\r\n", b"401"),  # HTTP 0.9
        (b"GET /hosts HTTP/1.2\r\nhost: x\r\n\r\n", b"400"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"400"),
        (b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03" + b"\0" * 100, b"400"),  # a TLS hello
        (b"\x10\x0c\x00\x04MQTT\x05\x02\x00\x1e\x00\x00\x00", b"400"),  # an MQTT CONNECT
        (
            b"GET /hosts HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
            b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n\r\n",
            b"403",
        ),
    ],
)
def test_another_protocol_is_refused(site: Running, said: bytes, status: bytes) -> None:
    with socket.create_connection(("127.0.0.1", site.http_port), timeout=PATIENCE_SECONDS) as client:
        client.sendall(said)
        assert client.makefile("rb").readline().split()[1] == status


def test_after_all_of_it_there_is_no_host_that_nobody_is_and_no_fault_in_the_log(site: Running) -> None:
    for table in TABLES:
        for row in table.values():
            exchange(site.http_port, write(row, ADMIN if row.admin else site.key))
    answer = site.get("/hosts")
    assert {host["hostname"] for host in answer["active_hosts"] + answer["inactive_hosts"]} == {HOST}
    log = (site.home.logs / "api.log").read_text()
    assert "Traceback" not in log
    assert " 500 " not in log
