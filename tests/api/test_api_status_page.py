"""The status page and its badge: off unless it is asked for, and never a word about a single host."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from xml.etree import ElementTree

import pytest
from api_parts import Api, Broker, Ingestor, make_settings, running_api
from waiting import free_port, wait_until

from api import looks
from api.badge import write_badge
from api.looks import Look
from core.clock import utc_now
from core.messages import ServiceStatus, encode
from core.topics import service_topic
from store import HeldVerdict

PATHS = ("/status", "/badge.svg")
HOSTILE = "evil-03.example"


@pytest.fixture(autouse=True)
def each_request_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looks, "LOOK_SECONDS", 0.0)


@pytest.fixture
def public(tmp_path: Path, broker: Broker, ingestor: Ingestor) -> Iterator[Api]:
    """An API that publishes its status, and is connected."""
    settings = make_settings(tmp_path / "home", broker.port, free_port(), HEIMDALL_STATUS_PAGE="on")
    with running_api(settings) as found:
        wait_until(lambda: found.bridge.state() == "ok", "the bridge has connected")
        ingestor.sign()
        sign_of_the_watch(found)
        wait_until(lambda: found.anyone.get("/readyz").status_code == 200, "the ingestor was heard")
        yield found


def sign_of_the_watch(api: Api, **parts: str) -> None:
    status = ServiceStatus("online", "s1", utc_now(), "start", parts=parts)
    api.bridge.signs.record(service_topic("watch", "1"), encode(status), False)


def hold(api: Api, host: str, state: str = "online", reason: str = "", minutes: float = 10) -> None:
    now = utc_now()
    api.store.record_heartbeat(host, "LINUX", now)
    verdict = HeldVerdict(host, state, reason, now - timedelta(minutes=minutes), None, 0)  # type: ignore[arg-type]
    for _ in api.store.claim([verdict], now):
        pass


def lead(api: Api) -> str:
    found = re.search("<h1>(.*)</h1>", api.anyone.get("/status").text)
    assert found
    return found[1]


def label(api: Api) -> str:
    return str(ElementTree.fromstring(api.anyone.get("/badge.svg").text).attrib["aria-label"])


@pytest.mark.parametrize("path", PATHS)
def test_it_is_off_until_it_is_asked_for(lone_api: Api, path: str) -> None:
    refused = lone_api.anyone.get(path)
    assert refused.status_code == 404
    assert "HEIMDALL_STATUS_PAGE=on" in refused.json()["detail"]
    assert lone_api.client.get(path).status_code == 404


def test_while_all_is_well_it_says_so(public: Api) -> None:
    assert lead(public) == "Heimdall sees no machines yet"
    assert label(public) == "Heimdall: no machines yet"
    hold(public, "web-01")
    assert lead(public) == "Heimdall sees its one machine"
    hold(public, "web-02", "late")
    assert lead(public) == "Heimdall sees all 2 machines"
    assert "Nothing is wrong." in public.anyone.get("/status").text
    assert label(public) == "Heimdall: well, 2 of 2"


def test_what_is_wrong_is_counted_and_since_when_is_said(public: Api) -> None:
    hold(public, "web-01")
    hold(public, "web-02", "offline", "crashed", 30)
    hold(public, "web-03", "offline", "crashed", 90)
    hold(public, "web-04", "offline", "silent", 5)
    hold(public, "web-05", "away", "upgrade", 5)
    assert lead(public) == "Heimdall sees 1 of 5 machines"
    text = public.anyone.get("/status").text
    first = f"{utc_now() - timedelta(minutes=90):%H:%M} UTC"
    assert "3 need somebody" in text
    assert re.search(rf"<b>2</b> lost their connection</p><span>the first since <time [^>]*>[^<]*{first}", text)
    assert "<b>1</b> is silent" in text
    assert "<b>1</b> is away, as announced" in text
    assert label(public) == "Heimdall: trouble, 1 of 5"


def test_who_is_announced_or_revoked_is_no_trouble(public: Api) -> None:
    hold(public, "web-01")
    hold(public, "web-02", "offline", "stopped")
    hold(public, "web-03", "offline", "revoked")
    hold(public, "web-04", "new")
    assert lead(public) == "Heimdall sees 1 of 2 machines"
    assert label(public) == "Heimdall: well, 1 of 2"


def test_no_host_is_named_whatever_it_says_of_itself(public: Api) -> None:
    for state, reason in (("offline", "crashed"), ("away", "<script>alert(1)</script>"), ("online", HOSTILE)):
        hold(public, f"{state}.{HOSTILE}", state, reason)
    for path in PATHS:
        text = public.anyone.get(path).text
        assert HOSTILE not in text
        assert "alert(1)" not in text
        assert "127.0.0.1" not in text


def test_while_heimdall_is_not_well_nothing_is_claimed(public: Api) -> None:
    hold(public, "web-01")
    sign_of_the_watch(public, rules="ru1es of 10.0.0.1 are broken")
    assert lead(public) == "Heimdall cannot see its machines"
    assert label(public) == "Heimdall: not known"
    text = public.anyone.get("/status").text
    assert "ru1es" not in text
    assert "10.0.0.1" not in text
    sign_of_the_watch(public)
    assert lead(public) == "Heimdall sees its one machine"


def test_however_many_ask_the_database_is_asked_once(public: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looks, "LOOK_SECONDS", 5.0)
    asked: list[int] = []
    count = public.store.host_list.count
    monkeypatch.setattr(public.store.host_list, "count", lambda: (asked.append(1), count())[1])
    for _ in range(20):
        for path in PATHS:
            answer = public.anyone.get(path)
            assert answer.headers["cache-control"] == "public, max-age=5"
    assert len(asked) <= 2  # 40 requests may take longer than one look holds


def test_the_badge_is_for_other_sites_and_the_page_is_not(public: Api) -> None:
    page, badge = (public.anyone.get(path).headers for path in PATHS)
    assert badge["content-type"] == "image/svg+xml"
    assert badge["cross-origin-resource-policy"] == "cross-origin"
    assert page["cross-origin-resource-policy"] == "same-origin"
    assert "frame-ancestors 'none'" in page["content-security-policy"]
    assert page["x-content-type-options"] == badge["x-content-type-options"] == "nosniff"
    for path in PATHS:
        assert public.anyone.head(path).status_code == 200
        assert public.anyone.get(f"{path}?host=web-01").status_code == 422


def test_a_badge_is_as_wide_as_what_it_says() -> None:
    few, many = (Look(utc_now(), count, count) for count in (1, 1_234_567))
    widths = [int(ElementTree.fromstring(write_badge(one)).attrib["width"]) for one in (few, many)]
    assert widths[0] < widths[1] < 300
