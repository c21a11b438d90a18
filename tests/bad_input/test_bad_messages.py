"""Each kind of bad input, on the real line: it is a dead letter with its reason, and its neighbours are stored."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any, NamedTuple

import pytest
from line import (
    MALFORMED_PACKET,
    NOT_AUTHORIZED,
    PACKET_TOO_LARGE,
    UNSPECIFIED,
    Line,
    encoded,
    event,
    running,
)  # fmt: skip
from waiting import wait_until

from core.clock import rfc3339, utc_now
from core.messages import MAX_MESSAGE_BYTES
from core.topics import EVENTS, HEARTBEAT, HOSTS, INFO, host_topic
from store.dead_letters import PAYLOAD_BYTES

pytestmark = pytest.mark.mosquitto

GARBAGE = b'{"os_type":"AMIGA"}'


@pytest.fixture(scope="module")
def line(database: str) -> Iterator[Line]:
    with running(database) as started:
        # met at the first start: nobody had subscribed when it came
        for kind in (EVENTS, HEARTBEAT):
            started.publisher.publish(host_topic("retained-before", kind), GARBAGE, retain=True)
        started.start_ingestor()
        yield started


class Bad(NamedTuple):
    """A message, and a word of the reason of every letter that it becomes; `inside`: valid events in it."""

    name: str
    payload: Callable[[str], bytes]
    word: str
    kind: str = EVENTS
    inside: int = 0
    letters: int = 1


def whole(payload: bytes) -> Callable[[str], bytes]:
    return lambda _host: payload


def field(key: str, value: Any) -> Callable[[str], bytes]:
    return lambda host: encoded(event(host, **{key: value}))


def among(*elements: bytes) -> Callable[[str], bytes]:
    """An array of these between two valid events."""
    return lambda host: b"[" + b",".join([encoded(event(host)), *elements, encoded(event(host))]) + b"]"


def without(key: str) -> Callable[[str], bytes]:
    return lambda host: encoded([event(host), {k: v for k, v in event(host).items() if k != key}])


def spliced(key: str, value: bytes) -> Callable[[str], bytes]:
    """A field's value as bytes that no encoder would write."""
    return lambda host: encoded(event(host, **{key: "SPLICED"})).replace(b'"SPLICED"', value)


REQUIRED = ("event_id", "timestamp", "source_host", "os_type", "event_type", "severity", "raw_message")
MISTYPED: list[Any] = [None, True, 7, 1.5, "\N{BLACK CHESS KNIGHT}", [], {}]
DEEP = b'{"a":' + b"[" * 10_000 + b"]" * 10_000 + b"}"

BAD = [
    Bad("no JSON", whole(b"this is no JSON"), "JSON"),
    Bad("empty", whole(b""), "JSON"),
    Bad("cut off", lambda host: encoded([event(host), event(host)])[:-20], "JSON"),
    Bad("no UTF-8", whole(b"\xff\xfe\x00"), "JSON"),
    Bad("text that is no UTF-8", spliced("raw_message", b'"\xff"'), "UTF-8"),
    Bad("surrogates as UTF-8", spliced("user", b'"\xed\xa0\x80"'), "UTF-8"),
    Bad("UTF-16", lambda host: json.dumps(event(host)).encode("utf-16"), "JSON"),
    *(Bad(f"no {key}", without(key), key, inside=1) for key in REQUIRED),
    Bad("NUL in the message", field("raw_message", "a\0b"), "NUL"),
    Bad("NUL in the user", field("user", "\0"), "NUL"),
    Bad("a lone surrogate", spliced("raw_message", b'"a \\ud800 b, and more"'), "escape"),
    Bad("a lone surrogate among others", among(b'{"user":"a \\udfff b, and more"}'), "surrogate", inside=2),
    Bad("no JSON among others", among(b"{'single': 'quotes'}"), "JSON", inside=2),
    Bad("NaN", spliced("severity", b"NaN"), "JSON"),
    Bad("2 to the 70th", field("severity", 2**70), "severity"),
    Bad("400 digits", field("severity", 10**400), "severity"),
    Bad("5,000 digits", spliced("severity", b"9" * 5_000), "severity"),
    Bad("10 to the 400th", spliced("severity", b"1e400"), "severity"),
    Bad("10,000 deep", whole(DEEP), "deep"),
    Bad("arrays 10,000 deep", whole(b"[" * 10_000 + b"]" * 10_000), "object"),
    Bad("10,000 deep among others", among(DEEP), "deep", inside=2),
    Bad("200,000 open", whole(b"[" * 200_000), "deep"),
    Bad("an empty array", whole(b"[]"), "no event"),
    Bad("100,000 in one", whole(b"[" + b"{}," * 99_999 + b"{}]"), "100000 events"),
    Bad("1,001 valid in one", lambda host: encoded([event(host) for _ in range(1_001)]), "1001 events"),
    Bad("over 1 MiB", lambda host: encoded(event(host, raw_message="x" * MAX_MESSAGE_BYTES)), "bytes in one message"),
    Bad("year 0", field("timestamp", "0000-01-01T00:00:00Z"), "timestamp"),
    Bad("year 9999999", field("timestamp", "9999999-01-01T00:00:00Z"), "timestamp"),
    Bad("year 9999", field("timestamp", "9999-12-31T23:59:59-23:59"), "9999"),
    Bad("no offset", field("timestamp", "2025-12-03T20:49:50"), "offset"),
    Bad("another host", field("source_host", "somebody-else"), "somebody-else"),
    Bad("the host in capitals", lambda host: encoded(event(host.upper())), "not the host of the topic"),
    Bad("a heartbeat that is no JSON", whole(b"{"), "JSON", HEARTBEAT),
    Bad("a heartbeat of nobody", whole(GARBAGE), "os_type", HEARTBEAT),
    Bad("a heartbeat of no interval", whole(b'{"os_type":"LINUX","interval_s":1e300}'), "interval_s", HEARTBEAT),
    Bad("an empty heartbeat", whole(b""), "JSON", HEARTBEAT),
    Bad("a deep heartbeat", whole(b'{"os_type":"LINUX","a":' + DEEP + b"}"), "deep", HEARTBEAT),
    Bad("info that is no object", whole(b"[]"), "JSON", INFO),
    Bad("info with NUL", whole(b'{"a":"\\u0000"}'), "NUL", INFO),
    Bad("info of 5,000 digits", whole(b'{"a":' + b"9" * 5_000 + b"}"), "JSON", INFO),
    Bad("info of 100 KB", whole(b'{"a":"' + b"x" * 100_000 + b'"}'), "bytes of info", INFO),
    Bad("deep info", whole(DEEP), "deep", INFO),
]  # fmt: skip


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad.name)
def test_bad_input_is_a_dead_letter_with_its_reason_and_its_neighbours_are_stored(line: Line, bad: Bad) -> None:
    host = re.sub(r"[^a-z0-9]+", "-", f"bad {bad.name}".lower())
    topic = host_topic(host, bad.kind)
    # in the order in which their ids are made: PostgreSQL stores a batch in the order of the ids
    before, payload, after = event(host), bad.payload(host), event(host)
    line.publisher.send(host_topic(host, EVENTS), encoded(before))
    line.publisher.send(topic, payload)
    line.publisher.send(host_topic(host, EVENTS), encoded(after))

    wait_until(lambda: after["event_id"] in line.stored(host), "the neighbours are stored")
    stored = line.stored(host)
    assert (stored[0], stored[-1], len(stored)) == (before["event_id"], after["event_id"], 2 + bad.inside)
    [letter] = wait_until(lambda: line.letters(topic), "there is a dead letter")
    assert bad.word in letter.reason
    assert letter.source_host == host
    assert letter.payload in payload
    assert len(letter.payload) == min(letter.size, PAYLOAD_BYTES)
    [notice] = wait_until(lambda: line.notices(topic), "there is a notice")
    assert notice == {"topic": topic, "reason": letter.reason, "size": letter.size}, "never the payload"


def test_what_the_store_refuses_is_told_like_what_the_decoder_refuses(line: Line) -> None:
    first, topic = event("conflicting"), host_topic("conflicting", EVENTS)
    for one in (first, first, {**first, "raw_message": "another body"}):
        line.publisher.send(topic, encoded(one))
    [letter] = wait_until(lambda: line.letters(topic), "there is a dead letter")
    [notice] = wait_until(lambda: line.notices(topic), "there is a notice")
    assert letter.reason.startswith("conflict")
    assert notice == {"topic": topic, "reason": letter.reason, "size": letter.size}
    assert line.stored("conflicting") == [first["event_id"]]


def test_info_is_refused_at_every_depth_at_which_a_decoder_may_give_up(line: Line) -> None:
    """What the ingestor's decoder takes and the store's refuses would be tried again for ever."""
    topic = host_topic("info-of-each-depth", INFO)
    depths = range(930, 1_000)
    for depth in depths:
        line.publisher.send(topic, b'{"a":' * depth + b"1" + b"}" * depth)
    wait_until(lambda: len(line.letters(topic)) == len(depths), "there is a dead letter of each")
    line.prove_it_goes_on("after-deep-info")


@pytest.mark.parametrize("key", list(event("x")))
def test_a_wrong_type_in_a_field_is_named_and_its_neighbours_in_the_array_are_stored(line: Line, key: str) -> None:
    host = f"types-{key}".replace("_", "-")
    topic = host_topic(host, EVENTS)
    bad = [event(host, **{key: value}) for value in MISTYPED if type(value) is not type(event(host)[key])]
    if key not in ("user", "raw_message"):  # where any text fits
        bad.append(event(host, **{key: MISTYPED[4]}))
    good = [event(host) for _ in range(len(bad) + 1)]
    mixed = [one for pair in zip(good, bad, strict=False) for one in pair] + good[-1:]
    line.publisher.send(topic, encoded(mixed))
    wait_until(lambda: line.stored(host) == [one["event_id"] for one in good], "the neighbours are stored in order")
    letters = line.letters(topic)
    assert [json.loads(letter.payload) for letter in letters] == bad
    assert [letter.reason for letter in letters if key not in letter.reason] == []
    wait_until(lambda: len(line.notices(topic)) == len(bad), "there is a notice of each")


@pytest.mark.parametrize("name", ["", "a b", "Grüße", "漢字", "x" * 254, "x" * 300, ".", "..", "$x", "@api"])
def test_a_topic_whose_host_can_be_none_is_a_dead_letter(line: Line, name: str) -> None:
    for kind in (EVENTS, HEARTBEAT):
        topic = f"{HOSTS}/{name}/{kind}"
        line.publisher.send(topic, encoded(event(name)))
        [letter] = wait_until(lambda topic=topic: line.letters(topic), "there is a dead letter")
        assert (letter.source_host, "topic" in letter.reason) == (None, True)
        wait_until(lambda topic=topic: line.notices(topic), "there is a notice")
    line.prove_it_goes_on("after-odd-topics")


@pytest.mark.parametrize(
    "topic",
    [f"{HOSTS}/odd/events/more", f"{HOSTS}/events", f"{HOSTS}/odd/EVENTS", f"/{HOSTS}/odd/events", HOSTS, "/",
     f"{HOSTS}/odd/events/", f"{HOSTS}/odd/odd/events", "heimdall/v2/hosts/odd/events"],
)  # fmt: skip
def test_a_topic_of_other_levels_is_nobodys_and_the_broker_refuses_it(line: Line, topic: str) -> None:
    assert line.publisher.publish(topic, encoded(event("odd"))) == NOT_AUTHORIZED
    line.prove_it_goes_on("after-other-levels")
    assert (line.letters(topic), line.stored("odd")) == ([], [])


@pytest.mark.parametrize(
    ("name", "payload", "codes"),
    # the answer to the first may be lost with the connection, for the broker does not read the rest of it
    [("huge", b"[" * 10 * 2**20, {PACKET_TOO_LARGE, UNSPECIFIED}), ("a\nb", b"{}", {MALFORMED_PACKET})],
    ids=["10 MB", "a control character"],
)
def test_what_our_broker_refuses_ends_its_sender_and_the_line_goes_on(
    line: Line, name: str, payload: bytes, codes: set[int]
) -> None:
    hostile = line.client("api")
    hostile.send(f"{HOSTS}/{name}/{EVENTS}", payload)
    wait_until(lambda: hostile.ended, "the broker ends the connection of who sent it")
    assert hostile.ended[0] in codes
    line.prove_it_goes_on("after-a-hostile-sender")
    assert line.letters(f"{HOSTS}/{name}/{EVENTS}") == []


def test_a_future_timestamp_is_stored_and_keeps_nobody_alive(line: Line) -> None:
    host, now = "from-the-future", utc_now()
    times = [now + timedelta(days=3), now + timedelta(days=365), now.replace(year=9998, month=12, day=31)]
    sent = [event(host, timestamp=rfc3339(time)) for time in times]
    line.publisher.send(host_topic(host, EVENTS), encoded(sent))
    wait_until(lambda: line.stored(host) == [one["event_id"] for one in sent], "all are stored")
    assert line.letters(host_topic(host, EVENTS)) == []
    seen = line.store.get_host(host)
    assert seen is not None
    assert seen.last_seen is not None
    assert seen.last_seen <= utc_now()


def test_what_was_bad_is_acknowledged_and_nothing_comes_again(line: Line) -> None:
    line.publisher.publish(host_topic("again", EVENTS), b"garbage")
    wait_until(lambda: line.letters(host_topic("again", EVENTS)), "there is a dead letter")
    line.prove_it_goes_on("before-restart")  # its PUBACK goes out after that of what came before it
    letters = line.count_letters()
    line.start_ingestor()
    line.prove_it_goes_on("after-restart")
    assert line.count_letters() == letters
    assert "cannot commit" not in line.said("ingest")


def test_retained_garbage_is_met_once_in_ten_starts(line: Line) -> None:
    topics = [host_topic("retained", kind) for kind in (EVENTS, HEARTBEAT)]
    for topic in topics:
        line.publisher.publish(topic, GARBAGE, retain=True)
        wait_until(lambda topic=topic: line.letters(topic), "there is a dead letter")
    letters = line.count_letters()
    for number in range(10):
        line.start_ingestor()
        if number == 0:  # the copies are cleared after the commit
            line.prove_it_goes_on("after-the-first-start")
    line.prove_it_goes_on("after-ten-starts")
    assert line.count_letters() == letters
    assert [len(line.letters(topic)) for topic in topics] == [1, 1]
    assert line.letters(host_topic("retained-before", EVENTS)) == []
    newcomer = line.client("ops", f"{HOSTS}/+/events", f"{HOSTS}/+/heartbeat", "heimdall/v1/services/#")
    wait_until(lambda: [m for m in newcomer.received if "/services/" in m.topic], "what is retained comes")
    assert {m.topic for m in newcomer.received if m.retain and "/hosts/retained/" in m.topic} == set()
