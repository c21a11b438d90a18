"""What decoding must hold for every payload, told by the standard library's decoder instead of msgspec's."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from core.clock import parse_time
from core.errors import Invalid
from core.messages import MAX_EVENTS_PER_MESSAGE, MAX_MESSAGE_BYTES, NO_ADDRESS, Event

MAX_REASON = 700
_LONG_FRACTION = re.compile(r"([.,]\d{9})\d+")  # as many digits as core.clock reads


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


class Repeating(dict[str, Any]):
    """An object in which a key stands twice: the last one counts, but a first one that does not fit is refused."""


def _make_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    return made if len(made) == len(pairs) else Repeating(made)


def read_elements(payload: bytes) -> list[Any] | None:
    """The elements of a message as the standard library reads them; `None` when it is no JSON at all."""
    try:
        read = json.loads(payload.decode(), parse_constant=_refuse_constant, object_pairs_hook=_make_object)
    except (ValueError, RecursionError):
        return None
    return read if isinstance(read, list) else [read]


def check_decoding(
    payload: bytes, events: Sequence[Event], refused: Sequence[tuple[str, bytes]], good: Mapping[str, Any]
) -> None:
    """Raise AssertionError when an event was lost, made up or changed, or a refusal has no reason.

    `good` has valid events of the topic's host by id: they are accepted wherever they stand unchanged.
    """
    assert events or refused, "nothing came of it"
    for reason, part in refused:
        assert 0 < len(reason) <= MAX_REASON, f"reason {reason!r}"
        assert part in payload, "a dead letter holds what was not sent"
    elements = read_elements(payload)
    if elements is None:
        return
    if not 0 < len(elements) <= MAX_EVENTS_PER_MESSAGE or len(payload) > MAX_MESSAGE_BYTES:
        assert (len(events), [part for _, part in refused]) == (0, [payload]), "it must be refused whole"
        return
    assert len(events) + len(refused) == len(elements), "as many go out as come in"
    waiting = list(events)
    for element in elements:
        if waiting and _is_same(waiting[0], element):
            waiting.pop(0)
    assert waiting == [], "an event is not as it was sent, or not in its place"
    unchanged = Counter(element["event_id"] for element in elements if _is_among(good, element))
    for event_id, count in unchanged.items():
        taken = sum(_is_same(event, good[event_id]) for event in events)
        assert taken >= count, f"a valid event was refused: {good[event_id]}"


def _is_among(good: Mapping[str, Any], element: Any) -> bool:
    if not isinstance(element, dict) or isinstance(element, Repeating):
        return False
    event_id = element.get("event_id")
    # as text, for to Python True is 1
    return isinstance(event_id, str) and _as_text(good.get(event_id)) == _as_text(element)


def _as_text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _is_same(event: Event, element: Any) -> bool:
    if not isinstance(element, dict) or not isinstance(element.get("event_id"), str):
        return False
    sent = {"source_ip": NO_ADDRESS, "user": NO_ADDRESS, **element}
    texts = ("source_host", "os_type", "event_type", "source_ip", "user", "raw_message", "severity")
    if any(sent.get(key) != getattr(event, key) for key in texts) or sent["severity"] is True:
        return False
    try:
        moment = parse_time(_LONG_FRACTION.sub(r"\1", str(sent.get("timestamp"))))
        # digits beyond microseconds are rounded by one, cut by the other
        return UUID(sent["event_id"]) == event.event_id and abs(event.timestamp - moment) <= timedelta(microseconds=1)
    except (Invalid, ValueError):
        return False
