"""Decoding: payloads into the contract's messages, whatever was sent. Nothing here raises for bad input."""

from __future__ import annotations

import dataclasses
import re
from typing import Any, get_type_hints

import msgspec

from core.errors import Invalid
from core.messages import MAX_EVENTS_PER_MESSAGE, MAX_MESSAGE_BYTES, Event, Heartbeat, check_event

MAX_INFO_BYTES = 64 * 1024
MAX_INFO_LEVELS = 32  # decoders give up at a depth that follows their caller's: what one takes, the next may refuse


def _as_struct(message: type[Event | Heartbeat]) -> Any:
    """A message of the contract as a struct: decoded in half the time, and no garbage collector walks it."""
    types = get_type_hints(message)
    fields = [
        (field.name, types[field.name])
        if field.default is dataclasses.MISSING
        else (field.name, types[field.name], field.default)
        for field in dataclasses.fields(message)
    ]
    return msgspec.defstruct(message.__name__, fields, gc=False)


_Event: Any = _as_struct(Event)
event_decoder: msgspec.json.Decoder[Event | list[Event]] = msgspec.json.Decoder(_Event | list[_Event])
_event: msgspec.json.Decoder[Event] = msgspec.json.Decoder(_Event)
_array = msgspec.json.Decoder(list[msgspec.Raw])
_heartbeat: msgspec.json.Decoder[Heartbeat] = msgspec.json.Decoder(_as_struct(Heartbeat))
_object = msgspec.json.Decoder(dict[str, Any])

# what msgspec raises for input that is not what it should be: malformed or mistyped, not UTF-8, too deep
_BAD = (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError, OverflowError)

# a string, to the payload's end when nothing closes it, so that no byte is read twice; brackets; a comma
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*+"?|\[+|\]+|\{+|\}+|,', re.DOTALL)


def decode_events(host: str, payload: bytes) -> tuple[list[Event], list[tuple[str, bytes]]]:
    """The events of a message on the events topic of `host`, and what does not fit: reason and bytes of each.

    Valid neighbours of a bad event in the same array are kept.
    """
    if len(payload) > MAX_MESSAGE_BYTES:
        return [], [(_size_trouble(payload), payload)]
    try:
        decoded = event_decoder.decode(payload)
        events = decoded if isinstance(decoded, list) else [decoded]
        for event in events:
            check_event(event, host)
    except (*_BAD, Invalid):
        return _decode_one_by_one(host, payload)
    if not 0 < len(events) <= MAX_EVENTS_PER_MESSAGE:
        return [], [(_count_trouble(len(events)), payload)]
    return events, []


def _decode_one_by_one(host: str, payload: bytes) -> tuple[list[Event], list[tuple[str, bytes]]]:
    events: list[Event] = []
    refused: list[tuple[str, bytes]] = []
    try:
        parts = [bytes(raw) for raw in _array.decode(payload)] if payload.lstrip()[:1] == b"[" else [payload]
    except _BAD as error:
        parts = _split_array(payload)
        if not parts:
            return [], [(reason_for(error), payload)]
    if not 0 < len(parts) <= MAX_EVENTS_PER_MESSAGE:
        return [], [(_count_trouble(len(parts)), payload)]
    for part in parts:
        try:
            event = _event.decode(part)
            check_event(event, host)
        except (*_BAD, Invalid) as error:
            refused.append((reason_for(error), part))
        else:
            events.append(event)
    return events, refused


def _split_array(payload: bytes) -> list[bytes]:
    """The elements of an array one of which is no JSON, or nested too deeply. None when it has no end, or too many."""
    parts: list[bytes] = []
    depth = start = 0
    for token in _TOKEN.finditer(payload):
        kind, length = payload[token.start()], token.end() - token.start()
        if kind in b"[{":
            start = start or token.start() + 1
            depth += length
        elif kind in b"]}":
            depth -= length
            if depth <= 0:
                parts.append(payload[start : token.end() - 1])
                closed = depth == 0 and kind == ord("]") and not payload[token.end() :].strip()
                return parts if closed else []
        elif kind == ord(",") and depth == 1:
            parts.append(payload[start : token.start()])
            start = token.end()
            if len(parts) >= MAX_EVENTS_PER_MESSAGE:
                return []
    return []


def _size_trouble(payload: bytes) -> str:
    return f"{len(payload)} bytes in one message: at most {MAX_MESSAGE_BYTES}"


def _count_trouble(count: int) -> str:
    if count == 0:
        return "the array holds no event"
    return f"{count} events in one message: at most {MAX_EVENTS_PER_MESSAGE}"


def decode_heartbeat(payload: bytes) -> Heartbeat:
    """The heartbeat in `payload`. Raises `Invalid` with the reason when it is none."""
    if len(payload) > MAX_MESSAGE_BYTES:
        raise Invalid(_size_trouble(payload))
    try:
        beat = _heartbeat.decode(payload)
    except _BAD as error:
        raise Invalid(reason_for(error)) from error
    if not 0 < beat.interval_s <= 7 * 86_400:
        raise Invalid(f"interval_s {beat.interval_s!r:.40} is outside 0 to 604800 seconds")
    return beat


def check_info(payload: bytes) -> str:
    """The text of an info message: a JSON object of at most 64 KiB. Raises `Invalid` with the reason."""
    if len(payload) > MAX_INFO_BYTES:
        raise Invalid(f"{len(payload)} bytes of info: at most {MAX_INFO_BYTES}")
    try:
        told = _object.decode(payload)
        text = payload.decode()
    except _BAD as error:
        raise Invalid(reason_for(error)) from error
    if "\\u0000" in text:
        raise Invalid("info holds a NUL character, which PostgreSQL cannot store")
    if not _nests_at_most(told, MAX_INFO_LEVELS):
        raise Invalid(f"info is nested too deeply: at most {MAX_INFO_LEVELS} levels")
    return text


def _nests_at_most(value: Any, levels: int) -> bool:
    if not isinstance(value, (dict, list)):
        return True
    inner = value.values() if isinstance(value, dict) else value
    return levels > 0 and all(_nests_at_most(one, levels - 1) for one in inner)


def reason_for(error: BaseException) -> str:
    """Why something was refused, in words that can be shown: what the sender sent is not repeated at length."""
    if isinstance(error, UnicodeDecodeError):
        return f"not UTF-8: {error.reason} at byte {error.start}"
    if isinstance(error, RecursionError):
        return "nested too deeply"
    if isinstance(error, Invalid):
        return str(error)
    return f"not the JSON that was expected: {error}"[:500]
