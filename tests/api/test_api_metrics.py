from __future__ import annotations

from typing import Any

import pytest
from api_parts import Api, Ingestor
from prometheus_client.parser import text_string_to_metric_families
from waiting import wait_until

from core.clock import utc_now
from core.errors import Unavailable
from core.messages import Distribution
from core.metrics import METRICS
from ingestor.metrics import Metrics
from store import HeldVerdict


def scrape(api: Api) -> dict[tuple[str, str], float]:
    """Every sample, by its name and its labels but `instance`."""
    answer = api.client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    found = {}
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            labels = ",".join(f"{key}={value}" for key, value in sorted(sample.labels.items()) if key != "instance")
            found[sample.name, labels] = sample.value
    return found


def test_metrics_need_a_key(lone_api: Api) -> None:
    assert lone_api.anyone.get("/metrics").status_code == 401
    assert lone_api.client.get("/metrics").status_code == 200


def test_the_fleet_is_counted(lone_api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    now = utc_now()
    lone_api.store.record_heartbeat("web-01", "LINUX", now)
    for host, reason in (("web-01", "crashed"), ("web-02", "silent")):
        for _ in lone_api.store.claim([HeldVerdict(host, "offline", reason, now, None, 0)], now):
            pass
    lone_api.store.ack_alert(lone_api.store.read_open_alerts()[0].id, "eva", now)
    lone_api.client.get("/nothing")
    found = scrape(lone_api)
    assert found["heimdall_hosts", "state=crashed"] == 1
    assert found["heimdall_hosts", "state=online"] == 0
    assert found["heimdall_alerts_open", "acknowledged=yes"] == 1
    assert found["heimdall_alerts_open", "acknowledged=no"] == 1
    assert found["heimdall_api_requests_total", "code=4xx"] == 1
    assert scrape(lone_api)["heimdall_api_requests_total", "code=2xx"] == 1

    def fail(*_: object) -> None:
        raise Unavailable("the database is away")

    monkeypatch.setattr(lone_api.store, "count_alerts", fail)
    assert not any(name in ("heimdall_hosts", "heimdall_alerts_open") for name, _ in scrape(lone_api))


@pytest.mark.mosquitto
def test_what_an_ingestor_counts_is_shown_to_prometheus(api: Api, ingestor: Ingestor) -> None:
    metrics = Metrics()
    metrics.add("events_stored", 12)
    metrics.set("messages_unacknowledged", 3)
    for seconds in (0.002, 0.002, 0.3, 100):
        metrics.observe("commit_seconds", seconds)
    ingestor.sign(metrics=metrics.snapshot())
    found = wait_until(
        lambda: (samples := scrape(api)).get(("heimdall_up", "service=ingestor")) == 1 and samples, "it is up"
    )
    assert found["heimdall_ingestor_events_stored_total", ""] == 12
    assert found["heimdall_ingestor_messages_unacknowledged", ""] == 3
    assert found["heimdall_ingestor_commit_seconds_bucket", "le=0.0025"] == 2
    assert found["heimdall_ingestor_commit_seconds_bucket", "le=0.5"] == 3
    assert found["heimdall_ingestor_commit_seconds_bucket", "le=30"] == 3
    assert found["heimdall_ingestor_commit_seconds_bucket", "le=+Inf"] == 4
    assert found["heimdall_ingestor_commit_seconds_count", ""] == 4
    assert found["heimdall_ingestor_commit_seconds_sum", ""] == pytest.approx(100.304)


@pytest.mark.mosquitto
@pytest.mark.parametrize(
    "metrics",
    [{}, {"events_stored": Distribution([1], 1)}, {"commit_seconds": Distribution([1], 1)}, {"of_a_later_one": 1}],
)
def test_an_ingestor_of_another_version_breaks_nothing(api: Api, ingestor: Ingestor, metrics: dict[str, Any]) -> None:
    ingestor.sign(metrics=metrics)
    wait_until(lambda: scrape(api).get(("heimdall_up", "service=ingestor")) == 1, "it is up")


def test_a_value_lies_in_the_bucket_whose_end_it_does_not_exceed() -> None:
    metrics = Metrics()
    bounds = next(metric.bounds for metric in METRICS if metric.name == "batch_events")
    for value in (0, 1, 2, bounds[-1], bounds[-1] + 1):
        metrics.observe("batch_events", value)
    told = metrics.snapshot()["batch_events"]
    assert isinstance(told, Distribution)
    assert told.counts == [2, 1, *[0] * (len(bounds) - 3), 1, 1]
