"""`GET /hosts` as pages: filters, orders, cursors, and answers that were read before."""

from __future__ import annotations

import gzip
from datetime import timedelta
from urllib.parse import quote

import httpx
import pytest
from api_parts import Api

from core.clock import parse_time, rfc3339, utc_now
from store import HeldVerdict


def fill(api: Api, count: int = 5) -> None:
    now = utc_now()
    for number in range(count):
        api.store.record_heartbeat(f"web-{number}", "LINUX", now)
    transitions = [
        HeldVerdict("web-3", "offline", "crashed", now, None, 0),
        HeldVerdict("web-4", "away", "reboot", now, now + timedelta(minutes=5), 0),
    ]
    for _ in api.store.claim(transitions, now):
        pass


def test_links_lead_through_every_page_with_the_same_filters(lone_api: Api) -> None:
    fill(lone_api)
    found, address = [], "/hosts?limit=2&q=web&sort=-hostname"
    while address:
        answer = lone_api.client.get(address)
        content = answer.json()
        assert list(content) == ["success", "hosts", "total", "next"]
        assert content["total"] == 5
        found += [host["hostname"] for host in content["hosts"]]
        assert ("next" in answer.links) == (content["next"] is not None)
        address = answer.links.get("next", {}).get("url", "")
    assert found == ["web-4", "web-3", "web-2", "web-1", "web-0"]


def test_the_worst_is_first_and_what_is_known_of_it_is_there(lone_api: Api) -> None:
    fill(lone_api)
    since = quote(rfc3339(utc_now() - timedelta(hours=24)))
    content = lone_api.client.get(f"/hosts?limit=2&outages_since={since}").json()
    first = content["hosts"][0]
    assert (first["hostname"], first["state"], first["reason"]) == ("web-3", "offline", "crashed")
    (outage,) = first["outages"]
    assert (outage["cause"], outage["ended_at"]) == ("crashed", None)
    assert "outages" not in lone_api.client.get("/hosts?limit=1").json()["hosts"][0]
    (away,) = lone_api.client.get("/hosts?state=away").json()["hosts"]
    assert parse_time(away["back_by"]) > utc_now()


def test_offline_is_all_of_its_reasons_and_states_add_up(lone_api: Api) -> None:
    fill(lone_api)
    names = [host["hostname"] for host in lone_api.client.get("/hosts?state=offline&state=away").json()["hosts"]]
    assert names == ["web-3", "web-4"]


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("limit=0", "limit"), ("limit=1001", "limit"), ("state=dead", "state"), ("sort=colour", "sort"),
        ("os_type=BEOS", "os_type"), ("cursor=abc", "cursor"), ("cursor=%00", "cursor"), ("q=%00", "q"),
        ("outages_since=yesterday", "outages_since"), ("offset=5", "offset"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named(lone_api: Api, query: str, names: str) -> None:
    answer = lone_api.client.get(f"/hosts?{query}")
    assert answer.status_code == 422
    assert names in answer.json()["detail"]


def test_a_cursor_of_another_order_is_refused(lone_api: Api) -> None:
    fill(lone_api)
    cursor = lone_api.client.get("/hosts?limit=1&sort=hostname").json()["next"]
    assert lone_api.client.get(f"/hosts?limit=1&sort=-hostname&cursor={cursor}").status_code == 422
    assert lone_api.client.get(f"/hosts?limit=1&sort=hostname&cursor={cursor}").status_code == 200


def test_the_plain_answer_stays_whole(lone_api: Api) -> None:
    fill(lone_api)
    content = lone_api.client.get("/hosts?inactive_threshold=15").json()
    assert (content["total_active"], len(content["active_hosts"]), "hosts" in content) == (5, 5, False)


def test_an_answer_that_is_known_is_304_until_it_changes(lone_api: Api) -> None:
    fill(lone_api)
    first = lone_api.client.get("/hosts?limit=5")
    known = {"if-none-match": first.headers["etag"]}
    assert first.headers["etag"].startswith('W/"')
    again = lone_api.client.get("/hosts?limit=5", headers=known)
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", first.headers["etag"])
    assert again.headers["cache-control"] == first.headers["cache-control"]
    several = {"if-none-match": f'"other", {first.headers["etag"]}'}
    assert lone_api.client.get("/hosts?limit=5", headers=several).status_code == 304
    lone_api.store.record_heartbeat("web-1", "LINUX", utc_now() + timedelta(seconds=1))
    assert lone_api.client.get("/hosts?limit=5", headers=known).status_code == 200


def test_long_answers_are_zipped_for_who_takes_that(lone_api: Api) -> None:
    fill(lone_api, 1_000)
    plain = lone_api.client.get("/hosts", headers={"accept-encoding": "identity"})
    assert "content-encoding" not in plain.headers
    with lone_api.client.stream("GET", "/hosts", headers={"accept-encoding": "gzip"}) as zipped:
        raw = b"".join(zipped.iter_raw())
    assert zipped.headers["content-encoding"] == "gzip"
    assert int(zipped.headers["content-length"]) == len(raw) < len(plain.content) / 5
    assert gzip.decompress(raw) == plain.content
    assert zipped.headers["etag"] == plain.headers["etag"]
    assert zipped.headers["vary"] == "Accept-Encoding"


def test_a_refusal_has_no_etag(lone_api: Api) -> None:
    answer: httpx.Response = lone_api.client.get("/hosts?limit=0")
    assert "etag" not in answer.headers
