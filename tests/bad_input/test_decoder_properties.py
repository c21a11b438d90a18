"""The decoder, for whatever Hypothesis comes up with: nothing raises, nothing is lost, made up or changed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import assume, event, given, settings
from hypothesis import strategies as st
from line import encoded
from line import event as an_event
from oracle import check_decoding, read_elements

from core.clock import rfc3339
from core.errors import Invalid
from core.messages import Event, check_event
from ingestor.decode import check_info, decode_events, decode_heartbeat

HOST = "web-01"
GOOD = [
    an_event(HOST, raw_message=text)
    for text in ("plain", 'a "b", [c] {d} \\', "\u6f22\u5b57 \U0001f600 \\ud800", "", "\u2028\x7f")
]
BY_ID = {one["event_id"]: one for one in GOOD}
KEYS = list(GOOD[0])
SURROGATES = ["\ud800", "\udfff", "\ud83d", "\ude00\ud83d"]

ODD = [
    2**63, -(2**70), 10**400, 1e308, "LINUX", "N/A", "::1", "web-01", "1970-01-01T00:00:00Z", "9999-12-31T23:59:60Z",
    "\0", "\ud800",
]  # fmt: skip
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(ODD),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)
places = st.lists(st.sampled_from(GOOD), max_size=3)
numbers = st.from_regex(rb"\A-?[0-9]{1,6000}(\.[0-9]{1,30})?([eE][-+]?[0-9]{1,6})?\Z")


@st.composite
def mutated_events(draw: st.DrawFn) -> bytes:
    """An event of which fields are replaced, left out, added or written twice, as bytes."""
    fields = dict(draw(st.sampled_from(GOOD)))
    for key in draw(st.lists(st.sampled_from(KEYS), max_size=3)):
        fields[key] = draw(values)
    for key in draw(st.lists(st.sampled_from(KEYS), max_size=2)):
        fields.pop(key, None)
    written = [json.dumps(key) + ":" + json.dumps(value) for key, value in fields.items()]
    twice = draw(st.lists(st.tuples(st.sampled_from([*KEYS, "other"]), values), max_size=2))
    written += [json.dumps(key) + ":" + json.dumps(value) for key, value in twice]
    return ("{" + ",".join(draw(st.permutations(written))) + "}").encode()


@st.composite
def odd_elements(draw: st.DrawFn) -> bytes:
    """An element that no encoder would write: deep, huge, or with bytes put into the middle of it."""
    kind = draw(st.sampled_from(["deep", "number", "splice", "value"]))
    if kind == "deep":
        depth = draw(st.integers(1, 3_000))
        opened, closed = draw(st.sampled_from([(b"[", b"]"), (b'{"a":', b"}"), (b'[{"":', b"}]")]))
        return b'{"a":' + opened * depth + b"1" + closed * depth + b"}"
    if kind == "number":
        return draw(mutated_events()).replace(b'"severity":3', b'"severity":' + draw(numbers))
    if kind == "value":
        return encoded(draw(values))
    whole = draw(mutated_events())
    at = draw(st.integers(0, len(whole)))
    return whole[:at] + draw(st.binary(min_size=1, max_size=4)) + whole[at:]


def check(payload: bytes) -> tuple[list[Event], list[tuple[str, bytes]]]:
    events, refused = decode_events(HOST, payload)
    check_decoding(payload, events, refused, BY_ID)
    for one in events:
        check_event(one, HOST)
        assert rfc3339(one.timestamp)
        assert "\0" not in one.raw_message + one.user
        (one.raw_message + one.user + one.source_ip).encode()  # no lone surrogate has come through
    return events, refused


@settings(deadline=None, max_examples=150)
@given(st.lists(mutated_events(), min_size=1, max_size=4), places, places)
def test_valid_neighbours_of_mutated_events_are_kept_in_order(
    bad: list[bytes], before: list[dict[str, Any]], after: list[dict[str, Any]]
) -> None:
    payload = b"[" + b",".join([*map(encoded, before), *bad, *map(encoded, after)]) + b"]"
    events, refused = check(payload)
    assert len(events) + len(refused) == len(before) + len(bad) + len(after)
    ids = [str(one.event_id) for one in events]
    assert ids[: len(before)] == [one["event_id"] for one in before]
    assert ids[len(ids) - len(after) :] == [one["event_id"] for one in after]
    event(f"{len(refused)} refused")


@settings(deadline=None, max_examples=150)
@given(odd_elements(), places, places)
def test_what_is_no_json_or_too_deep_takes_no_neighbour_along_while_the_array_has_its_end(
    bad: bytes, before: list[dict[str, Any]], after: list[dict[str, Any]]
) -> None:
    # a quote or a bracket that was put in makes of the rest of the array what it likes: no neighbour can be told then
    assume(bad.count(b'"') % 2 == 0 and bad.count(b"\\") == 0)
    assume(bad.count(b"[") == bad.count(b"]") and bad.count(b"{") == bad.count(b"}") and b"," not in bad.split(b"{")[0])
    payload = b"[" + b",".join([*map(encoded, before), bad, *map(encoded, after)]) + b"]"
    events, refused = check(payload)
    event("JSON" if read_elements(payload) is not None else "no JSON")
    if len(refused) == 1 and refused[0][1] == payload:
        assert read_elements(payload) is None, "only what is no JSON is refused whole"
        return
    ids = [str(one.event_id) for one in events]
    assert ids[: len(before)] == [one["event_id"] for one in before]
    assert ids[len(ids) - len(after) :] == [one["event_id"] for one in after]


@settings(deadline=None, max_examples=150)
@given(st.lists(st.sampled_from(GOOD), min_size=1, max_size=3), st.data())
def test_a_payload_that_is_cut_or_into_which_bytes_are_spliced_is_decoded_or_refused(
    sent: list[dict[str, Any]], data: st.DataObject
) -> None:
    payload = encoded(sent)
    at = data.draw(st.integers(0, len(payload)))
    end = data.draw(st.sampled_from([at, at + 1, at + 7, len(payload)]))
    check(payload[:at] + data.draw(st.binary(max_size=6)) + payload[end:])


@pytest.mark.parametrize("surrogate", SURROGATES, ids=ascii)
@pytest.mark.parametrize("key", KEYS)
def test_a_lone_surrogate_comes_in_by_no_path(surrogate: str, key: str) -> None:
    """As an escape, which JSON allows, and as the bytes that UTF-8 does not."""
    one = {**GOOD[0], key: f"a{surrogate}b"}
    for payload in (json.dumps(one).encode(), json.dumps(one, ensure_ascii=False).encode("utf-8", "surrogatepass")):
        events, refused = decode_events(HOST, payload)
        assert (events, [part for _, part in refused]) == ([], [payload])
        events, refused = decode_events(HOST, b"[" + encoded(GOOD[1]) + b"," + payload + b"]")
        assert ([str(e.event_id) for e in events], [part for _, part in refused]) == ([GOOD[1]["event_id"]], [payload])


@settings(deadline=None, max_examples=100)
@given(st.dictionaries(st.sampled_from(["os_type", "interval_s", "seq", "boot", "sent_at", "spool", "x"]), values))
def test_a_heartbeat_is_taken_or_refused_with_a_reason(fields: dict[str, Any]) -> None:
    try:
        beat = decode_heartbeat(encoded(fields))
    except Invalid as error:
        reason = str(error)
    else:
        reason = f"interval_s {beat.interval_s}" if 0 < beat.interval_s <= 604_800 else ""
    assert reason


@settings(deadline=None, max_examples=100)
@given(st.dictionaries(st.text(max_size=5), values))
def test_info_that_is_taken_can_be_read_by_every_decoder_and_written_again(fields: dict[str, Any]) -> None:
    try:
        text = check_info(encoded(fields))
    except Invalid:
        event("refused")
    else:
        json.dumps(json.loads(text), ensure_ascii=False, allow_nan=False).encode()
