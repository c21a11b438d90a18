"""What listeners are told, as JSON: verdicts and alerts as the broker brings them, and events as they are stored."""

from __future__ import annotations

import logging
from typing import Any

import msgspec

from api.shown import describe_alert, describe_event
from core.clock import rfc3339
from core.messages import Alert, Verdict
from core.text import printable
from store.news import News

EVENTS_BYTES = 24_576  # of one message: an event may have a text of a megabyte

log = logging.getLogger(__name__)
_verdicts = msgspec.json.Decoder(Verdict)
_alerts = msgspec.json.Decoder(Alert)


def write_verdict(host: str, payload: bytes) -> bytes | None:
    """What the broker brought about `host`; of one that was forgotten that it is nothing. `None`: unreadable."""
    told: dict[str, Any] = {"hostname": host, "state": None, "since": None, "reason": None, "back_by": None}
    if payload:
        try:
            verdict = _verdicts.decode(payload)
            told |= {"state": verdict.state, "since": rfc3339(verdict.since), "reason": verdict.reason}
            told["back_by"] = None if verdict.back_by is None else rfc3339(verdict.back_by)
        except (msgspec.DecodeError, RecursionError, OverflowError) as error:
            log.warning("a verdict on %s cannot be read: %s", printable(host), printable(str(error), 200))
            return None
    return msgspec.json.encode(told)


def read_alert(payload: bytes) -> bytes | None:
    """An alert that the broker brought, as `/alerts` has it; `None`: unreadable."""
    try:
        return write_alert(_alerts.decode(payload))
    except (msgspec.DecodeError, RecursionError, OverflowError) as error:
        log.warning("an alert cannot be read: %s", printable(str(error), 200))
        return None


def write_alert(alert: Alert) -> bytes:
    """An alert as `/alerts` has it."""
    return msgspec.json.encode(describe_alert(alert))


def write_events(news: News) -> bytes:
    """How many events were stored, and as many of the newest as a message takes."""
    shown: list[msgspec.Raw] = []
    size = 0
    for event in news.events:
        encoded = msgspec.json.encode(describe_event(event))
        size += len(encoded)
        if size > EVENTS_BYTES:
            break
        shown.append(msgspec.Raw(encoded))
    return msgspec.json.encode(
        {
            # a cursor is the id below which a page begins
            "newest": str(news.settled + 1),
            "stored": news.stored,
            "events": shown,
            "left_out": news.stored - len(shown),
        }
    )
