"""Heimdall's own health: what its services say of themselves, and what was refused."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from api_parts import Api
from page_api import Pretended, ago, expect_no_scrolling, violations
from playwright.sync_api import Page, Route, expect

from core.clock import utc_now
from store import WriteBatch
from store.rows import DeadLetter

pytestmark = pytest.mark.chromium

Visit = Callable[..., Any]
SCRIPT = "<script>alert(1)</script><img src=x onerror=alert(1)>"
COUNTED = {
    "events_stored": 1_200_345, "heartbeats_received": 3_000_000, "events_duplicate": 12, "dead_letters": 0,
    "behind_seconds": 0.2,
}  # fmt: skip


def make_service(name: str = "ingestor", state: str = "ok", **more: Any) -> dict[str, Any]:
    parts = {"broker": "ok", "database": "ok"}
    service = {"name": name, "instance": "1", "state": state, "at": ago(seconds=1), "parts": parts, "metrics": {}}
    return service | more


def make_letter(number: int, **more: Any) -> dict[str, Any]:
    letter = {
        "id": str(number), "received_at": ago(minutes=number), "topic": f"heimdall/v1/hosts/kiosk-{number}/events",
        "source_host": f"kiosk-{number}", "reason": "severity 9 is outside 1 to 5", "size": 5_000, "payload": SCRIPT,
        "cut": False,
    }  # fmt: skip
    return letter | more


@pytest.fixture
def told(page: Page, pretended: Pretended) -> dict[str, list[dict[str, Any]]]:
    """What `GET /services` and `GET /dead` answer."""
    held: dict[str, list[dict[str, Any]]] = {"services": [], "dead": []}

    def services(route: Route) -> None:
        route.fulfill(body=json.dumps({"success": True, "services": held["services"]}))

    def dead(route: Route) -> None:
        route.fulfill(body=json.dumps({"success": True, "dead": held["dead"], "next": None}))

    page.route("**/services", services)
    page.route("**/dead?*", dead)
    return held


def rows(page: Page) -> Any:
    return page.locator(".health tbody tr")


def test_while_all_works_it_says_so_and_what_was_counted(
    page: Page, visit: Visit, told: dict[str, list[dict[str, Any]]]
) -> None:
    told["services"] = [make_service(metrics=COUNTED), make_service("watch", parts={"rules": "ok"})]
    visit("#/health")
    expect(page.locator(".lead-t")).to_have_text("Heimdall works")
    expect(page.locator(".lead-s")).to_contain_text("The ingest is less than a second behind.")
    expect(rows(page).first).to_contain_text(
        "1,200,345 events and 3,000,000 heartbeats stored since it began; 12 came twice"
    )
    expect(rows(page).first).to_contain_text("Its parts work: broker, database")
    expect(rows(page).nth(1)).to_contain_text("Judges hosts and tells people.")
    expect(page.locator(".dead")).to_contain_text("Nothing is refused")


def test_what_does_not_work_comes_first_and_says_why(
    page: Page, visit: Visit, told: dict[str, list[dict[str, Any]]]
) -> None:
    fault = "1 has given no sign of life for 95 s"
    told["services"] = [
        make_service(),
        make_service("watch", fault, at=ago(seconds=95)),
        make_service("api", instance="a"),
    ]
    visit("#/health")
    expect(page.locator(".lead-t")).to_have_text("The watch does not work")
    expect(rows(page).first).to_contain_text("Broken")
    expect(rows(page).first).to_contain_text("Has given no sign of life for 95 s.")
    expect(rows(page).first).to_contain_text(re.compile(r"since 1.min"))


def test_one_of_several_that_is_away_is_no_alarm(
    page: Page, visit: Visit, told: dict[str, list[dict[str, Any]]]
) -> None:
    told["services"] = [make_service(), make_service(instance="2", state="2 is offline (stop)")]
    visit("#/health")
    expect(page.locator(".lead-t")).to_have_text("One of several is away: ingestor")
    expect(rows(page).first).to_contain_text("Stopped")


def test_what_was_refused_is_opened_as_text(page: Page, visit: Visit, told: dict[str, list[dict[str, Any]]]) -> None:
    told["services"] = [make_service(SCRIPT, SCRIPT, parts={SCRIPT: SCRIPT})]
    told["dead"] = [make_letter(1, cut=True), make_letter(2, source_host=None, topic=SCRIPT, reason=SCRIPT, payload="")]
    visit("#/health")
    first = page.locator(".dead li").first
    expect(first).to_contain_text("Severity 9 is outside 1 to 5.")
    expect(page.locator("pre")).to_have_count(0)
    first.get_by_role("button", name="What it was").focus()
    page.keyboard.press("Enter")
    expect(page.locator("pre")).to_have_text(SCRIPT)
    expect(first).to_contain_text("These are the first 4 KiB of it.")
    page.keyboard.press("Enter")
    expect(page.locator("pre")).to_have_count(0)
    assert page.locator("main script, main img").count() == 0


def test_who_may_only_read_asks_for_no_dead_letters(
    page: Page, visit: Visit, pretended: Pretended, told: dict[str, list[dict[str, Any]]]
) -> None:
    pretended.scopes = ("read",)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    told["services"] = [make_service()]
    visit("#/health")
    expect(page.locator(".lead-t")).to_have_text("Heimdall works")
    expect(page.locator(".dead")).to_have_count(0)
    assert not any("/dead" in url for url in asked)


def test_when_nobody_gives_a_sign_it_says_so(page: Page, visit: Visit, told: dict[str, list[dict[str, Any]]]) -> None:
    visit("#/health")
    expect(page.locator(".calm").first).to_contain_text("No service has given a sign of life")


def test_what_fails_is_said(page: Page, visit: Visit, told: dict[str, list[dict[str, Any]]]) -> None:
    page.unroute("**/services")
    page.route("**/services", lambda route: route.fulfill(status=403, body='{"detail":"it is closed"}'))
    visit("#/health")
    expect(page.locator(".note")).to_contain_text("It is closed.")


@pytest.mark.axe
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_about_health(
    page: Page, visit: Visit, told: dict[str, list[dict[str, Any]]], scheme: Any
) -> None:
    told["services"] = [make_service(metrics=COUNTED), make_service("watch", f"1: rules: {'a' * 300}")]
    told["dead"] = [make_letter(number, reason="a" * 300) for number in range(1, 4)]
    page.emulate_media(color_scheme=scheme)
    visit("#/health")
    page.get_by_role("button", name="What it was").first.click()
    assert violations(page) == []
    expect_no_scrolling(page)


def test_real_letters_are_read(page: Page, lone_api: Api, log_in: Callable[[], Any]) -> None:
    letter = DeadLetter("heimdall/v1/hosts/web-01/events", "web-01", "not JSON", SCRIPT.encode(), len(SCRIPT))
    lone_api.store.write(WriteBatch([], utc_now(), dead=[letter]))
    log_in()
    expect(page.locator(".lead-t")).to_be_visible()
    page.goto(f"{lone_api.url}/#/health")
    expect(page.locator(".lead-t")).to_have_text("Events do not go all the way")
    page.get_by_role("button", name="What it was").click()
    expect(page.locator("pre")).to_have_text(SCRIPT)
