"""The hosts: a list of any length, whose filter, order and search are in the address."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from page_api import Pretended, bring_back, make_alert, make_host, take_away
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.chromium

Visit = Callable[..., Any]


def names(page: Page) -> Any:
    return page.locator(".grid-body .c-host a")


def test_the_worst_come_first_and_the_sentence_counts_them(page: Page, pretended: Pretended, visit: Visit) -> None:
    pretended.hosts = [
        make_host("a-1"), make_host("b-2", "silent", 20), make_host("c-3", "crashed", 90), make_host("d-4", "late"),
    ]  # fmt: skip
    visit("#/hosts")
    expect(page.locator(".lead-t")).to_have_text("2 of 4 hosts need you")
    expect(names(page)).to_have_text(["c-3", "b-2", "d-4", "a-1"])
    expect(page.locator(".grid-body .c-state")).to_have_text(["Crashed", "Silent", "Late", "Online"])
    expect(page.locator(".grid-body .c-seen").nth(0)).to_have_text("1\u202fh ago")
    time = page.locator(".grid-body .c-seen time").nth(0)
    expect(time).to_have_attribute("title", re.compile(r"CES?T$"))  # in the reader's zone


def test_filter_order_and_search_are_in_the_address(page: Page, pretended: Pretended, visit: Visit) -> None:
    pretended.hosts = [
        make_host("web-01", score=40.0, tags=["lyon"]), make_host("web-02", "silent", score=90.0),
        make_host("db-01", score=70.0, os_type="WINDOWS"),
    ]  # fmt: skip
    visit("#/hosts")
    expect(names(page)).to_have_count(3)
    page.get_by_role("button", name="Score").click()
    expect(names(page)).to_have_text(["web-01", "db-01", "web-02"])
    page.get_by_label("Part of a host's name").fill("web")
    expect(names(page)).to_have_text(["web-01", "web-02"])
    page.get_by_label("System").select_option("Linux")
    expect(page).to_have_url(re.compile(r"#/hosts\?sort=score&q=web&os_type=LINUX$"))
    page.reload()
    expect(names(page)).to_have_text(["web-01", "web-02"])
    expect(page.get_by_label("Part of a host's name")).to_have_value("web")
    expect(page.get_by_label("System")).to_have_value("LINUX")
    page.get_by_role("link", name="lyon").click()
    expect(names(page)).to_have_text(["web-01"])
    page.get_by_role("button", name="No longer only the tag lyon").click()
    expect(names(page)).to_have_count(3)
    page.go_back()
    expect(names(page)).to_have_text(["web-01"])


def test_a_filter_that_fits_nothing_can_be_cleared(page: Page, pretended: Pretended, visit: Visit) -> None:
    pretended.hosts = [make_host("web-01")]
    visit("#/hosts?q=nobody&state=zombie")
    expect(page.get_by_text("No host matches “nobody”, zombie.")).to_be_visible()
    page.get_by_role("button", name="Clear the filter").click()
    expect(names(page)).to_have_text(["web-01"])
    assert page.url.endswith("#/hosts")


def test_ten_thousand_hosts_scroll_and_few_are_drawn(page: Page, pretended: Pretended, visit: Visit) -> None:
    pretended.hosts = [make_host(f"web-{number:05}") for number in range(10_000)]
    visit("#/hosts")
    expect(names(page).first).to_have_text("web-00000")
    expect(page.get_by_role("grid")).to_have_attribute("aria-rowcount", "10001")
    for _ in range(12):
        page.mouse.move(700, 600)
        page.mouse.wheel(0, 4_000)
        page.wait_for_timeout(100)
    page.wait_for_function("document.querySelector('.grid-body .c-host a').textContent > 'web-00300'")
    assert page.locator(".grid-body [role=row]").count() < 80
    assert page.evaluate("document.querySelectorAll('*').length") < 3_000


def test_the_list_is_walked_by_keys_alone(page: Page, pretended: Pretended, visit: Visit) -> None:
    pretended.hosts = [make_host(f"web-{number:03}") for number in range(300)]
    visit("#/hosts")
    expect(names(page).first).to_be_visible()
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("grid")).to_be_focused()
    expect(page.locator(".grid-row.active .c-host")).to_have_text("web-001")
    active = page.get_by_role("grid").get_attribute("aria-activedescendant")
    expect(page.locator(f"#{active}")).to_contain_text("web-001")
    page.keyboard.press("End")
    expect(page.locator(".grid-row.active")).to_be_in_viewport()
    page.keyboard.press("Home")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("#/hosts/web-000$"))


def test_escape_clears_the_search(page: Page, pretended: Pretended, visit: Visit) -> None:
    pretended.hosts = [make_host("web-01"), make_host("db-01")]
    visit("#/hosts")
    expect(names(page)).to_have_count(2)
    page.keyboard.press("/")
    page.keyboard.type("db")
    expect(names(page)).to_have_count(1)
    page.keyboard.press("Escape")
    expect(names(page)).to_have_count(2)


def choose(page: Page, *hosts: str) -> None:
    for host in hosts:
        page.get_by_label(f"Choose {host}").check()


def test_chosen_hosts_are_acknowledged_together(page: Page, pretended: Pretended, visit: Visit) -> None:
    pretended.hosts = [make_host("web-01", "crashed"), make_host("web-02", "silent"), make_host("web-03", "silent")]
    pretended.alerts = [make_alert(host) for host in ("web-01", "web-02", "web-03")]
    visit("#/hosts")
    choose(page, "web-01", "web-02")
    page.get_by_role("button", name="Acknowledge").click()
    page.get_by_role("dialog").get_by_role("button", name="Acknowledge").click()
    expect(page.locator(".toast")).to_have_text("2 alerts acknowledged")
    acked = [path for _, path, _ in pretended.sent]
    assert acked == ["/alerts/alert-web-01/ack", "/alerts/alert-web-02/ack"]
    expect(page.get_by_role("group", name="What is chosen")).to_have_count(0)


def test_chosen_hosts_are_silenced_for_a_while(page: Page, pretended: Pretended, visit: Visit) -> None:
    pretended.hosts = [make_host("web-01"), make_host("web-02")]
    visit("#/hosts")
    choose(page, "web-01", "web-02")
    page.get_by_role("button", name="Silence").click()
    dialog = page.get_by_role("dialog", name="Silence 2 hosts")
    dialog.get_by_label("For").select_option("8 hours")
    dialog.get_by_label("Reason").fill("a new switch")
    dialog.get_by_role("button", name="Silence").click()
    expect(page.locator(".toast")).to_have_text("2 hosts silenced")
    assert pretended.sent == [
        ("POST", "/silences", {"hosts": ["web-01", "web-02"], "for": "8h", "reason": "a new switch"})
    ]


def test_maintenance_is_announced_in_the_readers_time(page: Page, pretended: Pretended, visit: Visit) -> None:
    pretended.hosts = [make_host("web-01")]
    visit("#/hosts")
    expect(names(page)).to_have_count(1)
    page.keyboard.press("j")
    page.keyboard.press("w")
    dialog = page.get_by_role("dialog", name="Maintenance of 1 host")
    dialog.get_by_label("From").fill("2030-01-10T22:00")
    dialog.get_by_label("Until").fill("2030-01-10T23:30")
    dialog.get_by_role("button", name="Announce").click()
    expect(page.locator(".toast")).to_have_text("Maintenance of 1 host announced")
    _, path, body = pretended.sent[0]
    assert path == "/maintenance"
    assert (body["from"], body["until"]) == ("2030-01-10T21:00:00.000Z", "2030-01-10T22:30:00.000Z")


def test_deleting_asks_first_and_says_what_went_wrong(page: Page, pretended: Pretended, visit: Visit) -> None:
    pretended.hosts = [make_host("web-01")]
    pretended.refusal = "web-01 is heard of"
    visit("#/hosts")
    choose(page, "web-01")
    page.get_by_role("button", name="Delete").click()
    dialog = page.get_by_role("dialog", name="Delete 1 host")
    expect(dialog).to_contain_text("This cannot be undone.")
    dialog.get_by_role("button", name="Delete").click()
    expect(dialog.get_by_role("alert")).to_have_text("Web-01 is heard of.")
    pretended.refusal = None
    dialog.get_by_label("Delete their events as well").check()
    dialog.get_by_role("button", name="Delete").click()
    expect(page.locator(".toast")).to_have_text("1 host deleted")
    assert pretended.sent[-1] == ("DELETE", "/hosts/web-01?events=true", None)


def test_rows_are_ticked_as_fast_as_one_types(page: Page, pretended: Pretended, visit: Visit) -> None:
    pretended.hosts = [make_host(f"web-{number:03}") for number in range(30)]
    visit("#/hosts")
    expect(names(page).first).to_be_visible()
    page.evaluate("""() => {
        for (const key of "jxjxjxk") document.body.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
    }""")
    expect(page.get_by_role("group", name="What is chosen")).to_contain_text("3 hosts chosen")
    expect(page.locator(".grid-row.active .c-host")).to_have_text("web-001")
    page.keyboard.press("Escape")
    expect(page.get_by_role("group", name="What is chosen")).to_have_count(0)


def test_who_may_only_read_can_choose_nothing(page: Page, pretended: Pretended, visit: Visit) -> None:
    pretended.scopes = ("read",)
    pretended.hosts = [make_host("web-01")]
    visit("#/hosts")
    expect(names(page)).to_have_count(1)
    expect(page.get_by_role("checkbox")).to_have_count(0)


def test_rows_keep_their_places_while_the_reader_is_among_them(page: Page, pretended: Pretended, visit: Visit) -> None:
    pretended.hosts = [make_host("web-01"), make_host("web-02"), make_host("web-03")]
    visit("#/hosts")
    page.locator(".grid-body").hover()
    pretended.hosts[2] = make_host("web-03", "crashed", 0)
    expect(page.locator(".grid-body .c-state").nth(2)).to_have_text("Crashed", timeout=15_000)
    expect(names(page)).to_have_text(["web-01", "web-02", "web-03"])
    page.get_by_role("button", name="show the new order").click()
    expect(names(page)).to_have_text(["web-03", "web-01", "web-02"])


def test_a_row_is_kept_when_it_is_refreshed(page: Page, pretended: Pretended, visit: Visit) -> None:
    pretended.hosts = [make_host("web-01")]
    visit("#/hosts")
    expect(names(page)).to_have_count(1)
    page.evaluate("document.querySelector('.grid-body [role=row]').dataset.kept = 'yes'")
    pretended.hosts.insert(0, make_host("web-00"))
    expect(names(page)).to_have_count(2, timeout=15_000)
    expect(page.locator("[data-kept]")).to_contain_text("web-01")


def test_what_a_host_says_is_shown_and_never_run(page: Page, pretended: Pretended, visit: Visit) -> None:
    # the store takes no such host: the page must not rely on it
    script = '<img src=x onerror="alert(1)">'
    hostile = make_host(
        script, os_type=script, last_seen=script, since=script, tags=[script, "javascript:alert(1)"], state="away",
        reason=script, outages=[{"began_at": script, "ended_at": None, "cause": script}],
    )  # fmt: skip
    pretended.hosts = [hostile, make_host("x" * 253, "constructor")]
    pretended.alerts = [make_alert(script, script, text=script)]
    visit("#/hosts")
    expect(names(page).first).to_have_text(script)
    expect(page.locator(".grid-body .c-seen").first).to_have_text("unknown")
    names(page).first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text(script)
    page.go_back()
    page.goto(page.url.split("#", maxsplit=1)[0] + "#/overview")
    expect(page.locator(".need")).to_contain_text(script)
    assert page.locator("img").count() == 0


def test_an_error_says_what_it_is_and_is_over_when_it_is_solved(page: Page, pretended: Pretended, visit: Visit) -> None:
    pretended.hosts = [make_host("web-01")]
    take_away(page, "/hosts?*")
    visit("#/hosts")
    bring_back(page, pretended, "/hosts?*", "The hosts cannot be had.")
    expect(names(page)).to_have_text(["web-01"])
