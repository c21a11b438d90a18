"""Calls over HTTP to an address of somebody's choice: to what it resolves to once, if that is allowed."""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any
from urllib.parse import SplitResult, urlsplit

from core.errors import Invalid
from watch.reachable import check_address

CALL_SECONDS = 10.0


def read_address(url: str) -> SplitResult:
    """The parts of `url`. Raises `Invalid` unless it is one of HTTP or HTTPS with a host."""
    try:
        parts = urlsplit(url)
        known = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        known = False
    if not known:
        raise Invalid("use an address such as https://example.com/ping")
    return parts


def call(url: str, *, allow_private: bool, body: bytes | None = None, headers: Mapping[str, str] = {}) -> str:
    """GET `url`, or POST `body` to it; what went wrong, or an empty text. No redirect is followed."""
    parts = read_address(url)
    secure = parts.scheme == "https"
    try:
        line = _connect(parts.hostname or "", parts.port or (443 if secure else 80), allow_private)
        connection = http.client.HTTPConnection(parts.netloc.rpartition("@")[2], timeout=CALL_SECONDS)
        with line:
            connection.sock = (
                ssl.create_default_context().wrap_socket(line, server_hostname=parts.hostname) if secure else line
            )
            path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            method = "GET" if body is None else "POST"
            connection.request(method, path, body, {"User-Agent": "Heimdall", **headers})
            status = connection.getresponse().status
            connection.close()
    except (OSError, http.client.HTTPException, ValueError) as error:
        return f"{parts.hostname}: {error or type(error).__name__}"
    return "" if 200 <= status < 300 else f"{parts.hostname} answers {status}"


def _connect(host: str, port: int, allow_private: bool) -> socket.socket:
    """To an address that was checked: a name that is resolved again may be another by then."""
    found: list[tuple[Any, ...]] = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    failure: OSError = OSError("it has no address")
    for family, kind, protocol, _, address in found:
        try:
            if not allow_private:
                check_address(address[0])
            with ExitStack() as undone:
                line = undone.enter_context(socket.socket(family, kind, protocol))
                line.settimeout(CALL_SECONDS)
                line.connect(address)
                undone.pop_all()
                return line
        except OSError as error:
            failure = error
    raise failure
