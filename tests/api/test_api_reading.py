from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from api_parts import Api

from core.clock import parse_time, utc_now
from core.ids import uuid7
from core.messages import Event
from store import Beat, WriteBatch

KEYS = ["hostname", "os_type", "last_seen", "total_events", "state", "since", "reason", "score", "tags", "back_by"]


def make_event(**changes: Any) -> Event:
    values: dict[str, Any] = {
        "event_id": uuid7(), "timestamp": utc_now(), "source_host": "web-01", "os_type": "LINUX",
        "event_type": "LOGIN_FAIL", "severity": 3, "raw_message": "Failed password", "source_ip": "203.0.113.7",
        "user": "root",
    }  # fmt: skip
    return Event(**(values | changes))


def write(api: Api, *events: Event, at: datetime | None = None) -> list[UUID]:
    api.store.write(WriteBatch(list(events), at or utc_now(), [], []))
    return [event.event_id for event in events]


def test_hosts_are_answered_in_the_agreed_keys_on_both_sides_of_the_threshold(lone_api: Api) -> None:
    lone_api.store.record_heartbeat("web-01", "LINUX", utc_now() - timedelta(minutes=20))
    lone_api.store.record_heartbeat("web-02", "WINDOWS", utc_now())
    content = lone_api.client.get("/hosts").json()
    assert list(content) == [
        "success", "active_hosts", "inactive_hosts", "threshold_minutes", "total_active", "total_inactive",
    ]  # fmt: skip
    assert [host["hostname"] for host in content["active_hosts"]] == ["web-02"]
    assert [host["hostname"] for host in content["inactive_hosts"]] == ["web-01"]
    assert (content["total_active"], content["total_inactive"], content["success"]) == (1, 1, True)
    host = content["active_hosts"][0]
    assert list(host) == KEYS
    assert host["last_seen"].endswith("Z")
    assert parse_time(host["last_seen"])
    assert [host[key] for key in ("state", "since", "reason", "score", "tags")] == [None, None, None, None, []]


def test_the_threshold_moves_a_host_and_is_shown_as_it_was_given(lone_api: Api) -> None:
    lone_api.store.record_heartbeat("web-01", "LINUX", utc_now() - timedelta(minutes=20))
    for given, shown, active in (("15", "15", 0), ("21", "21", 1), ("20.5", "20.5", 1), ("0.5", "0.5", 0)):
        answer = lone_api.client.get("/hosts", params={"inactive_threshold": given})
        assert answer.json()["total_active"] == active
        assert f'"threshold_minutes":{shown},' in answer.text


@pytest.mark.parametrize("threshold", ["0", "-1", "abc", "nan", "inf", "1e300", ""])
def test_a_threshold_that_is_no_number_above_zero_is_422(lone_api: Api, threshold: str) -> None:
    answer = lone_api.client.get("/hosts", params={"inactive_threshold": threshold})
    assert answer.status_code == 422
    assert "inactive_threshold" in answer.json()["detail"]


def test_a_parameter_that_is_not_known_is_refused_by_name(lone_api: Api) -> None:
    for path in ("/hosts?inactive_treshold=5", "/hosts?limits=5", "/hosts/web-01?x=1", "/events?host=a", "/livez?a=b"):
        answer = lone_api.client.get(path)
        assert answer.status_code == 422, path
        assert path.partition("?")[2].partition("=")[0] in answer.json()["detail"]


def test_a_hosts_heartbeats_are_answered_as_figures_and_hours(lone_api: Api) -> None:
    begin = utc_now().replace(minute=0, second=0, microsecond=0) - timedelta(days=2)
    moments = [begin + timedelta(minutes=minute) for minute in (0, 1, 3, 60, 61)]
    beats = [
        Beat("web-01", "LINUX", at, seq, "a", delay_seconds=0.01)
        for at, seq in zip(moments, (0, 1, 3, 60, 61), strict=True)
    ]
    lone_api.store.write(WriteBatch([], moments[-1], [], beats))
    content = lone_api.client.get("/hosts/web-01/heartbeats").json()
    assert (content["total"], content["lost"], content["boot"], content["spool"]) == (5, 57, "a", None)
    assert content["loss"] == pytest.approx(57 / 62)
    assert content["expected"] == pytest.approx(62)
    assert content["latency_mean"] is None  # it was silent for the last day
    assert [(hour["beats"], hour["lost"]) for hour in content["hours"]] == [(3, 1), (2, 56)]
    assert content["hours"][0]["hour"] == begin.isoformat(timespec="microseconds").replace("+00:00", "Z")
    later = lone_api.client.get("/hosts/web-01/heartbeats", params={"since": moments[-1].isoformat()}).json()
    assert later["hours"] == content["hours"][1:]
    assert lone_api.client.get("/hosts/web-01/heartbeats?since=yesterday").status_code == 422


def test_a_host_that_never_sent_a_heartbeat_has_none_and_an_unknown_one_is_404(lone_api: Api) -> None:
    lone_api.store.write(WriteBatch([make_event()], utc_now()))
    content = lone_api.client.get("/hosts/web-01/heartbeats").json()
    assert (content["total"], content["loss"], content["beat_at"], content["hours"]) == (0, None, None, [])
    for name in ("nobody", "%00"):
        assert lone_api.client.get(f"/hosts/{name}/heartbeats").status_code == 404


def test_one_host_has_the_same_keys_and_its_info(lone_api: Api) -> None:
    write(lone_api, make_event())
    content = lone_api.client.get("/hosts/web-01").json()
    shown = {"info", "reasons", "score_parts", "uptime", "metrics", "patterns", "outages", "success"}
    assert {*KEYS, *shown} == set(content)
    assert (content["hostname"], content["total_events"], content["info"]) == ("web-01", 1, None)


@pytest.mark.parametrize("name", ["nobody", "%00", "%ff", "..%2f", "<script>"])
def test_a_host_that_is_not_there_is_404(lone_api: Api, name: str) -> None:
    answer = lone_api.client.get(f"/hosts/{name}")
    assert answer.status_code == 404
    assert answer.json()["type"] == "/docs/problems#not-found"


def test_events_come_last_stored_first_and_page_by_page(lone_api: Api) -> None:
    ids = [str(event_id) for n in range(5) for event_id in write(lone_api, make_event(raw_message=f"{n}"))]
    seen: list[str] = []
    cursor: str | None = None
    for size in (2, 2, 1):
        page = lone_api.client.get("/events", params={"limit": 2} | ({"cursor": cursor} if cursor else {})).json()
        assert page["success"] is True
        assert len(page["events"]) == size
        seen += [event["event_id"] for event in page["events"]]
        cursor = page["next"]
    assert cursor is None
    assert seen == ids[::-1]


def test_an_event_is_shown_as_it_was_stored(lone_api: Api) -> None:
    event = make_event(raw_message="<script>alert(1)</script> \x1b[31m ü", user="\u202eadmin")
    write(lone_api, event)
    content = lone_api.client.get(f"/events/{event.event_id}").json()
    assert content.pop("success") is True
    assert content == lone_api.client.get("/events").json()["events"][0]
    assert (content["raw_message"], content["user"]) == (event.raw_message, event.user)
    assert content["event_id"] == str(event.event_id)


@pytest.mark.parametrize("event_id", ["nothing", "018f2b6e-7c4a-7d2e-9b1c-3f5a6b7c8d9e", "%00"])
def test_an_event_that_is_not_there_is_404(lone_api: Api, event_id: str) -> None:
    assert lone_api.client.get(f"/events/{event_id}").status_code == 404


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("source_host=web-02", "b"), ("event_type=sudo_escalation", "b"), ("severity_gte=5", "b"),
        ("os_type=windows", "b"), ("source_ip=198.51.100.1", "b"), ("q=NEEDLE", "b"), ("severity_gte=3", "ab"),
        ("happened_since=2025-06-01T00:00:00Z", "a"), ("happened_until=2025-06-01T00:00:00Z", "b"),
        ("since=2025-01-01T00:00:00%2B00:00", "ab"), ("since=2025-01-01T00:00:00+00:00", "ab"),
        ("until=2025-01-01T00:00:00Z", ""), ("source_host=web-01&severity_gte=5", ""),
    ],
)  # fmt: skip
def test_each_filter_finds_what_it_names(lone_api: Api, query: str, found: str) -> None:
    write(lone_api, make_event(user="a"))
    write(
        lone_api,
        make_event(
            user="b", source_host="web-02", event_type="SUDO_ESCALATION", severity=5, os_type="WINDOWS",
            source_ip="198.51.100.1", raw_message="a needle in hay", timestamp=parse_time("2025-03-01T00:00:00Z"),
        ),
    )  # fmt: skip
    events = lone_api.client.get(f"/events?{query}").json()["events"]
    assert "".join(sorted(event["user"] for event in events)) == found


@pytest.mark.parametrize(
    "query",
    [
        "limit=0", "limit=1001", "limit=x", "cursor=x", "cursor=-1", "cursor=99999999999999999999", "severity_gte=6",
        "event_type=COFFEE", "os_type=BEOS", "since=yesterday", "happened_until=0000-00-00T00:00:00Z", "q=%00",
        "source_host=%00", "limit=1&limit=x",
    ],
)  # fmt: skip
def test_a_filter_that_does_not_fit_is_422_and_named(lone_api: Api, query: str) -> None:
    answer = lone_api.client.get(f"/events?{query}")
    assert answer.status_code == 422
    assert query.partition("=")[0] in answer.json()["detail"]
