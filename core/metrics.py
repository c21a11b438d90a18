"""The metrics: names, kinds and meanings, written once.

Those of an ingestor travel with its sign of life in `ServiceStatus.metrics`; `GET /metrics` shows them to Prometheus,
so that one place to ask is enough however many ingestors there are.
"""

from __future__ import annotations

from typing import NamedTuple, Tuple

COUNTER, GAUGE, HISTOGRAM = "counter", "gauge", "histogram"


class Metric(NamedTuple):
    """One metric. A histogram's `bounds` are the upper ends of its buckets, without the infinite one."""

    name: str
    kind: str
    meaning: str
    bounds: Tuple[float, ...] = ()


# what the API tells besides: of the fleet, as the database has it, and of itself since its start
FLEET: Tuple[Metric, ...] = (
    Metric("hosts", GAUGE, "Hosts by what they are held to be; label `state`, of one that is offline why it is."),
    Metric("alerts_open", GAUGE, "Open alerts; label `acknowledged`: `yes` or `no`."),
    Metric("api_requests", COUNTER, "Requests that this API has answered; label `code`: `2xx`, `4xx` and so on."),
)

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)

METRICS: Tuple[Metric, ...] = (
    Metric("messages_received", COUNTER, "Messages that came from the broker, repetitions too."),
    Metric("messages_acknowledged", COUNTER, "Messages that were acknowledged, after their commit."),
    Metric("heartbeats_received", COUNTER, "Heartbeats that were understood and stored."),
    Metric("events_stored", COUNTER, "Events that were stored, each once."),
    Metric("events_duplicate", COUNTER, "Events that were stored already."),
    Metric("dead_letters", COUNTER, "What was refused and went to the dead letters, conflicts too."),
    Metric("messages_dropped", COUNTER, "Events, heartbeats and info of revoked or disabled hosts: not stored."),
    Metric("hosts_disabled", COUNTER, "Hosts that were disabled because they stayed above their limit: alert on any."),
    Metric("commits", COUNTER, "Transactions that were committed."),
    Metric("commit_failures", COUNTER, "Attempts to commit that failed and were made again."),
    Metric("reconnects", COUNTER, "Times that a session at the broker was opened again."),
    Metric("messages_unacknowledged", GAUGE, "Messages held that are not committed: the receive maximum in use."),
    Metric("behind_seconds", GAUGE, "How old what was published may be, at most, without being stored."),
    Metric("receive_maximum", GAUGE, "Messages without PUBACK that the broker may send in a session."),
    Metric("batch_events", HISTOGRAM, "Events in a transaction.", (1, 10, 50, 100, 500, 1_000, 2_500, 5_000, 10_000)),
    Metric("commit_seconds", HISTOGRAM, "Seconds that a transaction took, its failed attempts too.", _SECONDS),
    Metric(
        "lag_seconds", HISTOGRAM,
        "Seconds from when a transaction's newest message was made, by the sender's clock, to the commit.",
        (*_SECONDS, 60, 300, 3_600, 86_400),
    ),
)  # fmt: skip
