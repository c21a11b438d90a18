"""`GET /summary` and `GET /events/histogram`: the fleet at a glance, and what happened over time."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import quote

import pytest
from api_parts import Api

from core.clock import parse_time, rfc3339, utc_now
from core.ids import uuid7
from core.messages import Event
from store import CONDITIONS, HeldVerdict, WriteBatch


def judge(api: Api, *transitions: HeldVerdict) -> None:
    for _ in api.store.claim(transitions, utc_now()):
        pass


def store_events(api: Api, severity: int, minutes_ago: float, count: int = 1) -> None:
    at = utc_now() - timedelta(minutes=minutes_ago)
    events = [Event(uuid7(), at, "web-01", "LINUX", "LOGIN_FAIL", severity, f"no {n}") for n in range(count)]
    api.store.write(WriteBatch(events, at))


def test_an_empty_house_has_a_summary(lone_api: Api) -> None:
    told = lone_api.client.get("/summary").json()
    assert told["hosts"] == {"total": 0, "states": dict.fromkeys(CONDITIONS, 0)}
    assert told["alerts"] == {"open": 0, "acked": 0, "newest": []}
    assert (told["changes"]["went"], told["changes"]["newest"], told["events"]["minutes"]) == (0, [], [0] * 60)
    assert told["ingest"]["ready"] is False
    assert set(told["ingest"]["parts"]) == {"broker", "ingestor", "database"}


def test_the_summary_tells_what_there_is_and_what_changed(lone_api: Api) -> None:
    now = utc_now()
    for host in ("web-01", "web-02", "web-03", "web-04"):
        lone_api.store.record_heartbeat(host, "LINUX", now)
    judge(
        lone_api,
        HeldVerdict("web-01", "offline", "crashed", now - timedelta(minutes=9), None, 0),
        HeldVerdict("web-02", "offline", "silent", now - timedelta(hours=3), None, 0),
        HeldVerdict("web-03", "away", "reboot", now - timedelta(minutes=8), now, 0),
        HeldVerdict("web-04", "offline", "crashed", now - timedelta(minutes=30), None, 0),
    )
    judge(lone_api, HeldVerdict("web-04", "online", "", now - timedelta(minutes=20), None, 1))
    told = lone_api.client.get("/summary").json()
    assert told["hosts"]["total"] == 4
    assert {name: count for name, count in told["hosts"]["states"].items() if count} == {
        "crashed": 1, "silent": 1, "away": 1, "online": 1,
    }  # fmt: skip
    assert (told["changes"]["went"], told["changes"]["returned"]) == (2, 1)
    assert [one["hostname"] for one in told["changes"]["newest"]] == ["web-03", "web-01", "web-04"]
    assert (told["alerts"]["open"], told["alerts"]["acked"]) == (2, 0)
    assert {one["source_host"] for one in told["alerts"]["newest"]} == {"web-01", "web-02"}


def test_the_summary_counts_events_by_the_minute_and_by_severity(lone_api: Api) -> None:
    store_events(lone_api, 3, 0, count=5)
    store_events(lone_api, 5, 30, count=2)
    store_events(lone_api, 4, 90)
    store_events(lone_api, 1, 60 * 25)
    events = lone_api.client.get("/summary").json()["events"]
    assert (sum(events["minutes"]), events["stored_last_hour"], len(events["minutes"])) == (7, 7, 60)
    assert 2 in events["minutes"][28:32]
    assert events["severities_last_day"] == [0, 0, 5, 1, 2]


def test_a_histogram_has_buckets_that_join(lone_api: Api) -> None:
    store_events(lone_api, 3, 5, count=4)
    store_events(lone_api, 2, 65)
    told = lone_api.client.get("/events/histogram?buckets=30").json()
    assert (told["complete"], sum(bucket["events"] for bucket in told["buckets"])) == (True, 5)
    moments = [parse_time(bucket["at"]) for bucket in told["buckets"]]
    length = timedelta(seconds=told["bucket_seconds"])
    assert moments == [parse_time(told["since"]) + place * length for place in range(len(moments))]
    assert parse_time(told["until"]) == moments[-1] + length
    assert len(moments) <= 30


@pytest.mark.parametrize("query", ["source_host=web-01", "q=no", "severity_gte=3", "event_type=login_fail"])
def test_a_histogram_takes_the_filters_of_events(lone_api: Api, query: str) -> None:
    store_events(lone_api, 3, 5, count=4)
    since = quote(rfc3339(utc_now() - timedelta(hours=1)))
    told = lone_api.client.get(f"/events/histogram?{query}&since={since}").json()
    assert sum(bucket["severities"][2] for bucket in told["buckets"]) == 4


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("buckets=0", "buckets"), ("buckets=1001", "buckets"), ("limit=5", "limit"), ("since=x", "since"),
        ("since=2025-12-03T20:00:00Z&until=2025-12-03T20:00:00Z", "since"), ("until=0001-01-01T00:00:00Z", "until"),
    ],
)  # fmt: skip
def test_what_a_histogram_cannot_show_is_named(lone_api: Api, query: str, names: str) -> None:
    answer = lone_api.client.get(f"/events/histogram?{query}")
    assert answer.status_code == 422
    assert names in answer.json()["detail"]
