"""Silences, maintenance and acknowledgements over HTTP: by operators, seen by readers, and in the audit trail."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from api_parts import Api

from api.auth import issue_key
from core.clock import parse_time, rfc3339, utc_now
from store import HeldVerdict

KEYS = ["id", "hosts", "kinds", "reason", "made_by", "made_at", "from", "until", "ended_at"]
NOBODY = "01a21f40-c070-7001-a8ce-56267eb7d031"


@pytest.fixture
def operator(lone_api: Api) -> dict[str, str]:
    return {"api-key": issue_key(lone_api.store, "eva", ["operate"], None, "test")}


def soon(**changes: Any) -> dict[str, Any]:
    now = utc_now()
    times = {"from": rfc3339(now + timedelta(hours=1)), "until": rfc3339(now + timedelta(hours=3))}
    return {"hosts": ["db-1"], **times, **changes}


def lose(api: Api, host: str) -> str:
    now = utc_now()
    [claims] = api.store.claim([HeldVerdict(host, "offline", "crashed", now, None, 0)], now)
    return claims.opened[0].id


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/silences"), ("DELETE", f"/silences/{NOBODY}"), ("POST", "/maintenance"),
        ("DELETE", f"/maintenance/{NOBODY}"), ("POST", f"/alerts/{NOBODY}/ack"),
    ],
)  # fmt: skip
def test_readers_may_see_and_operators_alone_may_say(lone_api: Api, method: str, path: str) -> None:
    key = issue_key(lone_api.store, "less", ["agent", "read"], None, "test")
    assert lone_api.anyone.request(method, path, headers={"api-key": key}).status_code == 403
    assert lone_api.anyone.request(method, path).status_code == 401
    assert lone_api.anyone.get("/silences", headers={"api-key": key}).json() == {"success": True, "silences": []}
    assert lone_api.anyone.get("/maintenance", headers={"api-key": key}).json() == {"success": True, "maintenance": []}


def test_a_silence_is_made_seen_and_ended(lone_api: Api, operator: dict[str, str]) -> None:
    wanted = {"hosts": ["web-*", "db-1"], "for": "2h", "kinds": ["crashed"], "reason": "a new switch"}
    answer = lone_api.anyone.post("/silences", headers=operator, json=wanted)
    assert answer.status_code == 201
    made = answer.json()["silence"]
    assert list(made) == KEYS
    assert {key: made[key] for key in ("hosts", "kinds", "reason", "made_by", "ended_at")} == {
        "hosts": ["web-*", "db-1"], "kinds": ["crashed"], "reason": "a new switch", "made_by": "eva", "ended_at": None,
    }  # fmt: skip
    assert parse_time(made["until"]) - parse_time(made["from"]) == timedelta(hours=2)
    assert lone_api.client.get("/silences").json()["silences"] == [made]
    ended = lone_api.anyone.delete(f"/silences/{made['id']}", headers=operator)
    assert ended.status_code == 200
    assert ended.json()["ended"]["ended_at"] is not None
    assert lone_api.client.get("/silences").json()["silences"] == []
    again = lone_api.anyone.delete(f"/silences/{made['id']}", headers=operator)
    assert (again.status_code, again.json()) == (200, ended.json())
    acts = [(one.who, one.action, one.target) for one in lone_api.store.audit(2)]
    assert acts == [("eva", "silence.ended", "web-* db-1"), ("eva", "silence.made", "web-* db-1")]


def test_maintenance_is_announced_seen_and_called_off(lone_api: Api, operator: dict[str, str]) -> None:
    answer = lone_api.anyone.post("/maintenance", headers=operator, json=soon(reason="a new disk"))
    assert answer.status_code == 201
    made = answer.json()["maintenance"]
    assert list(made) == KEYS
    assert lone_api.client.get("/maintenance").json()["maintenance"] == [made]
    assert lone_api.client.get("/silences").json()["silences"] == []
    assert lone_api.anyone.delete(f"/silences/{made['id']}", headers=operator).status_code == 404
    assert lone_api.anyone.delete(f"/maintenance/{made['id']}", headers=operator).status_code == 200
    assert lone_api.client.get("/maintenance").json()["maintenance"] == []


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        ([], "the body must be an object with hosts, for, kinds, reason"),
        ({"for": "2h"}, "hosts must be a list of texts"),
        ({"hosts": "web-*", "for": "2h"}, "hosts must be a list of texts"),
        ({"hosts": [], "for": "2h"}, "hosts: use 1 to 100 patterns"),
        ({"hosts": ["web 1"], "for": "2h"}, "hosts 'web 1' fits no host name"),
        ({"hosts": ["web-1"]}, "for None is no duration: use a number above 0 and m, h or d"),
        ({"hosts": ["web-1"], "for": "2w"}, "for '2w' is no duration"),
        ({"hosts": ["web-1"], "for": 7200}, "for 7200 is no duration"),
        ({"hosts": ["web-1"], "for": "2h", "kinds": []}, "kinds: use 1 to 100 kinds"),
        ({"hosts": ["web-1"], "for": "2h", "kind": ["crashed"]}, "unknown key 'kind': use hosts, for, kinds, reason"),
        ({"hosts": ["web-1"], "for": "2h", "reason": 3}, "reason must be a text"),
        ({"hosts": ["web-1"], "for": "2h", "reason": "\0"}, "no NUL"),
        ({"hosts": ["web-1"], "for": "2h", "reason": "x" * 501}, "at most 500 characters"),
    ],
)
def test_a_silence_that_does_not_fit_is_422_and_says_what_would(
    lone_api: Api, operator: dict[str, str], wanted: Any, says: str
) -> None:
    answer = lone_api.anyone.post("/silences", headers=operator, json=wanted)
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    assert says in answer.json()["detail"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"from": "tomorrow"}, "from 'tomorrow' is not an RFC 3339 time"),
        ({"from": None}, "from None is not an RFC 3339 time"),
        ({"until": 3}, "until 3 is not an RFC 3339 time"),
        ({"until": "2020-01-01T00:00:00Z"}, "over already"),
        ({"from": "2200-01-01T00:00:00Z", "until": "2200-01-01T01:00:00Z"}, "too far ahead"),
        ({"until": "9999-01-01T00:00:00Z"}, "365 days"),
        ({"kinds": ["crashed"]}, "unknown key 'kinds'"),
    ],
)
def test_maintenance_that_does_not_fit_is_422_and_says_what_would(
    lone_api: Api, operator: dict[str, str], change: dict[str, Any], says: str
) -> None:
    answer = lone_api.anyone.post("/maintenance", headers=operator, json=soon(**change))
    assert answer.status_code == 422
    assert says in answer.json()["detail"]


@pytest.mark.parametrize("path", ["/silences", "/maintenance"])
def test_what_there_is_not_cannot_be_ended(lone_api: Api, operator: dict[str, str], path: str) -> None:
    assert lone_api.anyone.delete(f"{path}/{NOBODY}", headers=operator).status_code == 404
    assert lone_api.anyone.delete(f"{path}/all", headers=operator).status_code == 422


def test_an_alert_is_acknowledged_by_the_first_who_says_so(lone_api: Api, operator: dict[str, str]) -> None:
    alert_id = lose(lone_api, "web-1")
    acked = lone_api.anyone.post(f"/alerts/{alert_id}/ack", headers=operator)
    assert (acked.status_code, acked.json()["alert"]["acked_by"]) == (200, "eva")
    other = {"api-key": issue_key(lone_api.store, "ann", ["admin"], None, "test")}
    assert lone_api.anyone.post(f"/alerts/{alert_id}/ack", headers=other).json() == acked.json()
    assert lone_api.client.get("/alerts").json()["alerts"] == [acked.json()["alert"]]
    assert lone_api.anyone.post(f"/alerts/{alert_id.upper()}/ack", headers=operator).status_code == 200


def test_a_resolved_or_unknown_alert_cannot_be_acknowledged(lone_api: Api, operator: dict[str, str]) -> None:
    alert_id, now = lose(lone_api, "web-1"), utc_now()
    list(lone_api.store.claim([HeldVerdict("web-1", "online", "", now, None, 1)], now))
    refused = lone_api.anyone.post(f"/alerts/{alert_id}/ack", headers=operator)
    assert (refused.status_code, "is resolved" in refused.json()["detail"]) == (409, True)
    assert lone_api.anyone.post(f"/alerts/{NOBODY}/ack", headers=operator).status_code == 404
    assert lone_api.anyone.post("/alerts/web-1/ack", headers=operator).status_code == 422
