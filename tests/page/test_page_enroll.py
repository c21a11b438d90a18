"""How a host comes in: the one line, shown once, and who arrives."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from api_parts import Api
from nacl.public import PrivateKey
from page_api import Pretended, ago, expect_no_scrolling, in_future, make_host, violations
from playwright.sync_api import Page, Route, expect

from api.auth import hash_secret
from core.clock import utc_now
from core.token import read_token

pytestmark = pytest.mark.chromium

Visit = Callable[..., Any]
SCRIPT = "<script>alert(1)</script><img src=x onerror=alert(1)>"


@pytest.fixture
def admin(page: Page, pretended: Pretended) -> list[dict[str, Any]]:
    """An administrator, and the bodies that were sent to make tokens. `pretended.trail` is what the audit trail has."""
    sent: list[dict[str, Any]] = []
    pretended.scopes = ("admin", "operate", "read")

    def make(route: Route) -> None:
        body = route.request.post_data_json
        sent.append(body)
        if body["host"] == "taken" and not body["replace"]:
            detail = "taken is enrolled already: replace it (--replace) to give the name to another machine"
            route.fulfill(status=409, body=json.dumps({"detail": detail}), content_type="application/problem+json")
            return
        told = {
            "success": True, "host": body["host"], "token": "hmd_secret", "expires_at": in_future(minutes=60.5),
            "command": "python3 -c … < TOKEN-FILE" if "uses" in body else "echo hmd_secret | sudo python3 x",
        }  # fmt: skip
        route.fulfill(status=201, body=json.dumps(told), content_type="application/json")

    page.route("**/tokens", make)
    page.route("**/audit?*", lambda route: route.fulfill(body='{"success":true,"entries":[],"next":null}'))
    return sent


def tell_trail(page: Page, *hosts: str) -> None:
    entries = [
        {
            "id": host,
            "at": ago(seconds=0),
            "who": "token of eva",
            "action": "host.enrolled",
            "target": host,
            "detail": "",
        }
        for host in hosts
    ]
    page.unroute("**/audit?*")
    page.route(
        "**/audit?*", lambda route: route.fulfill(body=json.dumps({"success": True, "entries": entries, "next": None}))
    )


def make_line(page: Page, host: str) -> None:
    page.get_by_label("Name of the host").fill(host)
    page.get_by_label("Name of the host").press("Enter")


def test_one_line_is_made_shown_and_forgotten(
    page: Page, visit: Visit, pretended: Pretended, admin: list[dict[str, Any]]
) -> None:
    visit("#/enroll")
    expect(page.locator(".lead-t")).to_have_text("One line lets a host in")
    make_line(page, "web-01")
    expect(page.locator(".steps .code code")).to_contain_text("echo hmd_secret |")
    expect(page.locator(".lead-t")).to_have_text("Waiting for web-01")
    expect(page.locator(".steps")).to_contain_text("for 1\u202fh more")
    assert admin == [{"host": "web-01", "kind": "linux", "for": "1h", "replace": False}]
    kept = "JSON.stringify([{...localStorage}, {...sessionStorage}, location.href, history.state])"
    assert "hmd_secret" not in page.evaluate(kept)
    visit("#/audit")
    visit("#/enroll")
    expect(page.locator(".lead-t")).to_have_text("One line lets a host in")
    assert "hmd_secret" not in page.content()


def test_who_comes_in_is_seen_with_its_state(
    page: Page, visit: Visit, pretended: Pretended, admin: list[dict[str, Any]]
) -> None:
    pretended.hosts = [make_host("old-01", "new", 5_000)]
    visit("#/enroll")
    expect(page.locator(".arrive")).to_have_text("Nobody has come in since this view was opened.")
    make_line(page, "web-01")
    expect(page.locator(".arrive li").first).to_contain_text("Waiting for web-01")
    tell_trail(page, "other-9", "web-01")
    pretended.hosts = [make_host("web-01", "online", 0), make_host("old-01", "new", 5_000)]
    expect(page.locator(".lead-t")).to_have_text("web-01 has come in", timeout=15_000)
    arrived = page.locator(".arrive li", has_text="web-01")
    expect(arrived).to_contain_text("Online")
    expect(arrived.get_by_role("link")).to_have_attribute("href", "#/hosts/web-01")
    expect(page.locator(".arrive")).to_contain_text("other-9")
    expect(page.locator(".arrive")).not_to_contain_text("old-01")
    expect(page.locator(".note")).to_contain_text("The line has been used.")
    assert "hmd_secret" not in page.locator("main").inner_text()


def test_many_share_a_token_that_is_not_in_their_line(
    page: Page, visit: Visit, pretended: Pretended, admin: list[dict[str, Any]]
) -> None:
    visit("#/enroll?kind=windows")
    expect(page.get_by_role("button", name="Windows")).to_have_attribute("aria-pressed", "true")
    page.get_by_role("button", name="Several hosts").click()
    expect(page).to_have_url(re.compile(r"#/enroll\?kind=windows&hosts=many$"))
    page.get_by_label("Pattern of their names").fill("win-*")
    page.get_by_label("How many").last.fill("20")
    page.get_by_label("Good for").select_option("1 day")
    page.get_by_role("button", name="Make the line").click()
    codes = page.locator(".steps .code code")
    expect(codes).to_have_text(["hmd_secret", "python3 -c … < TOKEN-FILE"])
    assert admin == [{"host": "win-*", "uses": 20, "kind": "windows", "for": "1d", "replace": False}]
    expect(page.locator(".steps")).to_contain_text("in an administrator's PowerShell")
    tell_trail(page, "win-1", "lin-1")
    expect(page.locator(".lead-t")).to_have_text("win-1 has come in", timeout=15_000)
    expect(codes).to_have_count(2)  # others may still use it


def test_a_name_that_is_taken_is_given_only_on_purpose(
    page: Page, visit: Visit, pretended: Pretended, admin: list[dict[str, Any]]
) -> None:
    visit("#/enroll")
    make_line(page, "taken")
    expect(page.get_by_role("alert")).to_contain_text("Taken is enrolled already")
    page.get_by_label("Give a name that is taken").check()
    page.get_by_label("Address of this server").fill("https://heimdall.lan:8010")
    page.get_by_role("button", name="Make the line").click()
    expect(page.locator(".lead-t")).to_have_text("Waiting for taken")
    assert admin[-1] == {
        "host": "taken", "kind": "linux", "for": "1h", "replace": True, "url": "https://heimdall.lan:8010",
    }  # fmt: skip


def test_who_may_not_make_one_is_told_who_can(page: Page, visit: Visit, pretended: Pretended) -> None:
    visit("#/enroll?kind=pihole")
    expect(page.locator(".steps .code code")).to_have_text("heimdall enroll web-01 --kind pihole")
    expect(page.locator(".steps")).to_contain_text("heimdall login")
    expect(page.get_by_role("button", name="Make the line")).to_have_count(0)
    assert not any(path.startswith("/audit") for path in pretended.asked)


def test_a_line_that_has_expired_is_shown_no_more(
    page: Page, visit: Visit, pretended: Pretended, admin: list[dict[str, Any]]
) -> None:
    told = {
        "success": True,
        "host": "web-01",
        "token": "hmd_x",
        "command": "echo hmd_x",
        "expires_at": in_future(seconds=3),
    }
    page.unroute("**/tokens")
    page.route("**/tokens", lambda route: route.fulfill(status=201, body=json.dumps(told)))
    visit("#/enroll")
    make_line(page, "web-01")
    expect(page.locator(".note")).to_contain_text("The line has expired", timeout=15_000)
    assert "hmd_x" not in page.locator("main").inner_text()
    page.get_by_role("button", name="Make another").click()
    expect(page.get_by_label("Name of the host")).to_be_visible()


def test_hostile_names_are_text(page: Page, visit: Visit, pretended: Pretended, admin: list[dict[str, Any]]) -> None:
    tell_trail(page, SCRIPT)
    visit("#/enroll")
    expect(page.locator(".arrive")).to_contain_text(SCRIPT)
    assert page.locator("main script, main img").count() == 0


@pytest.mark.axe
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_where_hosts_come_in(
    page: Page, visit: Visit, pretended: Pretended, admin: list[dict[str, Any]], scheme: Any
) -> None:
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    visit("#/enroll")
    expect(page.get_by_label("Name of the host")).to_be_visible()
    page.get_by_text("More", exact=True).first.click()
    assert violations(page) == []
    make_line(page, "a" * 200)
    expect(page.locator(".steps .code code")).to_be_visible()
    assert violations(page) == []
    expect_no_scrolling(page)


def test_a_real_api_makes_a_line_that_lets_its_host_in(page: Page, lone_api: Api, log_in: Callable[[], Any]) -> None:
    lone_api.store.publish_keeper_key(bytes(PrivateKey.generate().public_key))
    log_in()
    expect(page.locator(".lead-t")).to_be_visible()
    page.goto(f"{lone_api.url}/#/enroll")
    make_line(page, "web-01")
    line = page.locator(".steps .code code")
    expect(line).to_contain_text("--kind linux --host web-01")
    expect(page.locator(".note")).to_contain_text("This line works on this machine alone.")
    token = re.search(r"hmd_[\w-]+", line.inner_text())
    assert token
    now = utc_now()
    secret = hash_secret(read_token(token[0]).secret)
    assert lone_api.store.use_token(secret, "web-01", "its own", b"sealed", now + timedelta(seconds=1)) is not None
    expect(page.locator(".lead-t")).to_have_text("web-01 has come in", timeout=15_000)
