"""The view of events, before a real API."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from api_parts import Api
from page_api import expect_no_scrolling, violations
from playwright.sync_api import Page, expect

from core.clock import utc_now
from core.ids import uuid7
from core.messages import Event
from store import WriteBatch

pytestmark = pytest.mark.chromium

SCRIPT = "<script>alert(1)</script><img src=x onerror=alert(1)>"


def lead(page: Page) -> Any:
    return page.locator(".lead-t")


@pytest.fixture
def filled(lone_api: Api) -> Api:
    """121 events that have just come, of two hosts, and one of five hours ago."""
    now = utc_now()
    early = make_event(now - timedelta(hours=5), "Failed password long ago")
    lone_api.store.write(WriteBatch([early], now - timedelta(hours=5)))
    events = [make_event(now, f"Failed password {number}") for number in range(120)]
    events.append(Event(uuid7(), now, "db-01", "WINDOWS", "LOG_TAMPERING", 5, SCRIPT, "N/A", SCRIPT))
    lone_api.store.write(WriteBatch(events, now))
    return lone_api


def make_event(at: datetime, message: str) -> Event:
    return Event(uuid7(), at, "web-01", "LINUX", "LOGIN_FAIL", 3, message, "203.0.113.9", "root")


@pytest.fixture
def inside(page: Page, log_in: Callable[[], Any], filled: Api) -> Callable[..., None]:
    """Goes to the view, with a query."""
    log_in()
    expect(page.locator(".side, .tabs").first).to_be_visible()

    def go(query: str = "") -> None:
        page.goto(f"{filled.url}/#/events{query}")
        expect(rows(page).first.or_(page.locator(".nomatch"))).to_be_visible()

    return go


def rows(page: Page) -> Any:
    return page.locator(".events tbody tr:not(.detail)")


@pytest.mark.axe
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_and_nothing_runs(page: Page, inside: Callable[..., None], scheme: Any) -> None:
    page.emulate_media(color_scheme=scheme)
    inside()
    rows(page).first.get_by_role("button").click()
    page.keyboard.press("p")
    expect(lead(page)).to_contain_text("critical event")
    assert violations(page) == []
    assert page.locator("main script, img[src=x]").count() == 0


def test_no_width_scrolls_sideways(page: Page, inside: Callable[..., None]) -> None:
    inside()
    rows(page).first.get_by_role("button").click()
    expect_no_scrolling(page)


def box_of(page: Page) -> Any:
    box = page.locator(".timeline .bars").bounding_box()
    assert box is not None
    return box


def test_one_drags_across_the_histogram_to_see_that_time_alone(page: Page, inside: Callable[..., None]) -> None:
    inside()
    expect(rows(page)).to_have_count(100)
    box = box_of(page)
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] * 0.7, middle)
    expect(page.locator(".timeline-said")).to_contain_text("0 events")
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.9, middle, steps=5)
    expect(page.locator(".timeline-said")).to_contain_text("1 event. Let go")
    page.mouse.up()
    expect(rows(page)).to_have_count(1)
    expect(rows(page)).to_contain_text("Failed password long ago")
    expect(lead(page)).to_have_text("1 event in the time chosen, none critical")
    assert "since=" in page.url
    assert "until=" in page.url
    page.get_by_role("button", name="Remove the time chosen").click()
    expect(rows(page)).to_have_count(100)


def test_a_finger_chooses_a_time_too(page: Page, inside: Callable[..., None]) -> None:
    inside()
    box = box_of(page)
    device = page.context.new_cdp_session(page)
    begin, end = ({"x": box["x"] + box["width"] * share, "y": box["y"] + 20} for share in (0.7, 0.9))
    device.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [begin]})
    device.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [end]})
    device.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    expect(rows(page)).to_have_count(1)


def test_keys_choose_a_time(page: Page, inside: Callable[..., None]) -> None:
    inside()
    line = page.get_by_role("slider")
    line.focus()
    page.keyboard.press("End")
    expect(line).to_have_attribute("aria-valuetext", re.compile("121 events, 1 critical"))
    page.keyboard.press("Escape")
    expect(line).to_have_attribute("aria-valuetext", "nothing is chosen")
    page.keyboard.press("PageUp")
    page.keyboard.press("ArrowLeft")
    for _ in range(3):
        page.keyboard.press("Shift+PageDown")
    expect(line).to_have_attribute("aria-valuetext", re.compile(": 1 event\\."))
    page.keyboard.press("Enter")
    expect(rows(page)).to_have_count(1)


def test_what_comes_in_is_shown_and_waits_while_it_is_paused(
    page: Page, inside: Callable[..., None], filled: Api
) -> None:
    inside("?source_host=web-01")
    page.mouse.move(5, 5)
    filled.store.write(WriteBatch([make_event(utc_now(), "Failed password just now")], utc_now()))
    expect(rows(page).first).to_contain_text("just now", timeout=20_000)
    page.get_by_role("button", name="Pause").click()
    note = page.locator(".note", has_text="Paused at")
    expect(note).to_contain_text("Nothing newer has come.")
    filled.store.write(WriteBatch([make_event(utc_now(), f"Failed password later {n}") for n in (1, 2)], utc_now()))
    expect(note).to_contain_text("2 newer events wait.", timeout=20_000)
    expect(rows(page).first).to_contain_text("just now")
    page.keyboard.press("p")
    expect(rows(page).first).to_contain_text("later 2")
    expect(note).to_have_count(0)


def test_rows_wait_while_somebody_is_among_them(page: Page, inside: Callable[..., None], filled: Api) -> None:
    inside("?source_host=web-01")
    page.keyboard.press("j")
    page.keyboard.press("j")
    expect(rows(page).nth(1).get_by_role("button")).to_be_focused()
    filled.store.write(WriteBatch([make_event(utc_now(), "Failed password just now")], utc_now()))
    page.get_by_role("button", name="Show them").click(timeout=20_000)
    expect(rows(page).first).to_contain_text("just now")


def test_events_are_narrowed_by_the_address_and_opened_in_place(page: Page, inside: Callable[..., None]) -> None:
    inside("?event_type=LOG_TAMPERING")
    row = rows(page).first
    expect(row).to_contain_text("db-01")
    expect(rows(page)).to_have_count(1)
    row.get_by_role("button").click()
    expect(page.locator(".detail pre")).to_have_text(SCRIPT)
    page.get_by_label("Type").select_option("LOGIN_FAIL")
    expect(rows(page).first).to_contain_text("Failed password 119")
    assert "event_type=LOGIN_FAIL" in page.url
    page.go_back()
    expect(rows(page).first).to_contain_text("db-01")


def test_more_events_come_when_they_are_asked_for(page: Page, inside: Callable[..., None]) -> None:
    inside("?source_host=web-01")
    expect(rows(page)).to_have_count(100)
    page.get_by_role("button", name="Show more").click()
    expect(rows(page)).to_have_count(121)
    expect(page.get_by_role("button", name="Show more")).to_have_count(0)


def test_where_there_is_nothing_it_says_what_would_be(page: Page, log_in: Callable[[], Any], lone_api: Api) -> None:
    log_in()
    expect(page.locator(".side, .tabs").first).to_be_visible()
    page.goto(f"{lone_api.url}/#/events")
    expect(page.locator("main")).to_contain_text("Nothing was stored in the last 24 hours.")
    page.get_by_role("button", name="Look at all time").click()
    expect(page.locator("main")).to_contain_text("Nothing is stored yet.")


def test_what_is_exported_is_what_is_shown(page: Page, inside: Callable[..., None], tmp_path: Path) -> None:
    inside("?event_type=LOG_TAMPERING")
    expect(rows(page)).to_have_count(1)
    with page.expect_download() as started:
        page.get_by_role("link", name="CSV").click()
    started.value.save_as(tmp_path / "events.csv")
    told = list(csv.DictReader(io.StringIO((tmp_path / "events.csv").read_text(), newline="")))
    assert [row["raw_message"] for row in told] == [SCRIPT]


def test_nothing_that_fits_says_so_and_clears(page: Page, inside: Callable[..., None]) -> None:
    inside("?q=nothing-of-the-kind")
    expect(page.locator(".nomatch")).to_contain_text("No event fits")
    page.get_by_role("button", name="Clear the filter").click()
    expect(rows(page)).to_have_count(100)
