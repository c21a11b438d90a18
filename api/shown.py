"""Events and alerts as the API shows them, wherever it does."""

from __future__ import annotations

from typing import Any

from core.clock import rfc3339
from core.messages import Alert
from store import StoredEvent

EVENT_KEYS = (
    "event_id", "timestamp", "source_host", "os_type", "event_type",
    "severity", "source_ip", "user", "raw_message", "created_at",
)  # fmt: skip


def describe_event(event: StoredEvent) -> dict[str, Any]:
    """An event as the API shows it."""
    return {key: getattr(event, key) for key in EVENT_KEYS}


def describe_alert(alert: Alert) -> dict[str, Any]:
    """An alert as the API shows it."""
    return {
        "id": alert.id,
        "kind": alert.kind,
        "source_host": alert.source_host,
        "state": alert.state,
        "since": rfc3339(alert.since),
        "opened_at": rfc3339(alert.opened_at),
        "resolved_at": None if alert.resolved_at is None else rfc3339(alert.resolved_at),
        "text": alert.text,
        "incident": alert.incident,
        "subject": alert.subject,
        "severity": alert.severity,
        "acked_at": None if alert.acked_at is None else rfc3339(alert.acked_at),
        "acked_by": alert.acked_by,
    }
