"""The page in a real browser."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta

import pytest
from api_parts import Api
from chromium import launched
from playwright.sync_api import Browser, BrowserContext, Page, expect

from api.auth import make_login_link
from core.clock import utc_now
from core.ids import uuid7
from core.messages import Event
from store import WriteBatch

pytestmark = pytest.mark.chromium


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with launched() as browser:
        yield browser


@pytest.fixture
def context(chromium: Browser) -> Iterator[BrowserContext]:
    made = chromium.new_context(locale="en-GB", timezone_id="Europe/Berlin")
    yield made
    made.close()


@pytest.fixture
def page(context: BrowserContext, lone_api: Api) -> Iterator[Page]:
    """A page whose every request goes to the API, without a fault or a word on its console."""
    opened = context.new_page()
    faults: list[str] = []
    elsewhere: list[str] = []
    opened.on("pageerror", lambda error: faults.append(str(error)))
    opened.on("console", lambda said: faults.append(said.text) if "Content Security Policy" in said.text else None)
    opened.on("dialog", lambda dialog: (faults.append("a script ran"), dialog.dismiss()))
    opened.on("request", lambda request: request.url.startswith(lone_api.url) or elsewhere.append(request.url))
    yield opened
    assert faults == []
    assert elsewhere == []


def log_in(page: Page, api: Api) -> None:
    page.goto(f"{api.url}/login?token={make_login_link(api.store, utc_now())}")


def beat(api: Api, host: str, minutes: float = 0, os_type: str = "LINUX") -> None:
    api.store.record_heartbeat(host, os_type, utc_now() - timedelta(minutes=minutes))


def test_a_login_link_opens_the_page_and_it_says_how_to_begin(page: Page, lone_api: Api) -> None:
    log_in(page, lone_api)
    assert page.url == f"{lone_api.url}/"
    expect(page.locator("#lead")).to_have_text("No machines yet")
    expect(page.locator("#curl")).to_contain_text(f"curl -X POST {lone_api.url}/heartbeat")
    assert page.evaluate("document.cookie") == ""


def test_a_link_clicked_on_another_sites_page_logs_in_too(page: Page, context: BrowserContext, lone_api: Api) -> None:
    link = f"{lone_api.url}/login?token={make_login_link(lone_api.store, utc_now())}"
    page.goto("data:text/html,<a href='" + link + "'>in</a>")
    page.click("a")
    expect(page.locator("#lead")).to_have_text("No machines yet")


def test_without_a_session_it_asks_for_a_key_and_takes_it(page: Page, lone_api: Api) -> None:
    beat(lone_api, "web-01")
    page.goto(lone_api.url)
    expect(page.get_by_label("API key")).to_be_focused()
    page.keyboard.type("wrong")
    page.keyboard.press("Enter")
    expect(page.locator("#key-fault")).to_contain_text("unknown")
    page.get_by_label("API key").fill(lone_api.key)
    page.keyboard.press("Enter")
    expect(page.locator("#lead")).to_have_text("The one machine is active")
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("API key")).to_be_visible()
    expect(page.locator("tbody tr")).to_have_count(0)
    page.reload()
    expect(page.get_by_label("API key")).to_be_visible()


def test_silent_machines_come_first_and_the_sentence_counts_them(page: Page, lone_api: Api) -> None:
    for host, minutes in (("a-1", 0), ("b-2", 20), ("c-3", 90), ("d-4", 1)):
        beat(lone_api, host, minutes)
    log_in(page, lone_api)
    expect(page.locator("#lead")).to_have_text("2 of 4 machines have been silent for more than 15\u202fmin")
    # waited for: the rows may be drawn a frame after the sentence
    expect(page.locator("td.host > span:first-child")).to_have_text(["b-2", "c-3", "a-1", "d-4"])
    expect(page.locator("td.age").nth(0)).to_have_text("20\u202fmin")
    expect(page.locator("td.age").nth(1)).to_have_text("1\u202fh")
    expect(page.locator("#zone")).to_contain_text("CET")


def test_the_threshold_is_a_choice_and_stays_in_the_address(page: Page, lone_api: Api) -> None:
    beat(lone_api, "web-01", 20)
    beat(lone_api, "web-02")
    log_in(page, lone_api)
    page.get_by_label("Silent after").select_option("60")
    expect(page.locator("#lead")).to_have_text("All 2 machines are active")
    page.reload()
    expect(page.locator("#lead")).to_have_text("All 2 machines are active")
    assert "threshold=60" in page.url


def test_the_filter_finds_parts_of_names_and_systems_by_keyboard_alone(page: Page, lone_api: Api) -> None:
    for host, system in (("web-01", "LINUX"), ("web-02", "WINDOWS"), ("db-01", "LINUX")):
        beat(lone_api, host, 0, system)
    log_in(page, lone_api)
    expect(page.locator("tbody tr")).to_have_count(3)
    page.keyboard.press("/")
    page.keyboard.type("WEB linux")
    expect(page.locator("tbody tr")).to_have_count(1)
    page.keyboard.press("Escape")
    expect(page.locator("tbody tr")).to_have_count(3)
    page.keyboard.type("nobody")
    expect(page.locator("#no-match-text")).to_have_text("No machine matches “nobody”.")
    page.get_by_role("button", name="Show all").click()
    page.get_by_role("button", name="Silent").click()
    expect(page.locator("#no-match-text")).to_have_text("There is no silent machine.")


def test_it_refreshes_by_itself_and_keeps_the_rows_that_are_there(page: Page, lone_api: Api) -> None:
    beat(lone_api, "web-01")
    log_in(page, lone_api)
    expect(page.locator("tbody tr")).to_have_count(1)
    page.evaluate("document.querySelector('tbody tr').dataset.kept = 'yes'")
    beat(lone_api, "web-00")
    expect(page.locator("tbody tr")).to_have_count(2, timeout=15_000)
    expect(page.locator("tbody tr[data-kept]")).to_contain_text("web-01")


def test_a_lost_connection_is_said_and_ages_stop(page: Page, context: BrowserContext, lone_api: Api) -> None:
    beat(lone_api, "web-01")
    log_in(page, lone_api)
    expect(page.locator("#live-word")).to_have_text("Live")
    context.set_offline(True)
    expect(page.locator("#live-word")).to_have_text("Stale since", timeout=15_000)
    expect(page.locator("#trouble")).to_contain_text("cannot be reached")
    expect(page.locator("#sub")).to_contain_text("As of")
    age = page.locator("td.age").text_content()
    page.wait_for_timeout(2_100)  # longer than the second in which a live age counts on
    assert page.locator("td.age").text_content() == age
    context.set_offline(False)
    expect(page.locator("#live-word")).to_have_text("Live", timeout=15_000)
    expect(page.locator("#trouble")).to_be_hidden()


def test_a_session_that_ends_elsewhere_asks_for_the_key_again(
    page: Page, context: BrowserContext, lone_api: Api
) -> None:
    beat(lone_api, "web-01")
    log_in(page, lone_api)
    expect(page.locator("tbody tr")).to_have_count(1)
    context.clear_cookies()
    expect(page.get_by_label("API key")).to_be_visible(timeout=15_000)


def test_what_a_host_says_is_shown_and_never_run(page: Page, lone_api: Api) -> None:
    script = '<img src=x onerror="alert(1)">'
    answer = json.dumps(
        {
            "success": True, "active_hosts": [], "threshold_minutes": 15, "total_active": 0, "total_inactive": 1,
            "inactive_hosts": [
                {
                    "hostname": script, "os_type": script, "last_seen": script, "total_events": 1,
                    "tags": [script, "x" * 300], "state": None, "since": None, "reason": None, "score": None,
                }
            ],
        }
    )  # fmt: skip
    # the store takes no such host: the page must not rely on it
    page.route("**/hosts?*", lambda route: route.fulfill(body=answer, content_type="application/json"))
    log_in(page, lone_api)
    expect(page.locator("td.host")).to_contain_text(script)
    expect(page.locator("td.system")).to_have_text(script)
    expect(page.locator("td.age")).to_have_text("unknown")
    assert page.locator("img").count() == 0


@pytest.mark.parametrize("width", [320, 390, 720, 1440, 3840])
def test_no_width_scrolls_sideways(page: Page, lone_api: Api, width: int) -> None:
    beat(lone_api, "x" * 253, 20)
    event = Event(uuid7(), utc_now(), "web-01", "LINUX", "LOGIN_FAIL", 3, "raw")
    lone_api.store.write(WriteBatch([event], utc_now(), [], []))
    page.set_viewport_size({"width": width, "height": 900})
    log_in(page, lone_api)
    expect(page.locator("tbody tr")).to_have_count(2)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.goto(f"{lone_api.url}/docs")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
