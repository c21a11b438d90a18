"""The overview: the answer in words, the worst first."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from page_api import Pretended, ago, in_future, make_alert, make_host
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.chromium

Visit = Callable[..., Any]


def test_it_counts_things_not_machines(page: Page, pretended: Pretended, visit: Visit) -> None:
    lost = [f"lyon-{number:02}" for number in range(41)]
    pretended.hosts = [make_host(name, "silent", 16) for name in lost] + [make_host("db-02", "crashed", 12)]
    pretended.alerts = [make_alert(name, "silent", 16, incident="bridge") for name in lost] + [
        make_alert("db-02", "crashed", 12)
    ]
    visit()
    expect(page.locator(".lead-t")).to_have_text("2 things need you")
    rows = page.locator(".need")
    expect(rows).to_have_count(2)
    expect(rows.nth(0)).to_contain_text("and 40 others")
    expect(rows.nth(0)).to_contain_text("41 alerts opened together: likely one cause.")
    expect(rows.nth(1)).to_contain_text("db-02")
    expect(rows.nth(1)).to_contain_text("Crashed 12\u202fmin ago: connection broke")


def test_when_all_is_well_it_says_so(page: Page, pretended: Pretended, visit: Visit) -> None:
    pretended.hosts = [make_host(f"web-{number}") for number in range(3)]
    visit()
    expect(page.locator(".lead-t")).to_have_text("All 3 hosts are online")
    expect(page.locator(".ledger li")).to_have_count(1)
    expect(page.get_by_text("No open alert waits for anybody.")).to_be_visible()


def test_an_alert_is_acknowledged_where_it_stands(page: Page, pretended: Pretended, visit: Visit) -> None:
    pretended.hosts = [make_host("db-02", "crashed")]
    pretended.alerts = [make_alert("db-02")]
    visit()
    page.get_by_role("button", name="Acknowledge db-02").click()
    expect(page.get_by_text("db-02 acknowledged")).to_be_attached()
    assert ("POST", "/alerts/alert-db-02/ack", None) in pretended.sent
    pretended.alerts = [make_alert("db-02", acked_at=ago(seconds=1), acked_by="eva")]
    expect(page.locator(".lead-t")).to_have_text("1 host is down, and somebody sees to it", timeout=15_000)


def test_who_may_only_read_sees_no_button(page: Page, pretended: Pretended, visit: Visit) -> None:
    pretended.scopes = ("read",)
    pretended.hosts = [make_host("db-02", "crashed")]
    pretended.alerts = [make_alert("db-02")]
    visit()
    expect(page.locator(".need")).to_have_count(1)
    expect(page.get_by_role("button", name="Acknowledge")).to_have_count(0)


def test_a_refusal_is_said_and_stays(page: Page, pretended: Pretended, visit: Visit) -> None:
    pretended.hosts = [make_host("db-02", "crashed")]
    pretended.alerts = [make_alert("db-02")]
    pretended.refusal = "eva may not do this"
    visit()
    page.get_by_role("button", name="Acknowledge db-02").click()
    expect(page.locator(".toast")).to_have_text("Not acknowledged: eva may not do this")


def test_what_changed_in_the_last_hour_is_listed(page: Page, pretended: Pretended, visit: Visit) -> None:
    pretended.hosts = [make_host("web-01"), make_host("web-02", "stopped")]
    pretended.changes = [
        {"hostname": "web-02", "cause": "stopped", "began_at": ago(minutes=5), "ended_at": None},
        {"hostname": "web-01", "cause": "crashed", "began_at": ago(minutes=40), "ended_at": ago(minutes=30)},
    ]
    visit()
    section = page.locator("section", has=page.get_by_role("heading", name="Changed in the last hour"))
    expect(section).to_contain_text("1 went, 1 came back")
    expect(section.locator("li").nth(0)).to_contain_text("web-02 Stopped since")
    expect(section.locator("li").nth(1)).to_contain_text("web-01 Back after 10\u202fmin: crashed from")


def test_a_state_of_the_ledger_leads_to_its_hosts(page: Page, pretended: Pretended, visit: Visit) -> None:
    pretended.hosts = [make_host("web-01"), make_host("web-02", "silent")]
    visit()
    page.get_by_role("navigation", name="Hosts by state").get_by_role("link", name="Silent").click()
    expect(page.locator(".lead-t")).to_have_text("1 host matches silent")
    assert page.url.endswith("#/hosts?state=silent")


def test_events_and_how_far_behind_are_told(page: Page, pretended: Pretended, visit: Visit) -> None:
    pretended.hosts = [make_host("web-01")]
    visit()
    chart = page.get_by_role("img", name="Events stored in each of the last 60 minutes")
    expect(chart).to_be_visible()
    expect(page.locator(".sevs li").nth(0)).to_contain_text("Critical2")
    expect(page.get_by_text("under 1\u202fs behind")).to_be_visible()


def test_before_the_first_host_it_says_what_to_do(page: Page, pretended: Pretended, visit: Visit) -> None:
    visit()
    expect(page.locator(".lead-t")).to_have_text("No hosts yet")
    expect(page.get_by_role("link", name="Add the first host")).to_have_attribute("href", "#/enroll")
    pretended.hosts = [make_host("web-01")]
    expect(page.locator(".lead-t")).to_have_text("The one host is online", timeout=15_000)


def test_what_is_late_or_away_is_worth_a_look(page: Page, pretended: Pretended, visit: Visit) -> None:
    away = make_host("nas-01", "away", reason="firmware update", back_by=in_future(minutes=22))
    pretended.hosts = [make_host("web-01", "late", 1), away]
    visit()
    look = page.locator("section", has=page.get_by_role("heading", name="Worth a look"))
    expect(look.locator("li")).to_contain_text("web-01 Late: heartbeat missed; last heard")
    due = page.locator("section", has=page.get_by_role("heading", name="Away, due back"))
    expect(due.locator("li")).to_contain_text("nas-01 Away: firmware update, back by")
    expect(due.locator("li")).to_contain_text(re.compile(r"\(in 2[12]\u202fmin\)"))
