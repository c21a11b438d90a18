"""`GET /services`: what the parts of Heimdall say of themselves."""

from __future__ import annotations

from typing import Any

import pytest
from api_parts import Api, Ingestor
from waiting import wait_until

from core.messages import Distribution

pytestmark = pytest.mark.mosquitto


def services(api: Api) -> dict[tuple[str, str], dict[str, Any]]:
    answer = api.client.get("/services")
    assert answer.status_code == 200
    return {(one["name"], one["instance"]): one for one in answer.json()["services"]}


def test_each_service_is_there_with_what_it_says(api: Api, ingestor: Ingestor) -> None:
    ingestor.sign(metrics={"events_stored": 12, "commit_seconds": Distribution([1, 2], 0.5)})
    wait_until(lambda: {("api", "test"), ("ingestor", "1")} <= set(services(api)), "both are heard")
    told = services(api)["ingestor", "1"]
    assert told["state"] == "ok"
    assert told["parts"] == {"broker": "ok", "database": "ok"}
    assert told["metrics"] == {"events_stored": 12, "commit_seconds": {"counts": [1, 2], "sum": 0.5}}


def test_what_is_wrong_with_a_service_is_said(api: Api, ingestor: Ingestor) -> None:
    ingestor.sign(parts={"broker": "ok", "database": "away"})
    wait_until(lambda: ("ingestor", "1") in services(api), "it is heard")
    assert services(api)["ingestor", "1"]["state"] == "1: database: away"
    ingestor.sign(state="offline", reason="stop")
    wait_until(lambda: "offline" in services(api)["ingestor", "1"]["state"], "its end is heard")


def test_without_a_broker_nobody_is_heard(lone_api: Api) -> None:
    assert services(lone_api) == {}
