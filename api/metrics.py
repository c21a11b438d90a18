"""`GET /metrics`: what the services say of themselves, for Prometheus. No label holds a host's name."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from itertools import accumulate

from fastapi import APIRouter, Depends
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import Collector
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from api.access import Needs, PartsOf, check_query
from core import metrics
from core.errors import Unavailable
from core.messages import Distribution
from mqtt.signs import Signs
from store import Store

router = APIRouter(tags=["health"], dependencies=[Depends(Needs("read")), Depends(check_query)])


@router.get("/metrics", response_class=PlainTextResponse, summary="Metrics for Prometheus")
async def show_metrics(parts: PartsOf, request: Request) -> Response:
    """Each service that gives signs of life, what each ingestor has counted since its start, and the fleet.

    While the database is away nothing is told of the fleet.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Signs(parts.bridge.signs))
    registry.register(_Fleet(await run_in_threadpool(_count_fleet, parts.store), request.app.state.answered))
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_PLAIN_0_0_4)


def _count_fleet(store: Store) -> dict[str, dict[str, float]]:
    """The values of metrics by their label's."""
    try:
        states, (opened, acked) = store.host_list.count(), store.count_alerts()
    except Unavailable:
        return {}
    return {
        "hosts": {str(state): count for state, count in states.items()},
        "alerts_open": {"yes": acked, "no": opened - acked},
    }


class _Fleet(Collector):
    def __init__(self, counted: dict[str, dict[str, float]], answered: Counter[str]) -> None:
        self._counted: dict[str, dict[str, float]] = {**counted, "api_requests": dict(answered)}

    def collect(self) -> Iterator[Metric]:
        labels = {"hosts": "state", "alerts_open": "acknowledged", "api_requests": "code"}
        for metric in metrics.FLEET:
            make = CounterMetricFamily if metric.kind == metrics.COUNTER else GaugeMetricFamily
            family = make(f"heimdall_{metric.name}", metric.meaning, labels=[labels[metric.name]])
            for label, value in self._counted.get(metric.name, {}).items():
                family.add_metric([label], value)
            yield family


class _Signs(Collector):
    """Takes what the last signs of life hold; an instance that is gone or hung is only told as down."""

    def __init__(self, signs: Signs) -> None:
        now = time.monotonic()
        self._found = {key: (sign.status.metrics, fault) for key, sign, fault in signs.judged(now)}

    def collect(self) -> Iterator[Metric]:
        up = GaugeMetricFamily("heimdall_up", "1 while a service is alive and well.", labels=["service", "instance"])
        for (service, instance), (_, fault) in self._found.items():
            up.add_metric([service, instance], 0 if fault else 1)
        yield up
        for metric in metrics.METRICS:
            yield self._family(metric)

    def _family(self, metric: metrics.Metric) -> Metric:
        name, labels = f"heimdall_ingestor_{metric.name}", ["instance"]
        values = [
            (instance, told[metric.name])
            for (service, instance), (told, _) in self._found.items()
            if service == "ingestor" and metric.name in told
        ]
        if metric.kind == metrics.HISTOGRAM:
            histogram = HistogramMetricFamily(name, metric.meaning, labels=labels)
            for instance, value in values:
                if isinstance(value, Distribution) and len(value.counts) == len(metric.bounds) + 1:
                    bounds = [*map(str, metric.bounds), "+Inf"]
                    # Prometheus' buckets hold all that is smaller too
                    histogram.add_metric([instance], [*zip(bounds, accumulate(value.counts), strict=True)], value.sum)
            return histogram
        make = CounterMetricFamily if metric.kind == metrics.COUNTER else GaugeMetricFamily
        family = make(name, metric.meaning, labels=labels)
        for instance, value in values:
            if not isinstance(value, Distribution):
                family.add_metric([instance], value)
        return family
