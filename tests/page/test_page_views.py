"""The views behind the overview and the hosts, before a real API: what they say and do, and that axe finds nothing."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from api_parts import Api
from machine import AXE
from playwright.sync_api import Page, expect

from api.auth import issue_key
from core.clock import utc_now
from core.ids import uuid7
from core.messages import Event
from store import HeldVerdict, WriteBatch

pytestmark = pytest.mark.chromium

RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
SCRIPT = "<script>alert(1)</script><img src=x onerror=alert(1)>"
VIEWS = {
    "events": "critical event", "hosts/web-01": "web-01: crashed", "alerts": "open alert",
    "silences": "No host is silenced", "audit": "Nobody has done anything yet",
    "health": "Events do not go all the way", "enroll": "One line lets a host in",
}  # fmt: skip


def lead(page: Page) -> Any:
    return page.locator(".lead-t")


@pytest.fixture
def filled(lone_api: Api) -> Api:
    """A host that has crashed, one that is online, and what happened on them."""
    now = utc_now()
    lone_api.store.record_heartbeat("web-01", "LINUX", now - timedelta(minutes=20))
    lone_api.store.record_heartbeat("db-01", "WINDOWS", now)
    events = [
        Event(uuid7(), now, "web-01", "LINUX", "LOGIN_FAIL", 3, f"Failed password {number}", "203.0.113.9", "root")
        for number in range(120)
    ]
    events.append(Event(uuid7(), now, "db-01", "WINDOWS", "LOG_TAMPERING", 5, SCRIPT, "N/A", SCRIPT))
    lone_api.store.write(WriteBatch(events, now))
    verdicts = [
        HeldVerdict("web-01", "offline", "crashed", now - timedelta(minutes=12), None, 0),
        HeldVerdict("db-01", "online", "", now - timedelta(days=2), None, 0),
    ]
    for _ in lone_api.store.claim(verdicts, now):
        pass
    return lone_api


@pytest.fixture
def inside(page: Page, log_in: Callable[[], Any], filled: Api) -> Callable[[str], None]:
    """Somebody who may do everything goes to a view."""
    log_in()
    expect(lead(page)).to_contain_text("needs you")

    def go(view: str) -> None:
        page.goto(f"{filled.url}/#/{view}")

    return go


@pytest.mark.axe
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("view", VIEWS)
def test_axe_finds_nothing_and_nothing_runs(page: Page, inside: Callable[[str], None], view: str, scheme: Any) -> None:
    page.emulate_media(color_scheme=scheme)
    for width in (1440, 390):
        page.set_viewport_size({"width": width, "height": 900})
        inside(view)
        expect(lead(page)).to_contain_text(VIEWS[view])
        page.evaluate(AXE.read_text())
        found = page.evaluate("(tags) => axe.run({ runOnly: tags })", RULES)["violations"]
        assert [f"{one['id']}: {one['nodes'][0]['html'][:200]}" for one in found] == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), width
    assert page.locator("main script, img[src=x]").count() == 0


def test_events_are_narrowed_by_the_address_and_opened_in_place(page: Page, inside: Callable[[str], None]) -> None:
    inside("events?event_type=LOG_TAMPERING")
    row = page.locator(".events tbody tr").first
    expect(row).to_contain_text("db-01")
    expect(page.locator(".events tbody tr")).to_have_count(1)
    row.get_by_role("button").click()
    expect(page.locator(".detail pre")).to_have_text(SCRIPT)
    page.get_by_label("Type").select_option("LOGIN_FAIL")
    expect(page.locator(".events tbody tr").first).to_contain_text("Failed password 119")
    assert "event_type=LOGIN_FAIL" in page.url
    page.go_back()
    expect(page.locator(".events tbody tr").first).to_contain_text("db-01")


def test_more_events_come_when_they_are_asked_for(page: Page, inside: Callable[[str], None]) -> None:
    inside("events?source_host=web-01")
    expect(page.locator(".events tbody tr")).to_have_count(100)
    page.get_by_role("button", name="Show more").click()
    expect(page.locator(".events tbody tr")).to_have_count(120)
    expect(page.get_by_role("button", name="Show more")).to_have_count(0)


def test_what_is_exported_is_what_is_shown(page: Page, inside: Callable[[str], None], tmp_path: Path) -> None:
    inside("events?event_type=LOG_TAMPERING")
    expect(page.locator(".events tbody tr")).to_have_count(1)
    with page.expect_download() as started:
        page.get_by_role("link", name="CSV").click()
    started.value.save_as(tmp_path / "events.csv")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "events.csv").read_text(), newline="")))
    assert [row["raw_message"] for row in rows] == [SCRIPT]


def test_nothing_that_fits_says_so_and_clears(page: Page, inside: Callable[[str], None]) -> None:
    inside("events?q=nothing-of-the-kind")
    expect(page.locator(".nomatch")).to_contain_text("No event fits")
    page.get_by_role("button", name="Clear the filter").click()
    expect(page.locator(".events tbody tr")).to_have_count(100)


def test_a_host_says_why_and_what_to_check(page: Page, inside: Callable[[str], None]) -> None:
    inside("hosts/web-01")
    expect(lead(page)).to_contain_text("web-01: crashed for 12")
    expect(page.locator("main")).to_contain_text("systemctl status heimdall-agent")
    expect(page.locator("main")).to_contain_text("Failed password 119")
    inside("hosts/nobody")
    expect(lead(page)).to_have_text("Nothing is known of nobody")


def test_an_alert_is_acknowledged(page: Page, inside: Callable[[str], None], filled: Api) -> None:
    inside("alerts")
    expect(lead(page)).to_have_text("1 open alert, 1 that nobody sees to")
    page.get_by_role("button", name="Acknowledge").click()
    page.get_by_role("dialog").get_by_role("button", name="Acknowledge").click()
    expect(page.locator("main .list")).to_contain_text(re.compile("local:.* sees to it"))
    (alert,) = filled.store.read_open_alerts()
    assert alert.acked_by is not None


def test_a_silence_is_made_said_and_ended(page: Page, inside: Callable[[str], None]) -> None:
    inside("silences")
    page.get_by_role("button", name="Silence hosts").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Hosts").fill("web-[")
    dialog.get_by_role("button", name="Silence").click()
    expect(dialog.get_by_role("alert")).not_to_be_empty()
    dialog.get_by_label("Hosts").fill("web-* db-01")
    dialog.get_by_label("Reason").fill("a new switch")
    dialog.get_by_role("button", name="Silence").click()
    expect(page.locator("main .list").first).to_contain_text("web-*, db-01")
    expect(lead(page)).to_have_text("1 silence holds")
    page.get_by_role("button", name="End").click()
    page.get_by_role("dialog").get_by_role("button", name="End").click()
    expect(lead(page)).to_have_text("No host is silenced")
    inside("audit")
    expect(page.locator(".tbl")).to_contain_text("local:")


def test_each_act_is_a_row_of_the_audit_trail(page: Page, inside: Callable[[str], None], filled: Api) -> None:
    for name in ("grafana", "backup"):
        issue_key(filled.store, name, ["read"], None, "local:eva")
    inside("audit")
    expect(page.locator(".tbl tbody tr")).to_have_count(2)
    expect(lead(page)).to_have_text("2 entries")


def test_who_may_only_read_is_offered_nothing_else(page: Page, filled: Api) -> None:
    page.goto(filled.url)
    page.get_by_label("API key").fill(filled.key)
    page.keyboard.press("Enter")
    expect(lead(page)).to_contain_text("needs you")
    for view in ("hosts/web-01", "alerts", "silences", "health"):
        page.goto(f"{filled.url}/#/{view}")
        expect(lead(page)).to_contain_text(VIEWS[view])
        assert page.get_by_role("button", name=re.compile("Acknowledge|Silence|Announce|Delete|End")).count() == 0
    page.goto(f"{filled.url}/#/audit")
    expect(page.locator(".note")).to_contain_text("Only administrators may read it")
