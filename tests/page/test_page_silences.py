"""Silences and maintenance: what holds, what is announced, and how one is made and ended."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from page_api import WIDTHS, Pretended, bring_back, expect_no_scrolling, make_hold, make_host, take_away, violations
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.chromium

Visit = Callable[..., Any]


def rows(page: Page, section: str) -> Any:
    return page.locator("section", has=page.get_by_role("heading", name=section, exact=True)).locator(".al")


def fill(pretended: Pretended) -> None:
    pretended.silences = [make_hold("web-* db-1"), make_hold("kiosk-03", -300, 5_000, kinds=["silent", "crashed"])]
    pretended.maintenance = [make_hold("lyon-*", -30, 20.5), make_hold("nas-01", 600.5, 660, reason="a new disk")]


def test_what_holds_ends_first_and_what_is_announced_follows(page: Page, pretended: Pretended, visit: Visit) -> None:
    fill(pretended)
    visit("#/silences")
    expect(page.locator(".lead-t")).to_have_text("2 silences and 1 maintenance window hold now")
    present = rows(page, "Holds now")
    for row, hosts in zip(present.all(), ["lyon-*", "web-*db-1", "kiosk-03"], strict=True):
        expect(row.locator(".t")).to_have_text(hosts)
    expect(present.nth(0)).to_contain_text("Maintenance: a new switch")
    expect(present.nth(0).locator(".age")).to_have_text("20\u202fmin left")
    expect(present.nth(2)).to_contain_text("Silence of silent and crashed alone: a new switch")
    expect(present.nth(2)).to_contain_text("by eva")
    expect(rows(page, "Announced")).to_contain_text("Maintenance: a new disk")
    expect(rows(page, "Announced").locator(".age")).to_have_text("in 10\u202fh")
    expect(rows(page, "Announced").locator("time").first).to_have_attribute("title", re.compile(r"CES?T$"))
    expect(page.get_by_role("link", name="web-*")).to_have_attribute("href", "#/hosts?q=web-")
    expect(page.get_by_role("link", name="db-1")).to_have_attribute("href", "#/hosts/db-1")


def test_when_nothing_holds_it_says_so(page: Page, pretended: Pretended, visit: Visit) -> None:
    visit("#/silences")
    expect(page.locator(".lead-t")).to_have_text("Nobody is kept from being told")
    expect(page.get_by_text("People are told of every host.")).to_be_visible()
    expect(page.get_by_role("button", name="Silence hosts")).to_be_visible()


def test_a_silence_is_made_and_whom_it_fits_is_said(page: Page, pretended: Pretended, visit: Visit) -> None:
    pretended.hosts = [make_host(name) for name in ("web-01", "web-02", "old-web-03", "db-01")]
    visit("#/silences")
    page.get_by_role("button", name="Silence hosts").click()
    dialog = page.get_by_role("dialog", name="Silence hosts")
    dialog.get_by_label("Hosts", exact=True).fill("web-*, d?-01 mail")
    expect(dialog).to_contain_text("web-* fits 2 hosts. d?-01 fits 1 host. mail fits no host that is known now.")
    dialog.get_by_label("For").select_option("Other …")
    dialog.get_by_label("How long").fill("90m")
    dialog.get_by_role("button", name="zombie").click()
    dialog.get_by_role("button", name="crashed").click()
    dialog.get_by_role("button", name="zombie").click()
    dialog.get_by_label("Reason").fill("a new switch")
    dialog.get_by_role("button", name="Silence", exact=True).click()
    expect(page.locator(".toast")).to_have_text("Silenced: nobody is told")
    body = {"hosts": ["web-*", "d?-01", "mail"], "for": "90m", "kinds": ["crashed"], "reason": "a new switch"}
    assert pretended.sent == [("POST", "/silences", body)]
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_of_many_hosts_no_more_is_said_than_is_known(page: Page, pretended: Pretended, visit: Visit) -> None:
    pretended.hosts = [make_host(f"web-{number:03}") for number in range(300)]
    visit("#/silences")
    expect(page.get_by_role("button", name="Silence hosts")).to_be_visible()
    page.keyboard.press("s")
    page.get_by_label("Hosts", exact=True).fill("web-1* *")
    expect(page.get_by_role("dialog")).to_contain_text("web-1* fits 100 hosts. * fits all 300 hosts.")
    page.get_by_label("Hosts", exact=True).fill("web-*9")
    expect(page.get_by_role("dialog")).to_contain_text("at most 300 hosts: so many have “web-” in their names")


def test_maintenance_is_announced_in_the_readers_zone(page: Page, pretended: Pretended, visit: Visit) -> None:
    visit("#/silences")
    expect(page.get_by_role("button", name="Announce maintenance")).to_be_visible()
    page.keyboard.press("w")
    dialog = page.get_by_role("dialog", name="Announce maintenance")
    dialog.get_by_label("Hosts", exact=True).fill("nas-01")
    dialog.get_by_label("From").fill("2030-07-10T00:30")
    expect(dialog).to_contain_text("Wed, 00:30 CEST; Tue, 22:30 UTC")
    dialog.get_by_label("Until").fill("2030-07-10T02:30")
    dialog.get_by_role("button", name="Announce").click()
    expect(page.locator(".toast")).to_have_text("Maintenance announced")
    times = {"from": "2030-07-09T22:30:00.000Z", "until": "2030-07-10T00:30:00.000Z"}
    assert pretended.sent == [("POST", "/maintenance", {"hosts": ["nas-01"], "reason": ""} | times)]


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ("hosts 'web 1!' fits no host name: use 1 to 253 characters", "Hosts"),
        ("kinds 'x' is no kind of alerts", "Kinds of alerts"),
        ("for '9' is no duration: use a number above 0 and m, h or d", "For"),
        ("reason: use at most 500 characters, and no NUL", "Reason"),
    ],
)
def test_what_is_refused_is_said_at_its_field(
    page: Page, pretended: Pretended, visit: Visit, said: str, field: str
) -> None:
    pretended.refusal = said
    visit("#/silences")
    page.get_by_role("button", name="Silence hosts").click()
    page.get_by_label("Hosts", exact=True).fill("web-*")
    page.get_by_role("dialog").get_by_role("button", name="Silence", exact=True).click()
    wrong = page.get_by_label(field, exact=True)
    expect(wrong).to_be_focused()
    fault = wrong.locator("xpath=ancestor::*[contains(@class, 'ask')]").locator(".fault")
    expect(fault).to_have_text(said[0].upper() + said[1:] + ".")
    expect(page.get_by_label("Hosts", exact=True)).to_have_value("web-*")


def test_what_is_refused_for_another_reason_is_said_below(page: Page, pretended: Pretended, visit: Visit) -> None:
    pretended.refusal = "the key needs the scope operate"
    visit("#/silences")
    page.get_by_role("button", name="Silence hosts").click()
    page.get_by_label("Hosts", exact=True).fill("web-*")
    page.get_by_role("dialog").get_by_role("button", name="Silence", exact=True).click()
    expect(page.locator(".hold > .fault")).to_have_text("The key needs the scope operate.")


def test_it_is_ended_after_a_question(page: Page, pretended: Pretended, visit: Visit) -> None:
    fill(pretended)
    visit("#/silences")
    page.get_by_role("button", name="End web-*, db-1").click()
    dialog = page.get_by_role("dialog", name="End the silence now")
    expect(dialog).to_contain_text("at once of what is still broken, of web-*, db-1.")
    dialog.get_by_role("button", name="Cancel").click()
    assert pretended.sent == []
    page.get_by_role("button", name="End web-*, db-1").click()
    dialog.get_by_role("button", name="End").click()
    expect(page.locator(".toast")).to_have_text("The silence is ended")
    page.get_by_role("button", name="Call off nas-01").click()
    dialog = page.get_by_role("dialog", name="Call off maintenance")
    dialog.get_by_role("button", name="Call off").click()
    expect(page.locator(".toast").last).to_have_text("Called off")
    assert [(method, path) for method, path, _ in pretended.sent] == [
        ("DELETE", "/silences/hold-web-*%20db-1"), ("DELETE", "/maintenance/hold-nas-01")
    ]  # fmt: skip


def test_who_may_only_read_changes_nothing(page: Page, pretended: Pretended, visit: Visit) -> None:
    fill(pretended)
    pretended.scopes = ("read",)
    visit("#/silences")
    expect(rows(page, "Holds now")).to_have_count(3)
    expect(page.get_by_role("main").get_by_role("button")).to_have_count(0)
    page.keyboard.press("s")
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_rows_are_walked_by_keys(page: Page, pretended: Pretended, visit: Visit) -> None:
    fill(pretended)
    visit("#/silences")
    expect(rows(page, "Announced")).to_have_count(1)
    for _ in range(4):
        page.keyboard.press("j")
    expect(page.get_by_role("link", name="nas-01")).to_be_focused()
    page.keyboard.press("k")
    expect(page.get_by_role("link", name="kiosk-03")).to_be_focused()


def test_what_others_do_is_shown(page: Page, pretended: Pretended, visit: Visit) -> None:
    visit("#/silences")
    expect(page.get_by_text("People are told of every host.")).to_be_visible()
    pretended.silences = [make_hold("web-*")]
    expect(page.locator(".lead-t")).to_have_text("1 silence holds now", timeout=15_000)


def test_what_somebody_wrote_is_shown_and_never_run(page: Page, pretended: Pretended, visit: Visit) -> None:
    script = '<img src=x onerror="alert(1)">'
    pretended.silences = [
        make_hold("x", reason=script, made_by=script, kinds=[script]) | {"hosts": [script, "y" * 253]},
        make_hold(" ".join(f"web-{number:03}" for number in range(100)), reason="y" * 500) | {"from": script},
    ]
    page.set_viewport_size({"width": 390, "height": 900})
    visit("#/silences")
    expect(rows(page, "Holds now").first).to_contain_text(script)
    expect(rows(page, "Holds now").last).to_contain_text("and 92 others")
    assert page.locator("img").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.get_by_role("button", name=re.compile("^End")).first.click()
    expect(page.get_by_role("dialog")).to_contain_text(script)


def test_an_error_says_what_it_is_and_is_over_when_it_is_solved(page: Page, pretended: Pretended, visit: Visit) -> None:
    fill(pretended)
    take_away(page, "/maintenance")
    visit("#/silences")
    expect(rows(page, "Holds now")).to_have_count(2)
    bring_back(page, pretended, "/maintenance", "Maintenance cannot be had.")
    expect(rows(page, "Holds now")).to_have_count(3)
    expect(page.locator(".note")).to_have_count(0)


def test_what_is_slow_is_drawn_as_bars(page: Page, pretended: Pretended, visit: Visit) -> None:
    for path in ("silences", "maintenance"):
        page.route(f"**/{path}", lambda _route: None)  # it never answers
    visit("#/silences")
    expect(page.locator(".skel").first).to_be_visible()


def test_no_width_scrolls_sideways(page: Page, pretended: Pretended, visit: Visit) -> None:
    fill(pretended)
    visit("#/silences")
    expect(rows(page, "Announced")).to_have_count(1)
    expect_no_scrolling(page)
    page.get_by_role("button", name="Announce maintenance").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        assert dialog.evaluate("(node) => node.scrollWidth <= node.clientWidth"), width


@pytest.mark.axe
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(page: Page, pretended: Pretended, visit: Visit, scheme: Any) -> None:
    fill(pretended)
    pretended.hosts = [make_host("web-01")]
    page.emulate_media(color_scheme=scheme)
    visit("#/silences")
    expect(rows(page, "Announced")).to_have_count(1)
    assert violations(page) == []
    page.get_by_role("button", name="Silence hosts").click()
    page.get_by_label("Hosts", exact=True).fill("web-*")
    page.get_by_role("button", name="zombie").click()
    pretended.refusal = "hosts: use 1 to 100 patterns"
    page.get_by_role("dialog").get_by_role("button", name="Silence", exact=True).click()
    expect(page.get_by_text("Hosts: use 1 to 100 patterns.")).to_be_visible()
    assert violations(page) == []
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Announce maintenance").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    assert violations(page) == []
