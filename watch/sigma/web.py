"""Fields of a request to a web server, in a line of its access log: the common or combined format, or Caddy's JSON."""

from __future__ import annotations

import json
import re
from typing import Any

_LINE = re.compile(
    r"(?:\S{1,255} )??(?P<ip>[0-9A-Fa-f.:]{2,45}) \S{1,255} .{1,255}? \[[^\]]{1,64}\] "
    r'"(?P<request>[^"\\]*(?:\\.[^"\\]*)*)" (?P<status>\d{3}) \S{1,20}'
    r'(?: "(?P<referer>[^"\\]*(?:\\.[^"\\]*)*)" "(?P<agent>[^"\\]*(?:\\.[^"\\]*)*)")?'
)


def read_request(text: str) -> dict[str, str]:
    """The fields, in the names that Sigma has for web servers; empty when `text` is no such line."""
    if text.startswith("{"):
        return _read_json(text)
    found = _LINE.match(text)
    if not found:
        return {}
    method, _, rest = found["request"].partition(" ")
    fields = _of_request(method, rest.rpartition(" HTTP/")[0] or rest)
    return fields | _told({"c-ip": found["ip"], "sc-status": found["status"], "cs-referer": found["referer"],
                           "cs-user-agent": found["agent"]})  # fmt: skip


def _read_json(text: str) -> dict[str, str]:
    try:
        entry = json.loads(text)
        request: Any = entry["request"]
        headers: Any = request.get("headers", {})
        fields = _of_request(str(request["method"]), str(request["uri"]))
        agent, referer = (next(iter(headers.get(name) or ()), None) for name in ("User-Agent", "Referer"))
        return fields | _told({"c-ip": request.get("client_ip") or request.get("remote_ip"), "cs-referer": referer,
                               "sc-status": entry.get("status"), "cs-user-agent": agent})  # fmt: skip
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


def _of_request(method: str, address: str) -> dict[str, str]:
    stem, _, query = address.partition("?")
    return _told({"cs-method": method, "c-uri": address, "cs-uri-stem": stem, "cs-uri-query": query})


def _told(fields: dict[str, object]) -> dict[str, str]:
    return {name: str(value) for name, value in fields.items() if value not in (None, "", "-")}
