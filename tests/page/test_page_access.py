"""Everybody can use the page: axe finds nothing, no width scrolls sideways, paper is readable."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from page_api import ORDER, Pretended, expect_no_scrolling, make_alert, make_host, violations
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.chromium

Visit = Callable[..., Any]


def fill(pretended: Pretended) -> None:
    """One host of each state, with all that a host can have."""
    outage = {"began_at": "2026-11-27T20:00:00.000000Z", "ended_at": "2026-11-27T21:00:00.000000Z", "cause": "zombie"}
    pretended.hosts = [make_host(f"host-{state}", state, tags=["lyon", "office"], outages=[outage]) for state in ORDER]
    pretended.hosts.append(make_host("x" * 253, "silent", score=20.0, total_events=10**9))
    pretended.alerts = [make_alert("host-crashed"), make_alert("host-zombie", "zombie"), make_alert("x" * 253, "rule")]
    pretended.changes = [{"hostname": "x" * 253, "cause": "silent", "began_at": outage["began_at"], "ended_at": None}]


@pytest.mark.axe
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("view", ["overview", "hosts"])
def test_axe_finds_nothing(page: Page, pretended: Pretended, visit: Visit, view: str, scheme: Any) -> None:
    fill(pretended)
    page.emulate_media(color_scheme=scheme)
    visit(f"#/{view}")
    expect(page.locator(".ledger")).to_be_visible()
    expect(page.locator(".need, .grid-body .grid-row").first).to_be_visible()
    assert violations(page) == []
    if view == "hosts":
        page.get_by_label("Choose host-crashed").check()
        assert violations(page) == []
        page.get_by_role("button", name="Silence").click()
        expect(page.get_by_role("dialog")).to_be_visible()
        assert violations(page) == []


@pytest.mark.axe
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_where_there_is_nothing_or_nobody(
    page: Page, pretended: Pretended, visit: Visit, scheme: Any
) -> None:
    page.emulate_media(color_scheme=scheme)
    visit()
    expect(page.get_by_text("No hosts yet")).to_be_visible()
    assert violations(page) == []
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    assert violations(page) == []
    page.keyboard.press("Escape")
    pretended.broken = "the database is away"
    expect(page.locator(".note").first).to_be_visible(timeout=15_000)
    assert violations(page) == []
    pretended.broken = None
    pretended.signed_in = False
    page.reload()
    expect(page.get_by_label("API key")).to_be_visible()
    assert violations(page) == []


@pytest.mark.parametrize("view", ["overview", "hosts"])
def test_no_width_scrolls_sideways(page: Page, pretended: Pretended, visit: Visit, view: str) -> None:
    fill(pretended)
    visit(f"#/{view}")
    expect(page.locator(".need, .grid-body .grid-row").first).to_be_visible()
    expect_no_scrolling(page)


def test_the_api_documents_do_not_scroll_sideways(page: Page, visit: Visit) -> None:
    page.set_viewport_size({"width": 320, "height": 900})
    visit("docs")
    assert page.evaluate("document.documentElement.scrollWidth") <= 320


def test_paper_is_light_and_without_what_can_only_be_pressed(page: Page, pretended: Pretended, visit: Visit) -> None:
    fill(pretended)
    page.emulate_media(media="print", color_scheme="dark")
    visit("#/hosts")
    expect(page.locator(".grid-body .grid-row").first).to_be_visible()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    for hidden in (".side", ".top-search", ".filters"):
        expect(page.locator(hidden)).to_be_hidden()


def test_all_that_is_loaded_comes_on_paper(page: Page, pretended: Pretended, visit: Visit) -> None:
    pretended.hosts = [make_host(f"web-{number:03}") for number in range(250)]
    visit("#/hosts")
    expect(page.locator(".grid-body .grid-row").first).to_be_visible()
    assert page.locator(".grid-body .grid-row").count() < 60
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print")
    expect(page.locator(".grid-body .grid-row")).to_have_count(100)
    boxes = [row.bounding_box() for row in page.locator(".grid-body .grid-row").all()[:20]]
    tops = [box["y"] for box in boxes if box is not None]
    assert all(second - first >= 30 for first, second in pairwise(tops))  # none lies on another


def test_who_wants_no_motion_gets_none(page: Page, pretended: Pretended, visit: Visit) -> None:
    fill(pretended)
    page.emulate_media(reduced_motion="reduce")
    visit("#/hosts")
    expect(page.locator(".ledger a").first).to_be_visible()
    assert page.evaluate("getComputedStyle(document.querySelector('.ledger a')).transitionDuration") == "0s"


def test_a_state_is_a_word_and_a_shape_of_its_own(page: Page, pretended: Pretended, visit: Visit) -> None:
    fill(pretended)
    visit("#/hosts")
    cells = page.locator(".ledger .st").filter(has=page.locator("use"))
    expect(cells).to_have_count(len(ORDER))
    shapes = [cell.locator("use").get_attribute("href") for cell in cells.all()]
    assert len(set(shapes)) == len(ORDER)
    assert all(page.locator(f"symbol{shape}").count() == 1 for shape in shapes)
