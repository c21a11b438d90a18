"""The alerts: what opened together is one thing, the worst first; what is acknowledged, silenced and looked for."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from page_api import Pretended, ago, bring_back, expect_no_scrolling, make_alert, make_host, take_away, violations
from playwright.sync_api import Page, expect
from test_page_frame import TOLD, tell

pytestmark = pytest.mark.chromium

Visit = Callable[..., Any]


def rows(page: Page, section: str) -> Any:
    return page.locator("section", has=page.get_by_role("heading", name=section, exact=True)).locator(".al")


def lead(page: Page) -> Any:
    return page.locator(".lead-t")


def resolved(host: str, minutes: float, lasted: float, **more: Any) -> dict[str, Any]:
    return make_alert(host, "crashed", minutes, state="resolved", resolved_at=ago(minutes=minutes - lasted), **more)


def fill(pretended: Pretended) -> None:
    lost = [make_alert(f"lyon-{number:02}", "silent", 16, incident="bridge") for number in range(41)]
    address = make_alert("", "brute_force", 9, source_host=None, subject="203.0.113.77", severity=4, text="50 logins")
    acked = make_alert("kiosk-03", "silent", 600, acked_at=ago(minutes=500), acked_by="desk")
    pretended.alerts = [make_alert("web-01", "zombie", 2), address, *lost, acked, resolved("old-1", 900, 75)]
    pretended.hosts = [make_host("web-01", "zombie")]


def test_what_opened_together_is_one_thing_and_comes_first(page: Page, pretended: Pretended, visit: Visit) -> None:
    fill(pretended)
    visit("#/alerts")
    expect(lead(page)).to_have_text("44 open alerts, 43 unseen by anybody")
    expect(page.locator(".lead-s")).to_have_text(
        "The oldest has waited 16\u202fmin. They are 3 things: what opened together is one."
    )
    titles = ["41 hosts lost together", "web-01", "203.0.113.77"]
    for row, title in zip(rows(page, "Open").all(), titles, strict=True):
        expect(row.locator(".t")).to_contain_text(title)
    page.get_by_role("button", name="41 hosts lost together", exact=True).click()
    expect(rows(page, "Open")).to_have_count(44)
    expect(page.get_by_role("link", name="lyon-07")).to_have_attribute("href", "#/hosts/lyon-07")
    page.get_by_role("link", name="Only these").click()
    expect(lead(page)).to_have_text("41 opened together, 41 still open")
    expect(page).to_have_url(re.compile(r"#/alerts\?incident=bridge$"))
    expect(rows(page, "Open")).to_have_count(41)


def test_a_row_says_since_when_how_long_and_who_sees_to_it(page: Page, pretended: Pretended, visit: Visit) -> None:
    fill(pretended)
    visit("#/alerts")
    expect(rows(page, "Seen to")).to_contain_text("desk sees to it")
    expect(rows(page, "Seen to").locator(".age")).to_have_text("10\u202fh")
    expect(rows(page, "Resolved").locator(".age")).to_have_text("lasted 1\u202fh")
    zombie = rows(page, "Open").nth(1)
    expect(zombie.locator(".kind")).to_have_text("Zombie")
    expect(zombie.locator("time")).to_have_attribute("title", re.compile(r"CES?T$"))
    link = page.get_by_role("link", name="203.0.113.77")
    expect(link).to_have_attribute("href", "#/events?source_ip=203.0.113.77&span=7d")


def test_filters_are_in_the_address(page: Page, pretended: Pretended, visit: Visit) -> None:
    fill(pretended)
    visit("#/alerts")
    page.get_by_label("Kind").select_option("Silent")
    expect(lead(page)).to_have_text("42 alerts match silent")
    page.get_by_role("button", name="Seen to").click()
    expect(lead(page)).to_have_text("1 alert matches silent, seen to")
    expect(page).to_have_url(re.compile(r"#/alerts\?kind=silent&acked=yes$"))
    page.reload()
    expect(rows(page, "Seen to")).to_have_count(1)
    expect(page.get_by_label("Kind")).to_have_value("silent")
    page.get_by_label("Part of a host").fill("nobody")
    expect(page.get_by_text("No alert matches silent, “nobody”, seen to.")).to_be_visible()
    page.get_by_role("button", name="Clear the filter").click()
    expect(rows(page, "Open")).to_have_count(3)
    page.get_by_role("button", name="Resolved").click()
    expect(rows(page, "Open")).to_have_count(0)
    expect(rows(page, "Resolved")).to_have_count(1)
    page.go_back()
    expect(rows(page, "Open")).to_have_count(3)


def test_by_keys_one_is_acknowledged_and_the_next_is_at_hand(page: Page, pretended: Pretended, visit: Visit) -> None:
    pretended.alerts = [
        make_alert("web-01", "crashed", 1),
        make_alert("web-02", "silent", 2),
        make_alert("web-03", "zombie"),
    ]
    visit("#/alerts")
    expect(rows(page, "Open")).to_have_count(3)
    page.keyboard.press("j")
    page.keyboard.press("j")
    expect(page.get_by_role("link", name="web-02")).to_be_focused()
    page.keyboard.press("a")
    expect(rows(page, "Seen to")).to_contain_text("eva sees to it")
    assert [path for _, path, _ in pretended.sent] == ["/alerts/alert-web-02/ack"]
    expect(page.get_by_role("link", name="web-03")).to_be_focused()
    page.keyboard.press("k")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("#/hosts/web-01$"))


def test_a_whole_incident_is_acknowledged_after_a_question(page: Page, pretended: Pretended, visit: Visit) -> None:
    fill(pretended)
    visit("#/alerts")
    page.get_by_role("button", name="Acknowledge 41 hosts lost together").click()
    dialog = page.get_by_role("dialog", name="Acknowledge 41 hosts lost together")
    expect(dialog).to_contain_text("You see to 41 alerts.")
    expect(dialog).to_contain_text("This cannot be taken back.")
    dialog.get_by_role("button", name="Acknowledge").click()
    expect(page.locator(".toast")).to_have_text("41 alerts acknowledged")
    acked = {path for _, path, _ in pretended.sent}
    assert acked == {f"/alerts/alert-lyon-{number:02}/ack" for number in range(41)}
    expect(rows(page, "Seen to")).to_have_count(2)


def test_what_cannot_be_acknowledged_is_said(page: Page, pretended: Pretended, visit: Visit) -> None:
    pretended.alerts = [make_alert("web-01")]
    pretended.refusal = "the key needs the scope operate"
    visit("#/alerts")
    page.get_by_role("button", name="Acknowledge web-01").click()
    expect(page.locator(".toast")).to_contain_text("Not acknowledged: the key needs the scope operate")
    expect(rows(page, "Open")).to_have_count(1)


def test_an_alert_is_silenced_where_it_stands(page: Page, pretended: Pretended, visit: Visit) -> None:
    fill(pretended)
    visit("#/alerts")
    page.get_by_role("button", name="Silence web-01").click()
    dialog = page.get_by_role("dialog", name="Silence hosts")
    expect(dialog.get_by_label("Hosts", exact=True)).to_have_value("web-01")
    dialog.get_by_role("button", name="zombie").click()
    dialog.get_by_role("button", name="Silence", exact=True).click()
    expect(page.locator(".toast")).to_have_text("Silenced: nobody is told")
    body = {"hosts": ["web-01"], "for": "2h", "kinds": ["zombie"], "reason": ""}
    assert pretended.sent[-1] == ("POST", "/silences", body)


def test_of_what_is_about_no_host_its_kind_alone_is_silenced(page: Page, pretended: Pretended, visit: Visit) -> None:
    fill(pretended)
    visit("#/alerts")
    page.get_by_role("button", name="Silence 203.0.113.77").click()
    dialog = page.get_by_role("dialog", name="Silence hosts")
    expect(dialog.get_by_label("Hosts", exact=True)).to_have_value("*")
    expect(dialog.get_by_label("Kinds of alerts")).to_have_value("brute_force")


def test_the_history_goes_on_as_one_scrolls(page: Page, pretended: Pretended, visit: Visit) -> None:
    pretended.alerts = [resolved(f"old-{number:03}", 100 + number, 5) for number in range(450)]
    visit("#/alerts")
    expect(lead(page)).to_have_text("No open alerts")
    expect(page.get_by_text("Nothing waits for anybody.")).to_be_visible()
    expect(rows(page, "Resolved")).to_have_count(100)
    for _ in range(6):
        page.mouse.wheel(0, 30_000)
        page.wait_for_timeout(150)
        more = page.get_by_role("button", name="Show more")
        if more.count():
            more.click()
    expect(rows(page, "Resolved")).to_have_count(450)


def test_under_a_filter_the_history_is_read_back_when_it_is_asked(
    page: Page, pretended: Pretended, visit: Visit
) -> None:
    pretended.alerts = [resolved(f"old-{number:03}", 100 + number, 5) for number in range(250)]
    visit("#/alerts?q=old-2")
    expect(page.get_by_text("0 of 100 match, back to")).to_be_visible()
    page.get_by_role("button", name="Look further back").click()
    expect(rows(page, "Resolved")).to_have_count(50)


def test_who_may_only_read_sees_no_button(page: Page, pretended: Pretended, visit: Visit) -> None:
    fill(pretended)
    pretended.scopes = ("read",)
    visit("#/alerts")
    expect(rows(page, "Open")).to_have_count(3)
    expect(page.get_by_role("button", name=re.compile("^(Acknowledge|Silence)"))).to_have_count(0)
    page.keyboard.press("j")
    page.keyboard.press("a")
    assert pretended.sent == []


def test_what_the_stream_tells_is_shown_at_once(page: Page, pretended: Pretended, visit: Visit) -> None:
    pretended.alerts = [make_alert("web-01"), make_alert("web-02")]
    page.add_init_script(TOLD)
    visit("#/alerts")
    expect(rows(page, "Open")).to_have_count(2)
    pretended.alerts[0] |= {"acked_at": ago(seconds=1), "acked_by": "adam"}
    tell(page, "alert", pretended.alerts[0])
    expect(rows(page, "Seen to")).to_contain_text("adam sees to it", timeout=1_000)
    pretended.alerts[1] |= {"state": "resolved", "resolved_at": ago(seconds=1)}
    tell(page, "alert", pretended.alerts[1])
    expect(rows(page, "Open")).to_have_count(0, timeout=1_000)
    expect(rows(page, "Resolved")).to_have_count(1, timeout=8_000)


def test_the_first_alert_of_all_is_shown(page: Page, pretended: Pretended, visit: Visit) -> None:
    page.add_init_script(TOLD)
    visit("#/alerts")
    expect(page.get_by_text("Nothing waits for anybody.")).to_be_visible()
    pretended.alerts = [make_alert("web-01")]
    tell(page, "alert", pretended.alerts[0])
    expect(rows(page, "Open")).to_have_count(1, timeout=8_000)


def test_rows_keep_their_places_while_one_is_among_them(page: Page, pretended: Pretended, visit: Visit) -> None:
    pretended.alerts = [make_alert("web-01")]
    page.add_init_script(TOLD)
    visit("#/alerts")
    rows(page, "Open").hover()
    pretended.alerts.insert(0, make_alert("aaa", "crashed", 0))
    tell(page, "alert", pretended.alerts[0])
    page.get_by_role("button", name="Alerts have changed: show them").click(timeout=8_000)
    expect(rows(page, "Open")).to_have_count(2)


def test_what_an_alert_says_is_shown_and_never_run(page: Page, pretended: Pretended, visit: Visit) -> None:
    script = '<img src=x onerror="alert(1)">'
    hostile = make_alert(
        script, script, text=script, subject=script, since=script, opened_at=script, acked_by=script, acked_at=script
    )
    other = make_alert("x" * 253, "constructor", text="y" * 5_000, incident=script)
    pretended.alerts = [hostile, other, other | {"id": "again", "source_host": script}]
    page.set_viewport_size({"width": 390, "height": 900})
    visit("#/alerts")
    expect(rows(page, "Seen to")).to_contain_text(script)
    page.locator(".fold").click()
    expect(rows(page, "Open")).to_have_count(3)
    assert page.locator("img").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_an_error_says_what_it_is_and_is_over_when_it_is_solved(page: Page, pretended: Pretended, visit: Visit) -> None:
    pretended.alerts = [make_alert("web-01")]
    take_away(page, "/alerts?*")
    visit("#/alerts")
    bring_back(page, pretended, "/alerts?*", "The open alerts cannot be had.")
    expect(rows(page, "Open")).to_have_count(1)
    expect(page.locator(".note")).to_have_count(0)


def test_what_is_slow_is_drawn_as_bars(page: Page, pretended: Pretended, visit: Visit) -> None:
    page.route("**/alerts?*", lambda _route: None)  # it never answers
    visit("#/alerts")
    expect(page.locator(".skel").first).to_be_visible()


def test_the_first_rows_take_few_requests(page: Page, pretended: Pretended, visit: Visit) -> None:
    fill(pretended)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    visit("#/alerts")
    expect(rows(page, "Open")).to_have_count(3)
    at_first = [url for url in asked if "state=resolved" not in url]  # asked for behind the first rows
    assert len(at_first) <= 10, at_first


def test_no_width_scrolls_sideways(page: Page, pretended: Pretended, visit: Visit) -> None:
    fill(pretended)
    pretended.alerts.append(make_alert("x" * 253, "rule" * 30, acked_by="y" * 100, acked_at=ago(minutes=1)))
    visit("#/alerts")
    expect(rows(page, "Seen to")).to_have_count(2)
    expect_no_scrolling(page)


def test_on_paper_no_row_lies_on_another(page: Page, pretended: Pretended, visit: Visit) -> None:
    fill(pretended)
    visit("#/alerts")
    expect(rows(page, "Resolved")).to_have_count(1)
    page.emulate_media(media="print")
    boxes = [row.bounding_box() for row in page.locator(".al").all()]
    ends = [(box["y"], box["y"] + box["height"]) for box in boxes if box is not None]
    assert all(second[0] >= first[1] for first, second in pairwise(ends))
    expect(page.locator(".acts").first).to_be_hidden()


@pytest.mark.axe
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(page: Page, pretended: Pretended, visit: Visit, scheme: Any) -> None:
    fill(pretended)
    page.emulate_media(color_scheme=scheme)
    visit("#/alerts")
    expect(rows(page, "Resolved")).to_have_count(1)
    page.locator(".fold").first.click()
    assert violations(page) == []
    page.get_by_role("button", name="Silence web-01").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    assert violations(page) == []
    page.keyboard.press("Escape")
    pretended.alerts = []
    page.reload()
    expect(page.get_by_text("Nothing waits for anybody.")).to_be_visible()
    assert violations(page) == []
