from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import httpx
import pytest
from api_parts import Api, Broker, Ingestor
from waiting import wait_until

from core.ids import stable_id
from core.messages import EVENT_TYPES
from core.spool import Receipt


def event(**changes: Any) -> dict[str, Any]:
    """An event as the HTTP version's agents send it."""
    return {
        "event_id": "web-01-failed-pwd-0cc175b9",
        "timestamp": "2025-12-03T20:49:50.123456+00:00Z",
        "source_host": "web-01",
        "os_type": "LINUX",
        "event_type": "LOGIN_FAIL",
        "severity": 3,
        "source_ip": "203.0.113.7",
        "user": "root",
        "raw_message": "Failed password for root",
    } | changes


def send(api: Api, content: Any, **headers: str) -> httpx.Response:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return api.client.post("/ingest", content=body, headers=headers)


def spooled(api: Api) -> list[dict[str, Any]]:
    batch = api.spool.batch(0)
    return [] if batch is None else json.loads(batch.payload)


def test_events_are_answered_in_the_agreed_words_once_they_are_in_the_spool(lone_api: Api) -> None:
    answer = send(lone_api, {"events": [event(event_id=f"id-{n}") for n in range(3)]})
    assert answer.status_code == 200
    assert answer.content == b'{"success":true,"message":"Processed 3 events","events_processed":3,"rejected":[]}'
    assert len(spooled(lone_api)) == 3


@pytest.mark.parametrize("content", [{"events": [event()]}, [event()], event()])
def test_a_body_may_have_three_forms(lone_api: Api, content: Any) -> None:
    assert send(lone_api, content).json()["events_processed"] == 1


def test_no_events_are_no_fault(lone_api: Api) -> None:
    assert send(lone_api, {"events": []}).json()["events_processed"] == 0


def test_an_event_of_the_http_version_becomes_one_of_the_contract(lone_api: Api) -> None:
    sent = event(
        timestamp="2025-12-03 22:49:50+02:00", os_type="linux", event_type="login_fail", severity="3",
        source_ip="unknown", user=None,
    )  # fmt: skip
    assert send(lone_api, {"events": [sent]}).status_code == 200
    assert spooled(lone_api) == [
        {
            "event_id": str(stable_id("web-01", "web-01-failed-pwd-0cc175b9")),
            "timestamp": "2025-12-03T20:49:50.000000Z",
            "source_host": "web-01",
            "os_type": "LINUX",
            "event_type": "LOGIN_FAIL",
            "severity": 3,
            "raw_message": "Failed password for root",
            "source_ip": "N/A",
            "user": "N/A",
        }
    ]


def test_an_id_that_is_a_uuid_is_kept_in_lower_case(lone_api: Api) -> None:
    send(lone_api, event(event_id="018F2B6E-7C4A-7D2E-9B1C-3F5A6B7C8D9E"))
    assert spooled(lone_api)[0]["event_id"] == "018f2b6e-7c4a-7d2e-9b1c-3f5a6b7c8d9e"


def test_the_same_text_on_two_hosts_is_two_ids_and_the_same_again_is_one(lone_api: Api) -> None:
    send(lone_api, [event(), event(), event(source_host="web-02")])
    ids = {UUID(one["event_id"]) for host in (0, 2) for one in json.loads(lone_api.spool.batch(host).payload)}  # type: ignore[union-attr]
    assert len(ids) == 2


def test_host_and_system_come_from_the_headers_when_the_event_has_none(lone_api: Api) -> None:
    bare = {key: value for key, value in event().items() if key not in ("source_host", "os_type")}
    assert send(lone_api, [bare], **{"source-host": "web-09", "os-type": "macos"}).status_code == 200
    assert spooled(lone_api)[0]["source_host"] == "web-09"
    assert spooled(lone_api)[0]["os_type"] == "MACOS"


@pytest.mark.parametrize("address", ["", "-", "unknown", "localhost", None, 7, "1.2.3.4:80", "10.0.0.0/8"])
def test_a_source_that_is_no_address_does_not_cost_the_event(lone_api: Api, address: Any) -> None:
    assert send(lone_api, event(source_ip=address)).status_code == 200
    assert spooled(lone_api)[0]["source_ip"] == "N/A"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"event_type": "COFFEE"}, ", ".join(EVENT_TYPES)),
        ({"os_type": "BEOS"}, "WINDOWS, LINUX"),
        ({"source_host": "web 01"}, "A-Z a-z"),
        ({"source_host": "../../x"}, "A-Z a-z"),
        ({"severity": 0}, "1 to 5"),
        ({"severity": "6"}, "1 to 5"),
        ({"severity": True}, "1 to 5"),
        ({"severity": 10**400}, "1 to 5"),
        ({"severity": float("nan")}, "1 to 5"),
        ({"severity": None}, "1 to 5"),
        ({"timestamp": "yesterday"}, "RFC 3339"),
        ({"timestamp": "0000-01-01T00:00:00Z"}, "timestamp"),
        ({"timestamp": "9999999-01-01T00:00:00Z"}, "timestamp"),
        ({"timestamp": 1764794990}, "timestamp"),
        ({"timestamp": None}, "timestamp is missing"),
        ({"event_id": ""}, "event_id is missing"),
        ({"event_id": "x" * 1025}, "1024"),
        ({"raw_message": None}, "raw_message is missing"),
        ({"raw_message": "a\0b"}, "NUL"),
        ({"user": "a\0b"}, "NUL"),
        ({"event_id": "a\0b"}, "NUL"),
        ({"raw_message": "\ud800"}, "surrogate"),
        ({"raw_message": {"a": 1}}, "must be text"),
        ({"raw_message": "x" * 1_000_000}, "shorten"),
        ({"raw_message": "\x01" * 170_000}, "shorten"),
    ],
)
def test_an_entry_that_does_not_fit_is_refused_alone_with_its_reason(
    lone_api: Api, changes: dict[str, Any], said: str
) -> None:
    answer = send(lone_api, {"events": [event(event_id="a"), event(**changes), event(event_id="b")]})
    assert answer.status_code == 200
    content = answer.json()
    assert content["events_processed"] == 2
    assert [one["index"] for one in content["rejected"]] == [1]
    assert said in content["rejected"][0]["reason"]
    assert len(spooled(lone_api)) == 2


def test_bytes_that_are_not_utf8_cost_only_their_own_event(lone_api: Api) -> None:
    good, bad = json.dumps(event()).encode(), json.dumps(event(user="@@")).encode().replace(b"@@", b"\xff")
    assert send(lone_api, b"[" + good + b"," + bad + b"]").json()["events_processed"] == 1


def test_a_byte_order_mark_is_passed_over(lone_api: Api) -> None:
    assert send(lone_api, b"\xef\xbb\xbf" + json.dumps(event()).encode()).status_code == 200


def test_when_nothing_fits_it_is_422_with_every_reason(lone_api: Api) -> None:
    answer = send(lone_api, [event(severity=9), 7, None, event(severity=0)])
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert [one["index"] for one in answer.json()["rejected"]] == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400), (b"{", 400), (b"hello", 400), ("[{}]".encode("utf-16"), 400),
        (b"[" * 200_000, 400), (b"[" * 200_000 + b"]" * 200_000, 400),
        (b"7", 422), (b'"text"', 422), (b'{"events": 7}', 422), (b'{"events": {"a": 1}}', 422),
    ],
)  # fmt: skip
def test_a_body_that_is_no_list_of_events_is_a_problem(lone_api: Api, body: bytes, status: int) -> None:
    assert send(lone_api, body).status_code == status


def test_a_body_above_the_limit_is_413_announced_or_not(lone_api: Api) -> None:
    body = b"[" + b" " * (16 * 1024 * 1024) + b"]"
    assert send(lone_api, body).status_code == 413
    parts = (body[at : at + 65_536] for at in range(0, len(body), 65_536))
    assert lone_api.client.post("/ingest", content=parts).status_code == 413
    assert send(lone_api, event()).status_code == 200


def test_a_full_spool_is_503_with_retry_after_and_keeps_what_fits(lone_api: Api) -> None:
    lone_api.spool.limit_bytes = lone_api.spool.used_bytes() + 50_000
    answer = send(lone_api, event(raw_message="x" * 60_000))
    assert answer.status_code == 503
    assert answer.headers["retry-after"].isdigit()
    assert send(lone_api, event()).status_code == 200
    assert len(lone_api.spool) == 1


@pytest.mark.mosquitto
def test_what_is_in_the_spool_goes_to_the_ingestor_and_leaves_with_its_receipt(api: Api, ingestor: Ingestor) -> None:
    assert send(api, [event(event_id="a"), event(event_id="b")]).status_code == 200
    wait_until(lambda: len(api.spool) == 0, "the receipt has emptied the spool")
    message = ingestor.events[0]
    assert message.topic == "heimdall/v1/hosts/web-01/events"
    assert message.properties.ResponseTopic == "heimdall/v1/hosts/web-01/receipt"
    receipt = Receipt.unpack(message.properties.CorrelationData)
    assert receipt is not None
    assert receipt.spool_id == api.spool.id
    assert len(json.loads(message.payload)) == 2


@pytest.mark.mosquitto
def test_nothing_is_deleted_without_a_receipt(api: Api, ingestor: Ingestor) -> None:
    ingestor.sends_receipts = False
    send(api, event())
    wait_until(lambda: ingestor.events, "the ingestor has it")
    assert len(api.spool) == 1


@pytest.mark.mosquitto
def test_the_same_request_again_is_sent_with_the_same_ids(api: Api, ingestor: Ingestor) -> None:
    for _ in range(2):
        assert send(api, [event()]).status_code == 200
    wait_until(lambda: len(api.spool) == 0, "the spool is empty")
    assert len({one["event_id"] for message in ingestor.events for one in json.loads(message.payload)}) == 1


@pytest.mark.mosquitto
def test_events_are_taken_while_the_broker_is_away_and_delivered_when_it_returns(api: Api, broker: Broker) -> None:
    broker.kill()
    wait_until(lambda: api.bridge.state() != "ok", "the bridge has noticed")
    for host in ("web-01", "web-02"):
        answer = send(api, [event(event_id=f"{n}", source_host=host) for n in range(700)])
        assert answer.json()["events_processed"] == 700
    broker.start()
    ingestor = Ingestor(broker.port)
    ingestor.start()
    ingestor.sign()  # what was refused with 0x10 meanwhile is due again
    try:
        wait_until(lambda: len(api.spool) == 0, "all is delivered", seconds=40)
        got = {one["event_id"] for message in ingestor.events for one in json.loads(message.payload)}
        assert len(got) == 1400
    finally:
        ingestor.stop()


@pytest.mark.mosquitto
def test_what_nobody_took_goes_out_when_an_ingestor_comes_up(api: Api, broker: Broker) -> None:
    send(api, event())
    wait_until(lambda: api.bridge._forwarder.waiting() == 1, "it has been published to nobody")
    ingestor = Ingestor(broker.port)
    ingestor.start()
    try:
        ingestor.sign()
        # well before the ten seconds that a batch without a receipt waits
        wait_until(lambda: len(api.spool) == 0, "it has been delivered", seconds=5)
    finally:
        ingestor.stop()
