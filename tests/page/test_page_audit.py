"""The audit trail: one list, the newest first, in words, searched as far as it is loaded."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from api_parts import Api
from page_api import Pretended, ago, expect_no_scrolling, violations
from playwright.sync_api import Page, Route, expect

from api.auth import issue_key

pytestmark = pytest.mark.chromium

Visit = Callable[..., Any]
SCRIPT = "<script>alert(1)</script><img src=x onerror=alert(1)>"


def make_entry(number: int, action: str = "key.made", **more: str) -> dict[str, Any]:
    entry = {
        "id": str(number), "at": ago(minutes=1_000 - number), "who": "eva", "action": action,
        "target": f"key-{number:03}", "detail": "read, for ever",
    }  # fmt: skip
    return entry | more


@pytest.fixture
def trail(page: Page, pretended: Pretended) -> list[dict[str, Any]]:
    """What `GET /audit` pages through, the newest last."""
    entries: list[dict[str, Any]] = []
    pretended.scopes = ("admin", "operate", "read")

    def answer(route: Route) -> None:
        query = parse_qs(urlsplit(route.request.url).query)
        before, limit = int(query.get("cursor", ["1000000"])[0]), int(query["limit"][0])
        older = [one for one in reversed(entries) if int(one["id"]) < before]
        shown = older[:limit]
        told = {"success": True, "entries": shown, "next": shown[-1]["id"] if len(older) > limit else None}
        route.fulfill(body=json.dumps(told), content_type="application/json")

    page.route("**/audit?*", answer)
    return entries


def rows(page: Page) -> Any:
    return page.locator(".audit tbody tr")


def test_who_did_what_is_said_in_words(page: Page, visit: Visit, trail: list[dict[str, Any]]) -> None:
    trail += [
        make_entry(1, "token.made", target="web-*"),
        make_entry(2, "something.new_here", target="x"),
        make_entry(3, "host.enrolled", target="web-01", who="token of eva"),
    ]
    visit("#/audit")
    expect(page.locator(".lead-t")).to_have_text("token of eva enrolled a host last")
    for row, words in zip(rows(page).all(), ["enrolled a host", "something new here", "made a token"], strict=True):
        expect(row).to_contain_text(words)
    expect(page.get_by_role("link", name="web-01")).to_have_attribute("href", "#/hosts/web-01")
    expect(rows(page).first.locator("time")).to_have_attribute("title", re.compile("CES?T|GMT"))


def test_it_goes_on_as_one_scrolls(page: Page, visit: Visit, trail: list[dict[str, Any]]) -> None:
    trail += [make_entry(number) for number in range(1, 451)]
    visit("#/audit")
    expect(rows(page)).to_have_count(100)
    expect(page.locator(".filters")).to_contain_text("100 entries: the newest, back to")
    page.get_by_role("button", name="Show older").scroll_into_view_if_needed()
    expect(rows(page)).to_have_count(300)
    page.get_by_role("button", name="Show older").scroll_into_view_if_needed()
    expect(rows(page)).to_have_count(450)
    expect(page.locator(".filters")).to_contain_text("450 entries: all there are")
    expect(page.get_by_role("button", name="Show older")).to_have_count(0)


def test_it_is_searched_as_far_as_it_is_loaded_and_says_so(
    page: Page, visit: Visit, trail: list[dict[str, Any]]
) -> None:
    trail += [
        make_entry(number, target=f"old-{number:03}" if number < 100 else f"key-{number}") for number in range(1, 401)
    ]
    visit("#/audit")
    expect(rows(page)).to_have_count(100)
    field = page.get_by_label("Part of who, what or whom")
    field.press_sequentially("EVA key-39")
    expect(page).to_have_url(re.compile(r"#/audit\?q=EVA\+key-39$"))
    expect(rows(page).first).to_contain_text("key-399")
    expect(page.locator(".filters")).to_contain_text(re.compile(r"10 of \d+ entries"))
    page.goto(page.url.replace("EVA+key-39", "nothing-of-it"))
    expect(page.locator(".nomatch")).to_contain_text("No entry that is loaded has “nothing-of-it” in it.")
    page.get_by_role("button", name="Clear the filter").click()
    expect(rows(page).first).to_contain_text("key-400")
    page.go_back()
    expect(page.locator(".nomatch")).to_be_visible()
    page.get_by_role("heading", name="Audit").click()
    page.keyboard.press("/")
    expect(field).to_be_focused()


def test_while_there_is_nothing_it_says_what_would_be(page: Page, visit: Visit, trail: list[dict[str, Any]]) -> None:
    visit("#/audit")
    expect(page.locator(".lead-t")).to_have_text("Nobody has done anything yet")


def test_what_fails_is_said_and_tried_again(page: Page, visit: Visit, trail: list[dict[str, Any]]) -> None:
    trail += [make_entry(1)]
    page.unroute("**/audit?*")
    page.route("**/audit?*", lambda route: route.fulfill(status=403, body='{"detail":"the admin is gone"}'))
    visit("#/audit")
    expect(page.locator(".note")).to_contain_text("The admin is gone.")
    page.unroute("**/audit?*")
    told = json.dumps({"success": True, "entries": trail, "next": None})
    page.route("**/audit?*", lambda route: route.fulfill(body=told))
    page.get_by_role("button", name="Try now").click()
    expect(rows(page)).to_have_count(1)
    expect(page.locator(".note")).to_have_count(0)


def test_who_may_not_read_it_is_told_how(page: Page, visit: Visit, pretended: Pretended) -> None:
    visit("#/audit")
    expect(page.locator(".note")).to_contain_text("Only administrators may read it")
    expect(page.locator(".code code")).to_have_text("heimdall login")


def test_nothing_in_it_runs(page: Page, visit: Visit, trail: list[dict[str, Any]]) -> None:
    trail += [make_entry(1, SCRIPT, who=SCRIPT, target=SCRIPT, detail=SCRIPT, at=SCRIPT), make_entry(2, "constructor")]
    visit("#/audit")
    expect(rows(page).nth(1)).to_contain_text(SCRIPT)
    expect(rows(page).nth(0)).to_contain_text("constructor")
    assert page.locator("main script, main img").count() == 0


@pytest.mark.axe
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_in_the_trail(page: Page, visit: Visit, trail: list[dict[str, Any]], scheme: Any) -> None:
    trail += [make_entry(number, target="a" * 200) for number in range(1, 151)]
    page.emulate_media(color_scheme=scheme)
    visit("#/audit")
    expect(rows(page).first).to_be_visible()
    assert violations(page) == []
    expect_no_scrolling(page)


def test_a_real_trail_is_read(page: Page, lone_api: Api, log_in: Callable[[], Any]) -> None:
    for number in range(3):
        issue_key(lone_api.store, f"grafana-{number}", ["read"], None, "local:eva")
    log_in()
    expect(page.locator(".lead-t")).to_be_visible()
    page.goto(f"{lone_api.url}/#/audit")
    expect(rows(page)).to_have_count(3)
    expect(page.locator(".lead-t")).to_have_text("local:eva made a key last")
