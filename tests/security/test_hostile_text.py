"""Text that a host, a client or a name brings along: shown by the page, the logs and the command line, never obeyed.

A real site is given it through every door that is open, and then looked at with a real browser and as a person does.
"""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from chromium import launched
from heimdall_home import Running, login_link, running
from mqtt_packets import PINGREQ, PINGRESP, connect, publish
from playwright.sync_api import BrowserContext, Page, expect
from waiting import wait_until

from api.auth import hash_secret
from store import open_store

pytestmark = pytest.mark.mosquitto

SCRIPT = "<script>alert(1)</script>"
IMAGE = '"><img src=x onerror=alert(1)>'
FORGED = "2025-12-03T20:49:50.123Z INFO api: forged"
HOSTILE = {
    "script": SCRIPT,
    "image": IMAGE,
    "javascript": "javascript:alert(1)",
    "template": "{{constructor.constructor('alert(1)')()}}${alert(1)}",
    "comment": "--><svg onload=alert(1)><!--",
    "closing": "</td></tr></table></main></script><script>alert(1)</script>",
    "ansi": "\x1b[31mred\x1b]0;title\x07\x1b[2J\x9b31m",
    "line": f"end\n{FORGED}\r{FORGED}\x0b\x0c\x85\u2028{FORGED}\u2029",
    "bidi": "\u202egnp.\u2066x\u2069\u200b\ufeff\u061c",
    "formula": "=cmd|' /C calc'!A0",
    "sql": "'; DROP TABLE logs; --",
    "format": "%s%n%(levelname)s{0}\\u0041&lt;&#60;",
}


@pytest.fixture(scope="module")
def site() -> Iterator[Running]:
    with running("mosquitto") as up:
        yield up


@pytest.fixture(scope="module")
def browser(site: Running) -> Iterator[BrowserContext]:
    """Somebody who is logged in."""
    with launched() as opened:
        context = opened.new_context()
        context.new_page().goto(login_link(site.run("login").stdout))
        yield context


@pytest.fixture
def page(browser: BrowserContext, site: Running) -> Iterator[Page]:
    """A page in which nothing may run that is not ours, nor ask anybody else."""
    opened = browser.new_page()
    faults: list[str] = []
    opened.on("dialog", lambda dialog: (faults.append("a script ran"), dialog.dismiss()))
    opened.on("pageerror", lambda error: faults.append(str(error)))
    opened.on("request", lambda request: request.url.startswith(site.url) or faults.append(request.url))
    opened.goto(site.url)
    yield opened
    opened.close()
    assert faults == []


def post(site: Running, path: str, content: Any, **headers: str) -> httpx.Response:
    return httpx.post(site.url + path, json=content, headers={"api-key": site.key, **headers}, timeout=20)


def send_event(site: Running, name: str, text: str) -> httpx.Response:
    event = {
        "event_id": f"hostile-{name}", "timestamp": "2025-12-03T20:49:50Z", "source_host": "hostile-01",
        "os_type": "LINUX", "event_type": "WEB_ATTACK", "severity": 5, "raw_message": text, "user": text,
        "source_ip": text,
    }  # fmt: skip
    return post(site, "/ingest", [event])


@pytest.fixture(scope="module")
def told(site: Running) -> None:
    """A host whose events, tags and info hold every hostile text."""
    for name, text in HOSTILE.items():
        assert send_event(site, name, text).status_code == 200
    status = {
        "source_host": "hostile-01", "os_type": "LINUX", "tags": [*HOSTILE.values()], "version": IMAGE, **HOSTILE,
        SCRIPT: SCRIPT,
    }  # fmt: skip
    assert post(site, "/system-status", {"status": status}).status_code == 200
    wait_until(lambda: len(site.get("/events", source_host="hostile-01")["events"]) == len(HOSTILE), "all is stored")
    wait_until(lambda: (site.host("hostile-01") or {}).get("tags"), "the tags are known")


@pytest.mark.usefixtures("told")
def test_text_is_stored_as_it_came_and_what_is_no_address_is_none(site: Running) -> None:
    events = site.get("/events", source_host="hostile-01")["events"]
    assert {event["raw_message"] for event in events} == set(HOSTILE.values())
    assert {event["user"] for event in events} == set(HOSTILE.values())
    assert {event["source_ip"] for event in events} == {"N/A"}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_host_has_no_such_name(site: Running, text: str) -> None:
    event = {"event_id": "1", "timestamp": "2025-12-03T20:49:50Z", "event_type": "WEB_ATTACK", "severity": 1}
    answer = post(site, "/ingest", [{**event, "os_type": "LINUX", "raw_message": "x", "source_host": text}])
    assert answer.status_code == 422
    assert post(site, "/system-status", {"status": {"source_host": text, "os_type": "LINUX"}}).status_code == 422
    assert site.get("/hosts")["success"]


@pytest.mark.parametrize("key", ["raw_message", "user"])
def test_a_nul_is_refused(site: Running, key: str) -> None:
    event = {
        "event_id": "1", "timestamp": "2025-12-03T20:49:50Z", "source_host": "hostile-02", "os_type": "LINUX",
        "event_type": "WEB_ATTACK", "severity": 1, "raw_message": "x", key: "a\0b",
    }  # fmt: skip
    assert post(site, "/ingest", [event]).status_code == 422


@pytest.mark.chromium
@pytest.mark.usefixtures("told")
def test_the_page_shows_it_and_runs_nothing(page: Page, site: Running) -> None:
    page.goto(f"{site.url}/#/hosts")
    row = page.locator(".grid-body [role=row]", has_text="hostile-01")
    expect(row).to_contain_text(SCRIPT)
    expect(row).to_contain_text(IMAGE)
    assert page.locator("img[src=x], svg[onload], main script").count() == 0


@pytest.mark.chromium
@pytest.mark.usefixtures("told")
@pytest.mark.parametrize(
    "path",
    ["/docs", "/docs/problems", "/hosts", "/hosts/hostile-01", "/events", "/openapi.json", "/metrics"]
    + [f"{path}{text}"
       for path in ("/hosts/", "/events?q=", "/?q=", "/#", "/#/", "/#/hosts?q=", "/#/hosts/", "/#/events?q=",
                    "/login?token=")
       for text in ("%3Cscript%3Ealert(1)%3C/script%3E", "%22%3E%3Cimg%20src=x%20onerror=alert(1)%3E",
                    "javascript:alert(1)")],
)  # fmt: skip
def test_no_address_of_ours_runs_it(page: Page, site: Running, path: str) -> None:
    answer = page.goto(site.url + path)
    if answer is not None:  # else only what stands behind # has changed
        assert "script-src 'self'" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
    assert page.locator("img[src=x]").count() == 0


@pytest.mark.chromium
@pytest.mark.usefixtures("told")
def test_where_escaping_were_forgotten_the_policy_stops_it(page: Page, site: Running) -> None:
    refused: list[str] = []
    page.on("console", lambda said: refused.append(said.text) if "Content Security Policy" in said.text else None)
    page.evaluate("text => document.body.insertAdjacentHTML('beforeend', text)", IMAGE[2:])
    page.evaluate("text => document.body.append(Object.assign(document.createElement('script'), {text}))", "alert(1)")
    page.wait_for_function("true")
    wait_until(lambda: page.wait_for_timeout(20) or len(refused) >= 2, "both were refused")
    assert page.evaluate("fetch('http://127.0.0.1:1/').then(() => 'sent', () => 'refused')") == "refused"
    assert page.evaluate("document.cookie") == ""


def talk_mqtt(site: Running, *packets: bytes) -> None:
    """Send packets, read until the broker closes or has answered a PING behind them."""
    with socket.create_connection(("127.0.0.1", site.mqtt_port), timeout=20) as client:
        try:
            client.sendall(b"".join(packets) + PINGREQ)
            while (heard := client.recv(4_096)) and not heard.endswith(PINGRESP):
                pass
        except ConnectionError:
            return


def logs_of(site: Running) -> dict[str, str]:
    return {path.name: path.read_bytes().decode() for path in site.home.logs.iterdir()}


@pytest.mark.usefixtures("told")
def test_no_log_holds_a_control_character_or_a_line_that_somebody_else_wrote(site: Running) -> None:
    api = site.credential("api")
    user, password = api.user.encode(), api.password.encode()
    for text in HOSTILE.values():
        raw = text.encode()
        talk_mqtt(site, connect(raw, raw, b"x"))
        talk_mqtt(site, connect(b"@api-" + raw, user, password))
        for topic in (b"heimdall/v1/hosts/" + raw + b"/events", b"heimdall/v1/hosts/hostile-03/" + raw, raw):
            talk_mqtt(site, connect(b"@api-hostile", user, password), publish(topic, b"{}"))
        service = b"heimdall/v1/services/api/"
        talk_mqtt(site, connect(b"@api-hostile", user, password), publish(service + raw, raw))
        talk_mqtt(site, connect(b"@api-hostile", user, password), publish(b"heimdall/v1/hosts/hostile-03/events", raw))
        httpx.get(f"{site.url}/{quote(text)}", headers=[(b"api-key", b"x%bx" % re.sub(b"[\0-\x1f]", b" ", raw))])
        httpx.get(f"{site.url}/events?q={quote(text)}", headers={"api-key": site.key})
    post(site, "/heartbeat", None, source_host="hostile-04", os_type="LINUX")
    wait_until(lambda: site.host("hostile-04"), "all that went before has been taken")
    ours = re.compile(r"    |20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (DEBUG|INFO|WARNING|ERROR) [a-z.]+: ")
    for name, log in logs_of(site).items():
        for line in log.split("\n")[:-1]:
            assert line.isprintable(), f"{name}: {line!a}"
            assert ours.match(line) or name == "broker.log", f"{name}: {line!a}"  # Mosquitto's lines are its own
            assert not line.startswith(FORGED), f"{name}: {line!a}"
    assert logs_of(site)["api.log"].count("forged") > 0  # it did arrive there


@pytest.fixture(scope="module")
def named(site: Running) -> None:
    """Keys of hostile names, made by somebody of such a name, as an old database or a foreign hand may hold them."""
    store = open_store(f"sqlite:///{site.home.path}/mini_siem.db")
    for text in HOSTILE.values():
        store.make_key(hash_secret(text), text, ["read"], None, None, text)
    store.close()


@pytest.mark.usefixtures("named")
@pytest.mark.parametrize("command", [["keys"], ["audit"], ["keys", "--json"], ["audit", "--json"]])
def test_the_command_line_prints_names_and_sends_the_terminal_nothing(site: Running, command: list[str]) -> None:
    done = site.run(*command)
    assert (done.returncode, done.stderr) == (0, "")
    assert all(line.isprintable() for line in done.stdout.split("\n"))
    assert "\\x1b[31m" in done.stdout or "\\u001b[31m" in done.stdout
    if "--json" in command:
        names = {one.get("name", one.get("who")) for one in json.loads(done.stdout)}
        assert set(HOSTILE.values()) <= names


@pytest.mark.usefixtures("named")
@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("keys", "--revoke"), 0), (("keys", "--scope", "read", "--make"), 2), (("keys", "--make", "x", "--scope"), 2),
        (("keys", "--revoke", "x", "--expires"), 2), (("enroll",), 2), (("revoke",), 2), (("agent", "--host"), 2),
    ],
)  # fmt: skip
def test_what_a_command_says_of_a_name_is_printable_too(site: Running, words: tuple[str, ...], code: int) -> None:
    done = site.run(*words, HOSTILE["line"])
    assert done.returncode == code
    assert all(line.isprintable() for line in (done.stdout + done.stderr).split("\n"))
