"""Intake: what an HTTP agent sends becomes events of the contract, or a reason why not.

Agents of the HTTP version run unchanged, so what they send is read generously:

- the body is `{"events": […]}`, an array, or one event;
- `event_id` is any text of up to 1,024 characters: one that is no UUID becomes a UUID version 5 of
  host and id, so that the same again is the same event;
- `timestamp` has any offset, also `+00:00Z`, and becomes UTC;
- `os_type` and `event_type` may be in lower case;
- `source_host` and `os_type` come from the headers when the event has none;
- `severity` may be text of digits;
- `user` that is missing or null becomes `N/A`;
- `source_ip` that is no address (missing, null, empty, `-`, `unknown`, `localhost`) becomes `N/A`, for
  the event is worth more than the field, and `raw_message` still says what the source said.

Everything else that does not fit is refused by itself, with its reason; its neighbours are kept.
"""

from __future__ import annotations

from typing import Any, NamedTuple, cast
from uuid import UUID

from api.problems import Refused
from api.voices import Voice
from core.clock import parse_time
from core.errors import Invalid
from core.ids import ingested_id
from core.messages import (
    EVENT_TYPES,
    NO_ADDRESS,
    Event,
    EventType,
    OsType,
    check_event,
    check_os_type,
    encode,
    is_address,
)
from core.topics import check_host

MAX_EVENT_BYTES = 998_000  # with the array around it an event still goes as one message of 1,000,000 bytes
MAX_ID_LENGTH = 1_024

_TEXT_KEYS = ("event_id", "timestamp", "source_host", "os_type", "event_type", "raw_message", "user")


class Defaults(NamedTuple):
    """What the headers say of every event that does not say it itself; empty when they do not."""

    host: str = ""
    os_type: str = ""


class Rejection(NamedTuple):
    """An entry that does not fit: its place in what was sent, from 0, and why.

    `forbidden`: it would fit, but not from this key.
    """

    place: int
    reason: str
    forbidden: bool = False


class Intake(NamedTuple):
    """The events that fit, in the order sent, and what was refused."""

    events: list[Event]
    rejected: list[Rejection]


def list_entries(content: Any) -> list[Any]:
    """The entries of a decoded body in any of its three forms. Raises `Refused` with 422."""
    if isinstance(content, dict):
        if "events" not in content:
            return [content]
        content = content["events"]
    if isinstance(content, list):
        return content
    raise Refused(422, 'the body must be {"events": […]}, an array of events or one event')


def take_events(entries: list[Any], defaults: Defaults, voice: Voice) -> Intake:
    """Fit each entry that comes from `voice`."""
    events: list[Event] = []
    rejected: list[Rejection] = []
    for index, entry in enumerate(entries):
        try:
            event = fit_event(entry, defaults)
        except Invalid as error:
            rejected.append(Rejection(index, str(error)))
            continue
        refusal = voice.refusal(event.source_host)
        if refusal is None:
            events.append(event)
        else:
            rejected.append(Rejection(index, refusal, forbidden=True))
    return Intake(events, rejected)


def fit_event(entry: Any, defaults: Defaults) -> Event:
    """The event that `entry` tells of. Raises `Invalid`, naming key and value."""
    if not isinstance(entry, dict):
        raise Invalid(f"an event is an object, not {_kind(entry)}")
    for key in _TEXT_KEYS:
        _check_text(key, entry.get(key))
    host = check_host(entry.get("source_host") or defaults.host or None)
    event = Event(
        event_id=_event_id(host, entry.get("event_id")),
        timestamp=parse_time(_required(entry, "timestamp")),
        source_host=host,
        os_type=fit_os_type(entry.get("os_type") or defaults.os_type or None),
        event_type=_event_type(_required(entry, "event_type")),
        severity=_severity(entry.get("severity")),
        raw_message=_required(entry, "raw_message"),
        source_ip=_address(entry.get("source_ip")),
        user=NO_ADDRESS if entry.get("user") is None else entry["user"],
    )
    check_event(event)
    # JSON makes at most six bytes of a character: the exact size is only needed near the limit
    if 6 * (len(event.raw_message) + len(event.user)) > MAX_EVENT_BYTES - 4_096:
        size = len(encode(event))
        if size > MAX_EVENT_BYTES:
            raise Invalid(f"the event has {size} bytes, more than {MAX_EVENT_BYTES}: shorten raw_message")
    return event


def fit_os_type(value: object) -> OsType:
    """`value` in upper case, when it is one of the contract's. Raises `Invalid`."""
    return check_os_type(value.upper() if isinstance(value, str) else value)


def _kind(value: object) -> str:
    return "null" if value is None else type(value).__name__


def _check_text(key: str, value: object) -> None:
    if value is None:
        return
    if not isinstance(value, str):
        raise Invalid(f"{key} must be text, not {_kind(value)}")
    if "\0" in value:
        raise Invalid(f"{key} holds a NUL character, which PostgreSQL cannot store")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise Invalid(f"{key} holds half a surrogate pair or bytes that are not UTF-8") from error


def _required(entry: dict[str, Any], key: str) -> str:
    if entry.get(key) is None:
        raise Invalid(f"{key} is missing")
    return cast(str, entry[key])  # _check_text has seen it


def _event_id(host: str, text: str | None) -> UUID:
    if not text:
        raise Invalid("event_id is missing: use a UUID or any text that is unique within the host")
    if len(text) > MAX_ID_LENGTH:
        raise Invalid(f"event_id has {len(text)} characters, more than {MAX_ID_LENGTH}")
    return ingested_id(host, text)


def _event_type(text: str) -> EventType:
    if text.upper() not in EVENT_TYPES:
        raise Invalid(f"event_type {text!r:.60} is unknown: use one of {', '.join(EVENT_TYPES)}")
    return cast(EventType, text.upper())


def _severity(value: object) -> int:
    if isinstance(value, str) and value.isascii() and value.strip().isdigit():
        value = int(value.strip()[:20])
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 5:
        raise Invalid(f"severity {value!r:.40} is not a whole number from 1 to 5")
    return value


def _address(value: object) -> str:
    if not isinstance(value, str):
        return NO_ADDRESS
    address = value.strip().partition("%")[0]  # a zone, as in fe80::1%eth0, means nothing on another machine
    return address if address.isascii() and "\0" not in address and is_address(address) else NO_ADDRESS
