"""The status page in a browser: without a key, with scripts and without, and while the server is away."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from api_parts import Api, make_settings, running_api
from page_api import expect_no_scrolling, violations
from playwright.sync_api import Browser, Page, expect
from waiting import free_port

from core.clock import utc_now
from store import HeldVerdict

pytestmark = pytest.mark.chromium


@pytest.fixture
def lone_api(tmp_path: Path) -> Iterator[Api]:
    """An API that publishes its status, and whose broker is away; one of its hosts has crashed."""
    with running_api(make_settings(tmp_path / "home", free_port(), free_port(), HEIMDALL_STATUS_PAGE="on")) as found:
        now = utc_now()
        found.store.record_heartbeat("web-01", "LINUX", now)
        verdict = HeldVerdict("web-01", "offline", "crashed", now - timedelta(minutes=12), None, 0)
        for _ in found.store.claim([verdict], now):
            pass
        yield found


@pytest.mark.axe
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_for_strangers(page: Page, lone_api: Api, scheme: Any) -> None:
    page.emulate_media(color_scheme=scheme)
    page.goto(f"{lone_api.url}/status")
    expect(page.get_by_role("heading")).to_have_text("Heimdall cannot see its machines")
    expect(page.get_by_role("listitem")).to_contain_text("1 lost its connection")
    assert page.locator("h1").evaluate("node => getComputedStyle(node).fontWeight") != "700"  # its style was taken
    assert violations(page) == []
    expect_no_scrolling(page)


def test_it_keeps_itself_fresh_and_says_when_it_is_not(page: Page, lone_api: Api) -> None:
    page.clock.install()
    page.goto(f"{lone_api.url}/status")
    expect(page.get_by_role("listitem")).to_have_count(1)
    page.route(
        "**/status", lambda route: route.fulfill(body="<title>New</title><main><h1>New</h1><i id=stale></i></main>")
    )
    page.clock.run_for(16_000)
    expect(page.get_by_role("heading")).to_have_text("New")
    page.unroute("**/status")
    page.route("**/status", lambda route: route.abort())
    page.clock.run_for(16_000)
    expect(page.locator("#stale")).to_have_text("Heimdall is not reached: this is how it was.")


def test_without_scripts_it_is_loaded_anew(chromium: Browser, lone_api: Api) -> None:
    context = chromium.new_context(java_script_enabled=False)
    plain = context.new_page()
    plain.goto(f"{lone_api.url}/status")
    expect(plain.get_by_role("heading")).to_have_text("Heimdall cannot see its machines")
    assert plain.locator("meta[http-equiv=refresh]").count() == 1
    context.close()


def test_the_badge_is_an_image_that_says_what_it_shows(page: Page, lone_api: Api) -> None:
    page.goto(f"{lone_api.url}/badge.svg")
    expect(page.locator("svg title")).to_have_text("Heimdall: not known")
