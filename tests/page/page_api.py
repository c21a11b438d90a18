"""An API that is pretended in the browser: many hosts, faults and silence, which a real one would take long to give.

The page's files come from a real API; calls of the API are answered here.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from machine import AXE
from playwright.sync_api import Page, Route, expect

from core.clock import rfc3339, utc_now

ORDER = (
    "crashed", "silent", "zombie", "overdue", "late", "missing", "new", "away", "stopped", "shutdown", "revoked",
    "unjudged", "online",
)  # fmt: skip
OFFLINE = ("crashed", "silent", "stopped", "shutdown", "revoked")


def ago(**span: float) -> str:
    return rfc3339(utc_now() - timedelta(**span))


def in_future(**span: float) -> str:
    return rfc3339(utc_now() + timedelta(**span))


def make_host(name: str, shown: str = "online", minutes: float = 10, **more: Any) -> dict[str, Any]:
    """A host as `GET /hosts` has it, which has been what it is `shown` as for `minutes`."""
    state = "offline" if shown in OFFLINE else None if shown == "unjudged" else shown
    host = {
        "hostname": name,
        "os_type": "LINUX",
        "last_seen": ago(seconds=5) if shown == "online" else ago(minutes=minutes),
        "total_events": 3,
        "state": state,
        "since": ago(minutes=minutes),
        "reason": shown if shown in OFFLINE else "",
        "back_by": None,
        "score": 97.0,
        "tags": [],
        "outages": [],
    }
    return host | more


def make_alert(host: str, kind: str = "crashed", minutes: float = 10, **more: Any) -> dict[str, Any]:
    """An open alert as `GET /alerts` has it."""
    alert = {
        "id": f"alert-{host}",
        "kind": kind,
        "source_host": host,
        "state": "open",
        "since": ago(minutes=minutes),
        "opened_at": ago(minutes=minutes),
        "resolved_at": None,
        "text": f"{host} is offline: nothing is heard of it",
        "incident": f"incident-{host}",
        "subject": None,
        "severity": None,
        "acked_at": None,
        "acked_by": None,
    }
    return alert | more


def make_hold(hosts: str = "web-*", begins: float = -10, ends: float = 110, **more: Any) -> dict[str, Any]:
    """A silence or maintenance as the API has it, that begins and ends so many minutes from now."""
    hold = {
        "id": f"hold-{hosts}",
        "hosts": hosts.split(),
        "kinds": None,
        "reason": "a new switch",
        "made_by": "eva",
        "made_at": ago(minutes=10),
        "from": in_future(minutes=begins),
        "until": in_future(minutes=ends),
        "ended_at": None,
    }
    return hold | more


def shown_as(host: dict[str, Any]) -> str:
    if host["state"] is None:
        return "unjudged"
    return str(host["reason"] if host["state"] == "offline" else host["state"])


WIDTHS = (320, 390, 720, 1100, 1440, 2560, 3840)


def expect_no_scrolling(page: Page) -> None:
    """The page scrolls sideways at no width, from the smallest phone to 4K."""
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        page.evaluate("() => new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)))")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, width


def take_away(page: Page, path: str) -> None:
    """Have `path` fail from now on, as when the server has lost its database."""
    page.route(f"**{path}", lambda route: route.fulfill(status=503, body='{"detail":"the database is away"}'))


def bring_back(page: Page, pretended: Pretended, path: str, what: str) -> None:
    """What fails is said, as `what`, until `path` works again and is asked by hand."""
    note = page.locator(".note", has_text=what)
    expect(note).to_contain_text("The server says: the database is away.")
    page.unroute(f"**{path}")
    pretended.install(page)
    note.get_by_role("button", name="Try now").click()
    expect(note).to_have_count(0)


RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


def violations(page: Page) -> list[str]:
    """What axe finds on the page as it is, on a screen and on a phone."""
    page.evaluate(AXE.read_text())
    before, found = page.viewport_size, []
    for width in (1440, 390):
        page.set_viewport_size({"width": width, "height": 900})
        found += page.evaluate("(tags) => axe.run({ runOnly: tags })", RULES)["violations"]
    if before is not None:
        page.set_viewport_size(before)
    return [f"{one['id']}: {one['nodes'][0]['html'][:200]}" for one in found]


@dataclass
class Pretended:
    """Answers the page's calls from what it holds. `asked` and `sent` are what came, oldest first."""

    hosts: list[dict[str, Any]] = field(default_factory=list)
    alerts: list[dict[str, Any]] = field(default_factory=list)
    changes: list[dict[str, Any]] = field(default_factory=list)
    silences: list[dict[str, Any]] = field(default_factory=list)
    maintenance: list[dict[str, Any]] = field(default_factory=list)
    one: dict[str, Any] | None = None  # the host that GET /hosts/{host} knows
    hours: list[dict[str, Any]] = field(default_factory=list)  # of its heartbeats
    events: list[dict[str, Any]] = field(default_factory=list)
    scopes: tuple[str, ...] = ("read", "operate")
    signed_in: bool = True
    broken: str | None = None  # what a 503 says to every call
    refusal: str | None = None  # what a 403 says to every change
    asked: list[str] = field(default_factory=list)
    sent: list[tuple[str, str, Any]] = field(default_factory=list)

    def install(self, page: Page) -> None:
        """Answer what `page` asks of the API. What it does not know goes to the real one."""
        for path, answer in self._answers().items():
            page.route(f"**{path}", self._wrap(answer))

    def _answers(self) -> dict[str, Callable[[Any, dict[str, list[str]]], Any]]:
        return {
            "/sessions": self._session,
            "/summary": self._summary,
            "/hosts?*": self._hosts,
            "/alerts?*": self._alerts,
            "/alerts/*/ack": self._ack,
            "/silences": lambda _route, _query: {"silences": self.silences},
            "/maintenance": lambda _route, _query: {"maintenance": self.maintenance},
            "/silences/*": lambda _route, _query: {"ended": {}},
            "/maintenance/*": lambda _route, _query: {"ended": {}},
            "/hosts/*": self._host,
            "/hosts/*/heartbeats?*": self._heartbeats,
            "/hosts/*/outages?*": lambda _route, _query: {"outages": (self.one or {}).get("outages", []), "next": None},
            "/events?*": lambda _route, _query: {"events": self.events, "next": None},
            "/stream*": self._stream,
        }

    def _wrap(self, answer: Callable[[Route, dict[str, list[str]]], Any]) -> Callable[[Route], None]:
        def respond(route: Route) -> None:
            request = route.request
            parts = urlsplit(request.url)
            target = f"{parts.path}?{parts.query}" if parts.query else parts.path
            self.asked.append(target)
            if request.method != "GET":
                self.sent.append((request.method, target, request.post_data_json if request.post_data else None))
            status = self._refuse(request.method, parts.path)
            if status is not None:
                problem = {"title": "no", "status": status[0], "detail": status[1]}
                route.fulfill(status=status[0], body=json.dumps(problem), content_type="application/problem+json")
                return
            found = answer(route, parse_qs(parts.query))
            if found is not None:
                route.fulfill(body=json.dumps({"success": True} | found), content_type="application/json")

        return respond

    def _refuse(self, method: str, path: str) -> tuple[int, str] | None:
        if self.broken is not None:
            return 503, self.broken
        if path != "/sessions" and not self.signed_in:
            return 401, "the session has ended"
        if self.refusal is not None and method != "GET" and path != "/sessions":
            return 403, self.refusal
        return None

    def _session(self, route: Route, _query: dict[str, list[str]]) -> dict[str, Any] | None:
        if route.request.method != "GET":
            self.signed_in = route.request.method == "POST"
        elif not self.signed_in:
            route.fulfill(status=401, body='{"detail":"the header api-key is missing"}')
            return None
        return {"name": "eva", "scopes": list(self.scopes), "expires_at": None}

    def _stream(self, route: Route, _query: dict[str, list[str]]) -> None:
        route.fulfill(status=404, body="{}")

    def _host(self, route: Route, _query: dict[str, list[str]]) -> dict[str, Any] | None:
        if route.request.method == "GET" and self.one is None:
            problem = {"title": "Not Found", "status": 404, "detail": "nothing is known of it"}
            route.fulfill(status=404, body=json.dumps(problem), content_type="application/problem+json")
            return None
        return self.one or {}

    def _heartbeats(self, _route: Route, query: dict[str, list[str]]) -> dict[str, Any]:
        known = self.one or {}
        hours = [hour for hour in self.hours if hour["hour"] >= query["since"][0].replace("Z", "000Z")]
        return {"hostname": known.get("hostname"), **(known.get("metrics") or {}), "hours": hours}

    def _hosts(self, _route: Route, query: dict[str, list[str]]) -> dict[str, Any]:
        wanted = [host for host in self.hosts if _fits(host, query)]
        sort = query.get("sort", ["state"])[0]
        wanted.sort(key=lambda host: _place(host, sort.lstrip("-")), reverse=sort.startswith("-"))
        begin, limit = int(query.get("cursor", ["0"])[0]), int(query["limit"][0])
        end = begin + limit
        following = str(end) if end < len(wanted) else None
        return {"hosts": wanted[begin:end], "total": len(wanted), "next": following}

    def _alerts(self, _route: Route, query: dict[str, list[str]]) -> dict[str, Any]:
        wanted = [alert for alert in self.alerts if _is_asked(alert, query)]
        begin, limit = int(query.get("cursor", ["0"])[0]), int(query["limit"][0])
        end = begin + limit
        return {"alerts": wanted[begin:end], "next": str(end) if end < len(wanted) else None}

    def _ack(self, route: Route, _query: dict[str, list[str]]) -> dict[str, Any] | None:
        asked = unquote(urlsplit(route.request.url).path.split("/")[2])
        for place, alert in enumerate(self.alerts):
            if alert["id"] == asked:
                self.alerts[place] = alert | {"acked_at": ago(seconds=0), "acked_by": "eva"}
                return {"alert": self.alerts[place]}
        route.fulfill(status=404, body="{}")
        return None

    def _summary(self, _route: Route, _query: dict[str, list[str]]) -> dict[str, Any]:
        now: datetime = utc_now()
        states = {state: sum(1 for host in self.hosts if shown_as(host) == state) for state in ORDER}
        opened = [alert for alert in self.alerts if alert["state"] == "open"]
        acked = sum(1 for alert in opened if alert["acked_at"] is not None)
        went = sum(1 for one in self.changes if one["ended_at"] is None)
        return {
            "at": rfc3339(now),
            "hosts": {"total": len(self.hosts), "states": states},
            "changes": {
                "since": rfc3339(now - timedelta(hours=1)), "went": went, "returned": len(self.changes) - went,
                "newest": self.changes,
            },
            "alerts": {"open": len(opened), "acked": acked, "newest": opened[:20]},
            "events": {
                "stored_last_minute": 4, "stored_last_hour": 240, "severities_last_day": [900, 50, 40, 8, 2],
                "minutes": [4] * 60,
            },
            "ingest": {"behind_seconds": 0.1, "ready": True, "parts": {"broker": "ok", "database": "ok"}},
        }  # fmt: skip


def _fits(host: dict[str, Any], query: dict[str, list[str]]) -> bool:
    states = query.get("state")
    return (
        (states is None or shown_as(host) in states)
        and query.get("q", [""])[0].lower() in host["hostname"].lower()
        and query.get("os_type", [host["os_type"]])[0] == host["os_type"]
        and ("tag" not in query or query["tag"][0] in host["tags"])
    )


def _is_asked(alert: dict[str, Any], query: dict[str, list[str]]) -> bool:
    return all(query.get(key, [alert[key]])[0] == alert[key] for key in ("state", "incident"))


def _place(host: dict[str, Any], by: str) -> tuple[Any, ...]:
    if by == "state":
        return ORDER.index(shown) if (shown := shown_as(host)) in ORDER else len(ORDER), host["hostname"]
    return host[by] is not None, host[by] or 0, host["hostname"]
