from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.clock import rfc3339, utc_now
from core.errors import Invalid
from core.ids import uuid7
from ingestor.decode import MAX_INFO_LEVELS, check_info, decode_events, decode_heartbeat


def event(**changed: Any) -> dict[str, Any]:
    return {
        "event_id": str(uuid7()), "timestamp": rfc3339(utc_now()), "source_host": "web-01", "os_type": "LINUX",
        "event_type": "LOGIN_FAIL", "severity": 3, "source_ip": "203.0.113.9", "user": "root", "raw_message": "x",
        **changed,
    }  # fmt: skip


def encoded(*events: Any) -> bytes:
    return json.dumps(list(events)).encode()


def test_one_event_and_an_array_are_both_messages() -> None:
    for payload, count in ((json.dumps(event()).encode(), 1), (encoded(event(), event()), 2)):
        events, refused = decode_events("web-01", payload)
        assert (len(events), refused) == (count, [])


def test_unknown_fields_are_ignored() -> None:
    assert len(decode_events("web-01", encoded(event(colour="blue", nested={"a": [1]})))[0]) == 1


BAD_FIELDS: list[tuple[str, Any]] = [
    ("event_id", "not-a-uuid"), ("event_id", 7), ("timestamp", "yesterday"), ("timestamp", "2025-12-03T20:49:50"),
    ("timestamp", "0000-01-01T00:00:00Z"), ("timestamp", "9999999-01-01T00:00:00Z"),
    ("timestamp", "0001-01-01T00:00:00+02:00"),
    ("timestamp", 5), ("source_host", "db-01"), ("source_host", "WEB-01"), ("source_host", None), ("os_type", "linux"),
    ("os_type", []), ("event_type", "COFFEE"), ("severity", 0), ("severity", 6), ("severity", "3"), ("severity", True),
    ("severity", 2**70), ("severity", 10**400), ("source_ip", "300.1.1.1"), ("source_ip", ""),
    ("source_ip", "fe80::1%eth0"),
    ("user", 5), ("user", "a\0b"), ("raw_message", "\0"), ("raw_message", {"a": 1}), ("raw_message", None),
]  # fmt: skip


@pytest.mark.parametrize(("key", "value"), BAD_FIELDS)
def test_a_bad_field_is_refused_with_its_reason_and_the_neighbours_are_kept(key: str, value: Any) -> None:
    events, refused = decode_events("web-01", encoded(event(), event(**{key: value}), event()))
    assert (len(events), len(refused)) == (2, 1)
    assert key in refused[0][0]
    assert json.loads(refused[0][1])[key] == value


@pytest.mark.parametrize(
    "key", ["event_id", "timestamp", "source_host", "os_type", "event_type", "severity", "raw_message"]
)
def test_a_missing_field_is_named(key: str) -> None:
    lacking = {name: value for name, value in event().items() if name != key}
    events, refused = decode_events("web-01", encoded(lacking, event()))
    assert (len(events), len(refused)) == (1, 1)
    assert key in refused[0][0]


@pytest.mark.parametrize(
    "payload",
    [b"", b"not json", b"\xff\xfe", b"null", b"7", b"[]", b"[", b"[1]", b'"text"', b"[" * 200_000, b'{"a":' * 10_000,
     json.dumps(event()).encode("utf-16"), json.dumps(event()).replace('"x"', '"\\ud800"').encode(),
     json.dumps(event()).replace("3,", "NaN,").encode(), json.dumps(event()).encode().replace(b'"x"', b'"\xff"')],
)  # fmt: skip
def test_poison_is_one_dead_letter(payload: bytes) -> None:
    events, refused = decode_events("web-01", payload)
    assert events == []
    assert len(refused) == 1
    assert refused[0][0]


@pytest.mark.parametrize(
    ("bad", "word"),
    [
        (b'{"a":' + b"[" * 10_000 + b"]" * 10_000 + b"}", "deep"), (b'{"a":' * 5_000 + b"1" + b"}" * 5_000, "deep"),
        (b'{"user":"\\ud800 \\ud800"}', "escape"), (b'{"severity":NaN}', "JSON"), (b"{'a': 1}", "JSON"),
        (b'{"a":"\\"]}, not the end" 1}', "JSON"), (b"", "JSON"),
    ],
)  # fmt: skip
def test_an_element_that_is_no_json_does_not_take_its_neighbours_along(bad: bytes, word: str) -> None:
    first, last = (json.dumps(event(raw_message='a "quoted", [bracketed] \\')).encode() for _ in range(2))
    events, refused = decode_events("web-01", b" [" + b",".join([first, bad, last]) + b"]\n")
    assert [str(e.event_id) for e in events] == [json.loads(first)["event_id"], json.loads(last)["event_id"]]
    assert [payload for _, payload in refused] == [bad]
    assert word in refused[0][0]


@pytest.mark.parametrize("end", [b"", b"}", b"]]", b"] {}", b"]\0", b'"]', b',"open ]'])
def test_an_array_without_its_end_is_refused_whole(end: bytes) -> None:
    payload = b"[" + json.dumps(event()).encode() + end
    assert decode_events("web-01", payload)[0] == []
    assert [refused for _, refused in decode_events("web-01", payload)[1]] == [payload]


def test_too_many_events_in_one_message_are_refused_whole() -> None:
    events, refused = decode_events("web-01", encoded(*(event() for _ in range(1_001))))
    assert (events, len(refused)) == ([], 1)
    assert "1001 events" in refused[0][0]


def test_a_message_that_is_too_large_is_refused_whole_whatever_it_holds() -> None:
    for payload in (encoded(*[event()] * 100_000), b" " * 10 * 2**20 + b"[]", b"[" * 10 * 2**20):
        events, refused = decode_events("web-01", payload)
        assert (events, refused) == ([], [(f"{len(payload)} bytes in one message: at most 1048576", payload)])
    with pytest.raises(Invalid, match="10485778 bytes"):
        decode_heartbeat(b'{"os_type":"LINUX"' + b" " * (10 * 2**20 - 1) + b"}")


@given(st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
def test_nothing_raises_whatever_comes(payload: bytes) -> None:
    events, refused = decode_events("web-01", payload)
    assert events or refused


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_any_value_in_any_field_is_decoded_or_refused(value: Any) -> None:
    for key in event():
        events, refused = decode_events("web-01", encoded(event(**{key: value})))
        assert len(events) + len(refused) == 1


def test_a_heartbeat_needs_its_os_type_alone() -> None:
    beat = decode_heartbeat(b'{"os_type":"MACOS"}')
    assert (beat.os_type, beat.interval_s, beat.seq) == ("MACOS", 60, None)


@pytest.mark.parametrize(
    "payload",
    [b"", b"{}", b'{"os_type":"AMIGA"}', b'{"os_type":"LINUX","interval_s":0}', b'{"os_type":"LINUX","seq":"a"}'],
)
def test_a_bad_heartbeat_is_refused(payload: bytes) -> None:
    with pytest.raises(Invalid):
        decode_heartbeat(payload)


@pytest.mark.parametrize("payload", [b"[]", b"{", b'{"a":"\\u0000"}', b'{"a":"' + b"x" * 70_000 + b'"}', b"\xff"])
def test_bad_info_is_refused(payload: bytes) -> None:
    with pytest.raises(Invalid):
        check_info(payload)


def test_info_is_never_so_deep_that_it_is_taken_here_and_refused_by_the_store() -> None:
    """The store's decoder gives up at another depth, and what it refuses the ingestor would try again for ever."""
    for levels in range(1, 1_200):
        deep = b'{"a":' * levels + b"1" + b"}" * levels
        if levels <= MAX_INFO_LEVELS:
            assert check_info(deep) == deep.decode()
        else:
            with pytest.raises(Invalid, match="deep"):
                check_info(deep)
    assert check_info(b'{"tags":["a","b"],"n":{"m":[[{}]]}}')
