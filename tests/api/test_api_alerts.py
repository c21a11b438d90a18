from __future__ import annotations

from datetime import timedelta

from api_parts import Api

from core.clock import utc_now
from store import HeldVerdict

KEYS = [
    "id",
    "kind",
    "source_host",
    "state",
    "since",
    "opened_at",
    "resolved_at",
    "text",
    "incident",
    "subject",
    "severity",
    "acked_at",
    "acked_by",
]


def lose(api: Api, *hosts: str, minutes_ago: float) -> str:
    """Alerts for `hosts`, opened together; their incident."""
    then = utc_now() - timedelta(minutes=minutes_ago)
    [claims] = api.store.claim([HeldVerdict(host, "offline", "crashed", then, None, 0) for host in hosts], then)
    [incident] = {one.incident for one in claims.opened}
    return incident


def test_alerts_are_answered_in_the_agreed_keys_and_those_of_an_incident_alone(lone_api: Api) -> None:
    together = lose(lone_api, "web-01", "web-02", "web-03", minutes_ago=20)
    later = lose(lone_api, "db-01", minutes_ago=1)
    every = lone_api.client.get("/alerts").json()["alerts"]
    assert [list(one) for one in every] == [KEYS] * 4
    assert [one["incident"] for one in every] == [later, together, together, together]
    found = lone_api.client.get("/alerts", params={"incident": together, "limit": 2}).json()
    rest = lone_api.client.get("/alerts", params={"incident": together, "cursor": found["next"]}).json()
    hosts = [one["source_host"] for one in [*found["alerts"], *rest["alerts"]]]
    assert sorted(hosts) == ["web-01", "web-02", "web-03"]
    assert rest["next"] is None


def test_an_incident_that_is_none_is_a_problem_and_an_unknown_one_has_no_alerts(lone_api: Api) -> None:
    assert lone_api.client.get("/alerts", params={"incident": "all"}).status_code == 422
    unknown = "01a21f40-c070-7001-a8ce-56267eb7d031"
    assert lone_api.client.get("/alerts", params={"incident": unknown}).json()["alerts"] == []
