"""One host: what it is held to be and why, on one time line, and what to check."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from api_parts import Api
from host_answers import make_event, make_figures, make_hours, make_one, show_one
from page_api import Pretended, ago, bring_back, expect_no_scrolling, in_future, make_alert, take_away, violations
from playwright.sync_api import Page, Route, expect

from core.clock import utc_now

pytestmark = pytest.mark.chromium

Visit = Callable[..., Any]
SCRIPT = '<img src=x onerror="alert(1)">'
CAME = "getComputedStyle(document.querySelector('.chart.beats .came')).fill"
AGENT = "/usr/local/lib/heimdall/heimdall-agent.pyz"


def lead(page: Page) -> Any:
    return page.locator(".lead-t")


def lines(page: Page) -> list[str]:
    return page.locator(".checks code").all_inner_texts()


def chart(page: Page, kind: str) -> Any:
    return page.locator(f".chart.{kind}")


@pytest.mark.parametrize(
    ("shown", "minutes", "title", "reason"),
    [
        (
            "crashed",
            12,
            "crashed 12 min ago",
            r"Its connection broke (at|on) .+ and did not come back; .+ Likely it lost",
        ),
        ("silent", 25, "silent for 25 min", r"It was last heard (at|on) .+ and has said no goodbye\. Likely"),
        ("zombie", 3, "zombie for 3 min", r"Its last heartbeat came .+, its session is still open\. Likely"),
        ("late", 1, "late for 1 min", r"Its last heartbeat came .+, and one is due every 30 s\."),
        ("stopped", 30, "stopped 30 min ago", r"It said goodbye .+: its agent was stopped\."),
        ("online", 200, "online for 3 h", r"Its heartbeats come, the last at .+"),
    ],
)
def test_what_was_observed_comes_before_what_is_concluded(
    page: Page, pretended: Pretended, visit: Visit, shown: str, minutes: float, title: str, reason: str
) -> None:
    show_one(pretended, make_one("web-01", shown, minutes))
    visit("#/hosts/web-01")
    expect(lead(page)).to_have_text(f"web-01: {title}".replace(" min", "\u202fmin").replace(" h", "\u202fh"))
    expect(page.locator(".lead-s")).to_have_text(re.compile(reason.replace("30 s", "30\u202fs")))
    expect(page).to_have_title(f"web-01: {shown} · Heimdall")


def test_an_absence_is_told_with_why_and_until_when(page: Page, pretended: Pretended, visit: Visit) -> None:
    show_one(pretended, make_one("web-01", "away", 5, reason="upgrade", back_by=in_future(minutes=20.5)))
    visit("#/hosts/web-01")
    expect(page.locator(".lead-s")).to_have_text(
        re.compile("It announced “upgrade” and to be back by .+, in 20\u202fmin.")
    )
    pretended.one = make_one("web-01", "overdue", 7, reason="upgrade", back_by=ago(minutes=7))
    page.reload()
    expect(lead(page)).to_have_text("web-01: overdue by 7\u202fmin")


def test_the_time_line_is_chosen_and_is_in_the_address(page: Page, pretended: Pretended, visit: Visit) -> None:
    show_one(pretended, make_one("web-01", "crashed"))
    visit("#/hosts/web-01")
    said = page.locator(".lane-said")
    expect(said).to_contain_text("2 outages in 24 hours, 1\u202fh in all: silent once, crashed once.")
    page.get_by_role("button", name="7 d").click()
    expect(page).to_have_url(re.compile(r"#/hosts/web-01\?span=7d$"))
    expect(said).to_contain_text("3 outages in 7 days, 5\u202fh in all: away once, silent once, crashed once.")
    page.get_by_role("button", name="30 d").click()
    expect(said).to_contain_text("4 outages in 30 days")
    expect(page.locator(".lane-foot")).to_contain_text("counted by the hour for 14 days")
    page.reload()
    expect(page.get_by_role("button", name="30 d")).to_have_attribute("aria-pressed", "true")
    page.go_back()
    expect(said).to_contain_text("in 7 days")
    page.get_by_role("button", name="24 h").click()
    expect(page).to_have_url(re.compile(r"#/hosts/web-01$"))


def test_all_lanes_share_one_time_line(page: Page, pretended: Pretended, visit: Visit) -> None:
    show_one(pretended, make_one("web-01", "crashed"))
    visit("#/hosts/web-01")
    expect(page.locator(".lanes .chart")).to_have_count(3)
    boxes = [page.locator(one).first.bounding_box() for one in (".lane-p .b24", ".chart.beats", ".chart.loss")]
    assert all(box is not None for box in boxes)
    assert len({(round(box["x"]), round(box["width"])) for box in boxes if box}) == 1
    page.set_viewport_size({"width": 800, "height": 700})  # and when the window changes
    page.wait_for_function("document.querySelector('.chart.beats').clientWidth < 700")
    widths = page.locator(".lane-p .b24, .chart").evaluate_all(
        "all => all.map(one => Math.round(one.getBoundingClientRect().width))"
    )
    assert len(set(widths)) == 1


def test_each_chart_is_told_in_a_sentence_and_in_a_table(page: Page, pretended: Pretended, visit: Visit) -> None:
    show_one(pretended, make_one("web-01"), hours=make_hours(48, {8: 90}, {3: 4}))
    visit("#/hosts/web-01")
    expect(chart(page, "beats")).to_have_attribute(
        "aria-label", re.compile(r"^2,\d{3} heartbeats heard of [23],\d{3} expected in 24 hours;")
    )
    expect(chart(page, "latency")).to_have_attribute(
        "aria-label", re.compile(r"in the worst hour of 24 hours 95 % of heartbeats took less than 47\u202fms")
    )
    expect(chart(page, "loss")).to_have_attribute("aria-label", re.compile("^4 heartbeats lost in 24 hours"))
    expect(
        page.get_by_role("img", name=re.compile(r"^1 outage in 24 hours, 48\smin in all: silent once"))
    ).to_be_visible()
    summary = page.get_by_text("Heartbeats, latency and loss as a table")
    summary.focus()
    page.keyboard.press("Enter")
    table = page.get_by_role("region", name="Heartbeats by the hour")
    expect(table.locator("tbody tr")).to_have_count(25)
    expect(table.locator("tbody tr").nth(3)).to_contain_text("116120")  # heard and expected, three hours ago
    expect(table.locator("tbody tr").nth(3)).to_contain_text("3.33\u202f%")
    page.get_by_text("1 outage as a table").click()
    expect(page.get_by_role("region", name="Outages").locator("tbody tr")).to_contain_text(["Silent"])


def test_an_hour_that_is_pointed_at_is_told(page: Page, pretended: Pretended, visit: Visit) -> None:
    show_one(pretended, make_one("web-01"), hours=make_hours(48))
    visit("#/hosts/web-01")
    expect(page.locator(".chart.beats")).to_be_visible()
    box = chart(page, "beats").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 10)
    expect(page.locator(".lane-said")).to_have_text(
        re.compile(r"\d\d:00 to \d\d:00: 120 of 120 heartbeats; latency \d+\u202fms, 95\u202f% under")
    )
    page.mouse.move(5, 5)
    expect(page.locator(".lane-said")).to_contain_text("outage")


def test_heartbeats_that_were_due_while_it_was_silent_are_missing(
    page: Page, pretended: Pretended, visit: Visit
) -> None:
    hours = make_hours(48)
    silent = make_one("web-01", "silent", 60 * 5)
    show_one(pretended, silent, hours=[hour for hour in hours if hour["hour"] < ago(hours=5)])
    visit("#/hosts/web-01")
    expect(page.locator(".lane-l").nth(1)).to_have_text(re.compile(r"Heartbeats(4[89]\d|5\d\d) of [23],\d{3} missing"))


def test_score_uptime_and_patterns_are_told_in_words(page: Page, pretended: Pretended, visit: Visit) -> None:
    show_one(pretended, make_one("web-01", "crashed"))
    visit("#/hosts/web-01")
    score = page.locator("section", has=page.get_by_role("heading", name="Score"))
    expect(score).to_contain_text("34 of 100")
    expect(score.locator(".points").first.locator("li")).to_have_text(
        ["Alive offline now−40", "Outages down once in 7 days, for 48 min−13"]
    )
    score.get_by_text("2 parts cost nothing").click()
    expect(score).to_contain_text("its clock is 12 ms off")
    uptime = page.locator("section", has=page.get_by_role("heading", name="Uptime"))
    expect(uptime.locator("li")).to_have_count(4)
    expect(uptime.locator("li").first).to_have_text("24 hours96.67 %: down 48 min in 1 outage")
    expect(page.get_by_text("web-01 goes down between 02:00 and 02:30 UTC: 9 of 11 outages.")).to_be_visible()


def test_facts_are_shown_as_far_as_they_are_known(page: Page, pretended: Pretended, visit: Visit) -> None:
    show_one(pretended, make_one("web-01", metrics=make_figures(spool=1234, skew=-42.0)))
    visit("#/hosts/web-01")
    facts = page.locator(".facts")
    for said in (
        "SystemLinux", "ReleaseDebian GNU/Linux 12 (bookworm), x86_64", "Agent1.8.2", "Waiting on it1,234 events",
        "every 30\u202fs; late after 60\u202fs, gone after 90\u202fs", "42\u202fs ahead of the server's",
        "Boot01938a3c-1111",
    ):  # fmt: skip
        expect(facts).to_contain_text(said)
    facts.get_by_role("link", name="lyon").click()
    expect(page).to_have_url(re.compile(r"#/hosts\?tag=lyon$"))
    pretended.one = make_one(
        "web-01", info=None, metrics=None, tags=[], score=None, score_parts=[], uptime=[], patterns=[]
    )
    page.go_back()
    expect(facts).not_to_contain_text("Agent")
    expect(page.locator(".lanes")).to_contain_text("It sends no heartbeats.")
    expect(page.get_by_text("It has none yet")).to_be_visible()


@pytest.mark.parametrize(
    ("system", "shown", "wanted"),
    [
        (
            "LINUX", "crashed",
            [
                "ping web-01", f"sudo python3 {AGENT} status", "systemctl status heimdall-agent",
                "journalctl -u heimdall-agent -n 50",
            ],
        ),
        ("LINUX", "zombie", ["uptime; df -h", "sudo systemctl restart heimdall-agent"]),
        ("WINDOWS", "silent", ['schtasks /query /tn "Heimdall agent" /v /fo list']),
        ("MACOS", "overdue", ["sudo launchctl print system/heimdall-agent"]),
        ("PIHOLE", "late", ["systemctl status pihole-FTL"]),
        ("FIREWALL", "silent", ["sudo ss -lntup"]),
    ],
)  # fmt: skip
def test_what_to_check_fits_the_state_and_the_system(
    page: Page, pretended: Pretended, visit: Visit, system: str, shown: str, wanted: list[str]
) -> None:
    show_one(pretended, make_one("web-01", shown, os_type=system))
    visit("#/hosts/web-01")
    expect(page.get_by_role("heading", name="What to check")).to_be_visible()
    assert set(wanted) <= set(lines(page))
    expect(page.locator(".checks").get_by_role("button", name="Copy")).to_have_count(len(lines(page)))


def test_signs_in_the_heartbeats_are_checked_too(page: Page, pretended: Pretended, visit: Visit) -> None:
    metrics = make_figures(skew=42.0, spool=5000, boot_returns=3, boot_returned_at=ago(minutes=5))
    show_one(pretended, make_one("web-01", "late", 1, metrics=metrics, info=None))
    visit("#/hosts/web-01")
    checks = page.locator(".checks")
    for said in ("Its clock is 42\u202fs behind", "Many events wait in its spool", "Two agents use its name"):
        expect(checks).to_contain_text(said)
    assert any("/heartbeat" in line and '-H "source_host: web-01"' in line for line in lines(page))


def test_of_a_host_that_is_well_nothing_is_to_be_checked(page: Page, pretended: Pretended, visit: Visit) -> None:
    show_one(pretended, make_one("web-01"))
    visit("#/hosts/web-01")
    expect(lead(page)).to_contain_text("online")
    expect(page.locator(".checks")).to_have_count(0)


def test_a_name_that_a_shell_would_read_is_in_no_command(page: Page, pretended: Pretended, visit: Visit) -> None:
    show_one(pretended, make_one("web;reboot", "silent", info=None, os_type="$(reboot)"))
    visit("#/hosts/web%3Breboot")
    expect(lead(page)).to_contain_text("web;reboot: silent")
    assert "ping NAME" in lines(page)
    assert not any("web;reboot" in line or "$(reboot)" in line for line in lines(page))


def test_its_open_alerts_are_there_and_can_be_acknowledged(page: Page, pretended: Pretended, visit: Visit) -> None:
    show_one(pretended, make_one("web-01", "crashed"))
    pretended.alerts = [make_alert("web-01"), make_alert("web-02")]
    visit("#/hosts/web-01")
    expect(page.get_by_text("Nobody has acknowledged it.")).to_have_count(1)
    page.keyboard.press("a")
    page.get_by_role("dialog").get_by_role("button", name="Acknowledge").click()
    expect(page.locator(".toast")).to_have_text("1 alert acknowledged")
    assert [path for _, path, _ in pretended.sent] == ["/alerts/alert-web-01/ack"]
    pretended.alerts = [make_alert("web-01", acked_at=ago(minutes=1), acked_by="local:eva")]
    expect(page.get_by_text("local:eva sees to it")).to_be_visible(timeout=15_000)
    expect(page.get_by_role("button", name="Acknowledge")).to_have_count(0)


def test_it_is_silenced_and_deleted_in_dialogs(page: Page, pretended: Pretended, visit: Visit) -> None:
    show_one(pretended, make_one("web-01"))
    visit("#/hosts/web-01")
    page.get_by_role("button", name="Silence").click()
    page.get_by_role("dialog", name="Silence 1 host").get_by_role("button", name="Silence").click()
    expect(page.locator(".toast")).to_have_text("1 host silenced")
    page.get_by_role("button", name="Delete").click()
    dialog = page.get_by_role("dialog", name="Delete 1 host")
    expect(dialog).to_contain_text("This cannot be undone.")
    dialog.get_by_label("Delete their events as well").check()
    dialog.get_by_role("button", name="Delete").click()
    expect(page).to_have_url(re.compile("#/hosts$"))
    assert pretended.sent[-1] == ("DELETE", "/hosts/web-01?events=true", None)


def test_who_may_only_read_can_change_nothing(page: Page, pretended: Pretended, visit: Visit) -> None:
    pretended.scopes = ("read",)
    show_one(pretended, make_one("web-01", "crashed"))
    pretended.alerts = [make_alert("web-01")]
    visit("#/hosts/web-01")
    expect(page.get_by_text("Nobody has acknowledged it.")).to_be_visible()
    for action in ("Acknowledge", "Silence", "Maintenance", "Delete"):
        expect(page.locator("main").get_by_role("button", name=action)).to_have_count(0)
    page.keyboard.press("a")
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_its_newest_events_lead_to_all_of_them(page: Page, pretended: Pretended, visit: Visit) -> None:
    show_one(pretended, make_one("web-01"), [make_event("web-01")])
    visit("#/hosts/web-01")
    expect(page.locator(".host-events li")).to_have_text(
        [re.compile("LOGIN_FAIL Failed password for root.+30\u202fmin ago")]
    )
    assert any(path == "/events?source_host=web-01&limit=10" for path in pretended.asked)
    page.get_by_role("link", name="All events of web-01").click()
    expect(page).to_have_url(re.compile(r"#/events\?.*source_host=web-01"))


def test_escape_leads_back_to_where_one_was(page: Page, pretended: Pretended, visit: Visit) -> None:
    show_one(pretended, make_one("web-01"))
    visit("#/hosts?q=web")
    page.get_by_role("link", name="web-01").first.click()
    expect(lead(page)).to_contain_text("web-01: online")
    page.keyboard.press("Escape")
    expect(page).to_have_url(re.compile(r"#/hosts\?q=web$"))


def test_of_an_unknown_host_one_next_step_is_told(page: Page, pretended: Pretended, visit: Visit) -> None:
    visit("#/hosts/Web-01")
    expect(lead(page)).to_have_text("Nothing is known of Web-01")
    expect(page.locator("main")).to_contain_text("Names are compared exactly")
    page.get_by_role("link", name="Look for a name like it").click()
    expect(page).to_have_url(re.compile(r"#/hosts\?q=Web-01$"))


def test_a_new_host_has_nothing_yet_and_says_so(page: Page, pretended: Pretended, visit: Visit) -> None:
    host = make_one(
        "web-01", "new", 5, last_seen=None, info=None, metrics=None, outages=[], score=None, score_parts=[], uptime=[],
        patterns=[], total_events=0, os_type=None,
    )  # fmt: skip
    show_one(pretended, host)
    visit("#/hosts/web-01")
    expect(lead(page)).to_have_text("web-01: new for 5\u202fmin")
    expect(page.locator(".lead-s")).to_have_text(re.compile("It was enrolled at .+, and nothing was heard of it yet."))
    expect(page.get_by_text("No event of it is stored yet.")).to_be_visible()
    assert page.get_by_text(re.compile(r"\bNaN\b")).count() == 0


def test_what_takes_long_is_announced_as_loading(page: Page, pretended: Pretended, visit: Visit) -> None:
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    show_one(pretended, make_one("web-01"))
    page.route("**/hosts/web-01", hold)
    visit("#/hosts/web-01")
    expect(lead(page)).to_have_text("Loading web-01")
    held[0].fallback()
    expect(lead(page)).to_contain_text("web-01: online")


def test_an_error_stays_until_it_is_solved(page: Page, pretended: Pretended, visit: Visit) -> None:
    show_one(pretended, make_one("web-01"))
    take_away(page, "/hosts/web-01")
    visit("#/hosts/web-01")
    bring_back(page, pretended, "/hosts/web-01", "web-01 cannot be had.")
    expect(lead(page)).to_contain_text("web-01: online")


def test_a_verdict_that_changes_is_shown_and_read_out(page: Page, pretended: Pretended, visit: Visit) -> None:
    show_one(pretended, make_one("web-01"))
    visit("#/hosts/web-01")
    expect(lead(page)).to_contain_text("web-01: online")
    pretended.one = make_one("web-01", "crashed", 0)
    expect(lead(page)).to_contain_text("web-01: crashed", timeout=15_000)
    expect(page.locator(".vh[role=status]")).to_contain_text("web-01: crashed. Its connection broke")
    # its age changes each second: that is not read out
    assert lead(page).get_attribute("role") is None


def test_what_a_host_says_of_itself_is_shown_and_never_run(page: Page, pretended: Pretended, visit: Visit) -> None:
    hostile = make_one(
        "web-01", "crashed", os_type=SCRIPT, tags=[SCRIPT], reason=SCRIPT, since=SCRIPT, last_seen=SCRIPT,
        back_by=SCRIPT,
        info={"version": SCRIPT, "os_release": {"a": [SCRIPT]}, "architecture": 17, "boot": [SCRIPT]},
        metrics=make_figures(boot=SCRIPT, interval_s=0, beat_at=SCRIPT, began_at=SCRIPT),
        outages=[{"began_at": SCRIPT, "ended_at": None, "cause": SCRIPT}],
        patterns=[{"kind": SCRIPT, "words": SCRIPT, "data": {}}],
        score_parts=[{"name": SCRIPT, "points_lost": 3, "words": SCRIPT}],
    )  # fmt: skip
    event = make_event("web-01", raw_message=SCRIPT, event_type=SCRIPT, created_at=SCRIPT, severity=99)
    show_one(pretended, hostile, [event])
    pretended.alerts = [make_alert("web-01", SCRIPT, text=SCRIPT, acked_at=SCRIPT, acked_by=SCRIPT)]
    visit("#/hosts/web-01")
    expect(page.locator(".host-events")).to_contain_text(SCRIPT)
    expect(page.locator(".facts")).to_contain_text(SCRIPT)
    pretended.one = hostile | {"info": SCRIPT}
    page.reload()
    expect(page.locator(".facts")).to_contain_text(f"Said of itself{SCRIPT}")
    assert page.locator("img").count() == 0


def fill(pretended: Pretended, shown: str = "crashed") -> None:
    long = "x" * 253
    show_one(pretended, make_one(long, shown, tags=["lyon", "y" * 200]), [make_event(long, raw_message="z" * 900)])
    pretended.alerts = [make_alert(long, shown)]


@pytest.mark.axe
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_about_a_host(page: Page, pretended: Pretended, visit: Visit, scheme: Any) -> None:
    fill(pretended)
    page.emulate_media(color_scheme=scheme)
    visit(f"#/hosts/{'x' * 253}")
    expect(page.locator(".lanes .chart")).to_have_count(3)
    for summary in page.locator("summary").all():
        summary.click()
    expect(page.locator(".hour-table tbody tr").first).to_be_attached()
    assert violations(page) == []
    pretended.one = None
    page.reload()
    expect(lead(page)).to_contain_text("Nothing is known of")
    assert violations(page) == []


def test_no_width_scrolls_a_host_sideways(page: Page, pretended: Pretended, visit: Visit) -> None:
    fill(pretended)
    visit(f"#/hosts/{'x' * 253}?span=30d")
    expect(page.locator(".lanes .chart")).to_have_count(3)
    page.get_by_text("Heartbeats, latency and loss as a table").click()
    expect_no_scrolling(page)


def test_a_chart_has_the_colours_of_its_theme_and_on_paper_those_of_paper(
    page: Page, pretended: Pretended, visit: Visit
) -> None:
    show_one(pretended, make_one("web-01"))
    page.emulate_media(color_scheme="light")
    visit("#/hosts/web-01")
    expect(page.locator(".lanes .chart")).to_have_count(3)
    light = page.evaluate(CAME)
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(f"(before) => {CAME} !== before", arg=light)
    page.emulate_media(media="print", color_scheme="dark")  # paper is light
    page.wait_for_function(f"(before) => {CAME} === before", arg=light)


def test_a_host_of_a_real_store_is_shown(page: Page, lone_api: Api, log_in: Callable[[], Any]) -> None:
    for minutes in (3, 2, 1):
        lone_api.store.record_heartbeat("web-01", "LINUX", utc_now() - timedelta(minutes=minutes))
    log_in()
    page.goto(f"{lone_api.url}/#/hosts/web-01")
    expect(lead(page)).to_have_text("web-01: not judged")
    expect(page.locator(".lead-s")).to_have_text(re.compile("It was last heard at .+; nobody has judged it yet."))
    expect(page.locator(".lane-said")).to_contain_text("No outage in 24 hours.")
    page.get_by_role("button", name="30 d").click()
    expect(page.locator(".lane-said")).to_contain_text("No outage in 30 days.")
    expect(page.locator(".note")).to_have_count(0)
    page.goto(f"{lone_api.url}/#/hosts/nobody")
    expect(lead(page)).to_have_text("Nothing is known of nobody")
