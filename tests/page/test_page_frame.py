"""The frame around every view: coming in, the address, what is live and what is stale, keys, size."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from api_parts import Api
from page_api import Pretended, make_alert, make_host
from playwright.sync_api import BrowserContext, Page, expect

from api.page import _FOLDER, join, read_files

pytestmark = pytest.mark.chromium

Visit = Callable[..., Any]
MOST_BYTES = 300_000
MOST_REQUESTS = 10


def lead(page: Page) -> Any:
    return page.locator(".lead-t")


def test_without_a_session_it_asks_for_a_key_and_takes_it(page: Page, pretended: Pretended, visit: Visit) -> None:
    pretended.hosts = [make_host("web-01")]
    pretended.signed_in = False
    visit()
    expect(page.get_by_label("API key")).to_be_focused()
    page.keyboard.type("the key")
    page.keyboard.press("Enter")
    expect(lead(page)).to_have_text("The one host is online")
    assert ("POST", "/sessions", {"key": "the key"}) in pretended.sent
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("API key")).to_be_visible()
    expect(page.get_by_text("web-01")).to_have_count(0)


def test_a_session_that_ends_keeps_the_view_and_asks_again(page: Page, pretended: Pretended, visit: Visit) -> None:
    pretended.hosts = [make_host("web-01", "crashed")]
    visit("#/hosts?state=crashed")
    expect(page.get_by_role("link", name="web-01")).to_be_visible()
    pretended.signed_in = False
    expect(page.get_by_role("dialog", name="Your session has ended")).to_be_visible(timeout=15_000)
    expect(page.get_by_label("API key")).to_be_focused()
    expect(page.locator(".grid-body").get_by_text("web-01")).to_be_attached()
    page.keyboard.type("key")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert page.url.endswith("#/hosts?state=crashed")


def test_a_lost_connection_is_said_and_ages_stop(
    page: Page, context: BrowserContext, pretended: Pretended, visit: Visit
) -> None:
    pretended.hosts = [make_host("web-01")]
    visit("#/hosts")
    expect(page.locator(".live b")).to_have_text("Live")
    expect(page.locator(".grid-body .c-seen time")).to_be_visible()
    pretended.broken = "the database is away"
    expect(page.locator(".live b")).to_have_text("Stale since", timeout=15_000)
    expect(page.locator(".note")).to_contain_text("The server says: the database is away. What is shown is as of")
    green = "getComputedStyle(document.querySelector('.f-online')).fill"
    assert page.evaluate(green) == "rgb(95, 105, 117)"  # no old green is shown as a present one
    age = page.locator(".grid-body .c-seen").text_content()
    page.wait_for_timeout(2_100)  # longer than the second in which a live age counts on
    assert page.locator(".grid-body .c-seen").text_content() == age
    pretended.broken = None
    expect(page.locator(".live b")).to_have_text("Live", timeout=15_000)
    expect(page.locator(".note")).to_have_count(0)


def test_a_device_that_is_offline_is_told_so(
    page: Page, context: BrowserContext, pretended: Pretended, visit: Visit
) -> None:
    pretended.hosts = [make_host("web-01")]
    visit()
    expect(page.locator(".live b")).to_have_text("Live")
    expect(page.locator(".lead-t")).to_be_visible()  # the view itself is there
    context.set_offline(True)
    page.unroute_all()  # so that the network is asked, which is away
    expect(page.locator(".note")).to_contain_text("This device is offline", timeout=15_000)
    page.keyboard.press("g")
    page.keyboard.press("h")
    expect(page.locator(".note", has_text="The view cannot be loaded")).to_be_visible(timeout=15_000)


# a stream that the test speaks into
TOLD = """window.EventSource = class extends EventTarget {
    static OPEN = 1;
    static CLOSED = 2;
    readyState = 1;
    constructor(url) {
        super();
        window.told = this;
        setTimeout(() => this.onopen?.(), 0);
    }
    close() { this.readyState = 2; }
}"""


def tell(page: Page, kind: str, message: dict[str, Any]) -> None:
    script = "([kind, data]) => told.dispatchEvent(new MessageEvent(kind, { data, lastEventId: '7' }))"
    page.evaluate(script, [kind, json.dumps(message)])


def test_what_the_server_tells_is_shown_at_once(page: Page, pretended: Pretended, visit: Visit) -> None:
    pretended.hosts = [make_host("web-01")]
    page.add_init_script(TOLD)
    visit("#/hosts")
    expect(page.locator(".grid-body .c-state")).to_have_text("Online")
    expect(page.locator(".live")).to_have_attribute("title", "The server tells what changes")
    pretended.hosts = [make_host("web-01", "zombie", 0)]
    told = {key: pretended.hosts[0][key] for key in ("hostname", "state", "since", "reason", "back_by")}
    tell(page, "verdict", told)
    expect(page.locator(".grid-body .c-state")).to_have_text("Zombie", timeout=1_000)
    expect(page.locator(".lead-t")).to_have_text("The one host needs you", timeout=8_000)


def test_when_the_stream_has_lost_the_thread_all_is_asked_anew(page: Page, pretended: Pretended, visit: Visit) -> None:
    pretended.hosts = [make_host("web-01")]
    page.add_init_script(TOLD)
    visit("#/hosts")
    expect(page.locator(".grid-body [role=row]")).to_have_count(1)
    pretended.hosts.append(make_host("web-02"))
    tell(page, "reset", {})
    expect(page.locator(".grid-body [role=row]")).to_have_count(2, timeout=2_000)


def test_without_a_stream_it_asks_every_few_seconds(page: Page, pretended: Pretended, visit: Visit) -> None:
    pretended.hosts = [make_host("web-01")]
    visit("#/hosts")
    expect(page.locator(".grid-body [role=row]")).to_have_count(1)
    pretended.hosts.append(make_host("web-02"))
    expect(page.locator(".grid-body [role=row]")).to_have_count(2, timeout=15_000)


def test_a_hidden_tab_asks_nothing_and_is_fresh_when_it_is_looked_at(
    page: Page, pretended: Pretended, visit: Visit
) -> None:
    pretended.hosts = [make_host("web-01")]
    visit()
    expect(lead(page)).to_have_text("The one host is online")
    hide = """(hidden) => {
        Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
        document.dispatchEvent(new Event("visibilitychange"));
    }"""
    page.evaluate(hide, True)
    page.wait_for_timeout(1_000)  # what was under way ends
    before = len(pretended.asked)
    page.wait_for_timeout(6_000)  # longer than the time between two questions
    assert len(pretended.asked) == before
    pretended.hosts = [make_host("web-01", "crashed")]
    page.evaluate(hide, False)
    expect(lead(page)).to_have_text("1 host is down, and somebody sees to it", timeout=4_000)


def test_each_view_has_an_address_that_back_and_forward_know(page: Page, pretended: Pretended, visit: Visit) -> None:
    pretended.hosts = [make_host("web-01")]
    visit()
    page.get_by_role("navigation", name="Main").get_by_role("link", name="Hosts").click()
    expect(page).to_have_url(re.compile("#/hosts$"))
    expect(page.get_by_role("heading", level=1)).to_have_text("Hosts")
    page.go_back()
    expect(page.get_by_role("heading", level=1)).to_have_text("Overview")
    page.go_forward()
    expect(page.get_by_role("heading", level=1)).to_have_text("Hosts")


def test_the_keys_go_to_views_and_are_shown_and_can_be_switched_off(
    page: Page, pretended: Pretended, visit: Visit
) -> None:
    pretended.hosts = [make_host("web-01")]
    visit()
    expect(lead(page)).to_be_visible()
    page.keyboard.press("g")
    page.keyboard.press("h")
    expect(page.get_by_role("heading", level=1)).to_have_text("Hosts")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_contain_text("Go to Overview")
    page.get_by_label("Single keys work").uncheck()
    page.keyboard.press("Escape")
    page.keyboard.press("g")
    page.keyboard.press("o")
    page.wait_for_timeout(300)
    expect(page.get_by_role("heading", level=1)).to_have_text("Hosts")


def test_the_search_finds_hosts_and_addresses(page: Page, pretended: Pretended, visit: Visit) -> None:
    pretended.hosts = [make_host("web-01"), make_host("db-01")]
    visit()
    expect(lead(page)).to_be_visible()
    page.keyboard.press("/")
    page.keyboard.type("web")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"#/hosts\?q=web$"))
    expect(page.locator(".grid-body [role=row]")).to_have_count(1)
    page.get_by_label("Find a host or an address").fill("203.0.113.9")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"#/events\?source_ip=203\.0\.113\.9$"))


def test_the_theme_is_a_choice_that_stays(page: Page, pretended: Pretended, visit: Visit) -> None:
    pretended.hosts = [make_host("web-01")]
    visit()
    page.get_by_role("button", name="Dark").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.get_by_role("button", name="System").click()
    expect(page.locator("html")).not_to_have_attribute("data-theme", "dark")


def test_what_is_slow_is_drawn_as_bars(page: Page, pretended: Pretended, visit: Visit) -> None:
    page.route("**/summary", lambda _route: None)  # it never answers
    visit()
    expect(page.locator(".skel").first).to_be_visible()
    expect(page.get_by_role("status").first).to_have_text("Counting hosts and alerts")


def test_the_skip_link_goes_to_the_content_and_not_to_another_view(
    page: Page, pretended: Pretended, visit: Visit
) -> None:
    pretended.hosts = [make_host("web-01")]
    visit("#/hosts")
    expect(lead(page)).to_be_visible()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    assert page.url.endswith("#/hosts")


@pytest.mark.parametrize("view", ["overview", "hosts"])
def test_a_first_visit_takes_few_requests(page: Page, pretended: Pretended, visit: Visit, view: str) -> None:
    pretended.hosts = [make_host(f"web-{number:04}") for number in range(500)]
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    visit(f"#/{view}")
    expect(lead(page)).to_have_text("All 500 hosts are online")
    page.wait_for_load_state("networkidle")
    again = [url for url in asked if asked.count(url) > 1]
    assert len(asked) <= MOST_REQUESTS, asked
    assert not again


def test_of_many_alerts_a_first_visit_takes_few_requests_too(page: Page, pretended: Pretended, visit: Visit) -> None:
    pretended.hosts = [make_host(f"web-{number:04}", "crashed") for number in range(30)]
    pretended.alerts = [make_alert(f"web-{number:04}") for number in range(30)]
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    visit()
    expect(lead(page)).to_have_text("30 things need you")
    page.wait_for_load_state("networkidle")
    assert len(asked) <= MOST_REQUESTS, asked


def test_the_page_is_small() -> None:
    sizes = {path: len(file._content) for path, file in read_files().items()}
    assert sum(sizes.values()) < MOST_BYTES, sizes


def test_no_file_of_ours_writes_html_or_styles_into_markup() -> None:
    for file in [*_FOLDER.glob("frame/*.js"), *_FOLDER.glob("views/**/*.js"), _FOLDER / "frame.js"]:
        text = file.read_text()
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", text), (
            file
        )
        assert "https://" not in text, file
    assert " style=" not in (_FOLDER / "index.html").read_text()


def test_modules_that_are_joined_import_what_is_elsewhere_once() -> None:
    first = 'import { a, b } from "/v.js";\nimport { two } from "./two.js";\nexport const one = a;\n'
    second = 'import { a, c } from "/v.js";\nexport const two = c;\n'
    joined = join('export * from "./one.js";\nexport * from "./two.js";\n', [first, second])
    assert joined.splitlines()[0] == 'import { a, b, c } from "/v.js";'
    assert joined.count("import") == 1
    assert joined.index("const one") < joined.index("const two")


def test_every_module_of_the_frame_is_served_within_it(lone_api: Api) -> None:
    frame = lone_api.anyone.get("/frame.js").text
    named = set(re.findall(r'"\./frame/(\w+)\.js"', (_FOLDER / "frame.js").read_text()))
    assert named == {file.stem for file in _FOLDER.glob("frame/*.js")}
    assert lone_api.anyone.get("/frame/cell.js").status_code == 404
    assert "export function makeCell" in frame
    names = re.findall(r"^(?:export )?(?:async )?(?:const|let|function|class) (\w+)", frame, re.MULTILINE)
    assert sorted(names) == sorted(set(names))


def test_remarks_stay_at_home() -> None:
    served = read_files()
    frame = served["/frame.js"]._content.decode()
    assert "export class PageList" in frame
    for path, file in served.items():
        if path.endswith((".js", ".css")) and "/vendor/" not in path:
            assert not re.search(r"^\s*(//|/\*)", file._content.decode(), re.MULTILINE), path
