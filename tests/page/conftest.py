"""The page in a real Chromium, before a real API or a pretended one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from api_parts import Api, make_settings, running_api
from chromium import launched
from page_api import Pretended
from playwright.sync_api import Browser, BrowserContext, Page
from waiting import free_port

from api.auth import make_login_link
from core.clock import utc_now


# not of the session: while it is there an event loop runs, and other tests of the process could run none
@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with launched() as browser:
        yield browser


@pytest.fixture
def lone_api(tmp_path: Path) -> Iterator[Api]:
    """An API whose broker is away."""
    with running_api(make_settings(tmp_path / "home", free_port(), free_port())) as found:
        yield found


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


@pytest.fixture
def log_in(page: Page, lone_api: Api) -> Callable[[], Any]:
    """Opens the page by a login link."""
    return lambda: page.goto(f"{lone_api.url}/login?token={make_login_link(lone_api.store, utc_now())}")


@pytest.fixture
def pretended(page: Page) -> Pretended:
    """What `page` is answered, whatever the API holds."""
    made = Pretended()
    made.install(page)
    return made


@pytest.fixture
def visit(page: Page, lone_api: Api) -> Callable[[str], Any]:
    """Opens the page at a fragment, such as `#/hosts`."""
    return lambda fragment="": page.goto(f"{lone_api.url}/{fragment}")
