"""`GET /stream`: what changes, as it changes."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from api_parts import Api, Broker, Ingestor, make_settings, running_api
from paho.mqtt.client import CallbackAPIVersion, Client, MQTTProtocolVersion
from streams import Ear
from waiting import free_port, wait_until

from api.auth import hash_secret, make_login_link
from core.clock import rfc3339, utc_now
from core.ids import uuid7
from core.messages import Alert, Event, Verdict, encode
from core.topics import alert_topic, host_topic
from store import HeldVerdict, WriteBatch

pytestmark = pytest.mark.mosquitto

Listen = Callable[..., Ear]


class Watch:
    """Says what a watch would say."""

    def __init__(self, port: int) -> None:
        self._client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def say(self, topic: str, payload: bytes, retain: bool = True) -> None:
        self._client.publish(topic, payload, 1, retain=retain).wait_for_publish(5)

    def judge(self, host: str, reason: str = "crashed") -> None:
        self.say(host_topic(host, "verdict"), encode(Verdict("offline", utc_now(), reason)))

    def flood(self, first: int, end: int) -> None:
        """Verdicts of hosts with numbers, as fast as the broker takes them."""
        payload = encode(Verdict("offline", utc_now(), "crashed"))
        for number in range(first, end):
            self._client.publish(host_topic(f"web-{number}", "verdict"), payload, 0)

    def stop(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture
def watch(broker: Broker) -> Iterator[Watch]:
    made = Watch(broker.port)
    yield made
    made.stop()


@contextlib.contextmanager
def listening(api: Api) -> Iterator[Listen]:
    ears: list[Ear] = []

    def listen(query: str = "", key: str = api.key, **headers: str) -> Ear:
        ears.append(Ear(api.url, key, query, **headers))
        return ears[-1].has_begun()

    try:
        yield listen
    finally:
        for ear in ears:
            ear.close()


@pytest.fixture
def listen(api: Api) -> Iterator[Listen]:
    with listening(api) as made:
        yield made


def store_events(api: Api, *texts: str) -> None:
    now = utc_now()
    events = [Event(uuid7(), now, "web-01", "LINUX", "LOGIN_FAIL", 3, text) for text in texts]
    api.store.write(WriteBatch(events, now))


def open_alert(api: Api, host: str) -> Alert:
    now = utc_now()
    api.store.record_heartbeat(host, "LINUX", now)
    (claims,) = api.store.claim([HeldVerdict(host, "offline", "crashed", now, None, 0)], now)
    return claims.opened[0]


def close_alert(api: Api, host: str) -> Alert:
    now = utc_now()
    (claims,) = api.store.claim([HeldVerdict(host, "online", "", now, None, 1)], now)
    return claims.resolved[0]


def test_a_verdict_is_told_as_it_is_said(listen: Listen, watch: Watch) -> None:
    ear = listen()
    back = utc_now() + timedelta(minutes=5)
    watch.say(host_topic("web-01", "verdict"), encode(Verdict("away", utc_now(), "reboot", back)))
    (told,) = ear.wait_for("verdict")
    assert {**told.data, "since": None} == {
        "hostname": "web-01", "state": "away", "since": None, "reason": "reboot", "back_by": rfc3339(back),
    }  # fmt: skip
    watch.say(host_topic("web-01", "verdict"), b"")
    gone = ear.wait_for("verdict", 2)[1].data
    assert gone == {"hostname": "web-01", "state": None, "since": None, "reason": None, "back_by": None}


def test_what_the_broker_retains_is_not_told_again(broker: Broker, watch: Watch, tmp_path: Path) -> None:
    for number in range(50):
        watch.judge(f"old-{number}")
    settings = make_settings(tmp_path / "home", broker.port, free_port())
    with running_api(settings) as found, listening(found) as listen:
        ear = listen()
        wait_until(lambda: found.bridge.state() == "ok", "the bridge has connected")
        watch.judge("web-01")
        assert [one.data["hostname"] for one in ear.wait_for("verdict")] == ["web-01"]


def test_an_alert_is_told_when_it_opens_when_somebody_sees_to_it_and_when_it_ends(
    api: Api, listen: Listen, watch: Watch
) -> None:
    api.store.add_key(hash_secret("operator"), "eva", ["read", "operate"])
    ear = listen()
    alert = open_alert(api, "web-01")
    watch.say(alert_topic(alert.id), encode(alert))
    ear.wait_for("alert")
    assert api.anyone.post(f"/alerts/{alert.id}/ack", headers={"api-key": "operator"}).status_code == 200
    ear.wait_for("alert", 2)
    close_alert(api, "web-01")
    watch.say(alert_topic(alert.id), b"")
    opened, acked, resolved = (one.data for one in ear.wait_for("alert", 3))
    (listed,) = api.client.get("/alerts").json()["alerts"]
    assert resolved == listed
    assert (opened["id"], opened["state"], opened["acked_by"]) == (alert.id, "open", None)
    assert set(opened) == set(listed)
    assert (acked["state"], acked["acked_by"]) == ("open", "eva")
    assert (resolved["state"], resolved["acked_by"]) == ("resolved", "eva")


@pytest.mark.parametrize(
    "payload", [b"\xff", b"[]", b'{"state":"gone"}', b'{"state":"offline","since":"x","reason":1}']
)
def test_what_cannot_be_read_is_not_told(listen: Listen, watch: Watch, payload: bytes) -> None:
    ear = listen()
    watch.say(host_topic("web-01", "verdict"), payload, retain=False)
    watch.say(alert_topic("x"), payload, retain=False)
    watch.judge("web-02")
    ear.wait_for("verdict")
    assert [one.event for one in ear.told()] == ["verdict"]


def test_events_are_told_when_an_ingestor_says_that_it_has_stored_some(
    api: Api, listen: Listen, ingestor: Ingestor
) -> None:
    store_events(api, "long ago")
    ear = listen()
    store_events(api, "first", "second")
    ingestor.sign(metrics={"events_stored": 2})
    (told,) = ear.wait_for("events")
    assert (told.data["stored"], told.data["left_out"]) == (2, 0)
    assert told.data["events"] == api.client.get("/events?limit=2").json()["events"]
    page = api.client.get("/events", params={"cursor": told.data["newest"]}).json()
    assert page["events"][:2] == told.data["events"]


def test_of_many_events_the_newest_are_told_and_how_many_are_left_out(api: Api, listen: Listen) -> None:
    ear = listen()
    store_events(api, *(f"no {number}" for number in range(100)))
    (told,) = ear.wait_for("events")  # no ingestor says so: found all the same
    assert (told.data["stored"], len(told.data["events"]), told.data["left_out"]) == (100, 20, 80)
    assert told.data["events"][0]["raw_message"] == "no 99"


def test_what_is_too_long_for_a_message_is_left_out(api: Api, listen: Listen) -> None:
    ear = listen()
    store_events(api, "x" * 900_000, "<b>short</b>\n\ndata: forged")
    (told,) = ear.wait_for("events")
    assert [one["raw_message"] for one in told.data["events"]] == ["<b>short</b>\n\ndata: forged"]
    assert (told.data["stored"], told.data["left_out"]) == (2, 1)


def test_events_are_told_when_ids_begin_anew(api: Api, listen: Listen) -> None:
    store_events(api, *(f"old {number}" for number in range(10)))
    ear = listen()
    newest = api.store.forgetting.newest_event()
    assert api.store.forgetting.delete_events("web-01", newest)[0] == 10
    store_events(api, "new")
    (told,) = ear.wait_for("events")
    assert [one["raw_message"] for one in told.data["events"]] == ["new"]


def test_only_the_kinds_that_were_asked_for_come(api: Api, listen: Listen, watch: Watch) -> None:
    ear, other = listen("?kinds=alert&kinds=events"), listen("?kinds=verdict")
    watch.judge("web-01")
    store_events(api, "one")
    ear.wait_for("events")
    other.wait_for("verdict")
    assert [one.event for one in ear.told()] == ["events"]
    assert [one.event for one in other.told()] == ["verdict"]
    answer = api.client.get("/stream?kinds=weather")
    assert answer.status_code == 422


def test_who_comes_back_goes_on_behind_the_last_message_it_has(api: Api, listen: Listen, watch: Watch) -> None:
    steady, ear = listen(), listen()
    for number in range(5):
        watch.judge(f"before-{number}")
    ear.wait_for("verdict", 5)
    ear.close()
    for number in range(5):
        watch.judge(f"meanwhile-{number}")
    store_events(api, "meanwhile")
    steady.wait_for("events")
    again = listen(Last_Event_ID=ear.last_id)
    by_query = listen(f"?last_event_id={ear.last_id}")
    watch.judge("after")
    steady.wait_for("verdict", 11)
    for one in (again, by_query):
        one.wait_for("verdict", 6)
        assert ear.told() + one.told() == steady.told()


def test_who_has_had_no_message_yet_comes_back_without_loss(listen: Listen, watch: Watch) -> None:
    ear = listen()
    ear.close()
    watch.judge("meanwhile")
    again = listen(Last_Event_ID=ear.last_id)
    assert [one.data["hostname"] for one in again.wait_for("verdict")] == ["meanwhile"]


@pytest.mark.parametrize("known", ["0badf00d-1", "nonsense", "-", "٣", "x" * 100, "{boot}-99", "{boot}--1", "{boot}-٣"])
def test_an_id_that_is_not_known_is_told_to_ask_anew(listen: Listen, watch: Watch, known: str) -> None:
    boot = listen().last_id.partition("-")[0]
    header = known.format(boot=boot)
    ear = listen(Last_Event_ID=header)
    watch.judge("web-01")
    ear.wait_for("verdict")
    assert [one.event for one in ear.told()] == ["reset", "verdict"]


def test_when_the_broker_is_back_listeners_are_told_to_ask_anew(api: Api, broker: Broker, listen: Listen) -> None:
    ear = listen("?kinds=alert")
    broker.kill()
    wait_until(lambda: api.bridge.state() != "ok", "the bridge has lost the broker")
    broker.start()
    ear.wait_for("reset")
    watch = Watch(broker.port)
    open_one = open_alert(api, "web-01")
    watch.say(alert_topic(open_one.id), encode(open_one))
    ear.wait_for("alert")
    watch.stop()


def test_it_is_not_kept_or_held_back_on_its_way(api: Api) -> None:
    ear = Ear(api.url, api.key, accept_encoding="gzip")
    head = ear.head.decode().lower()
    assert "content-type: text/event-stream" in head
    assert "cache-control: no-store" in head
    assert "x-accel-buffering: no" in head
    assert "content-encoding" not in head
    assert "etag" not in head
    ear.close()


def test_a_quiet_stream_has_a_comment_from_time_to_time(listen: Listen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.listeners.COMMENT_SECONDS", 0.05)
    ear = listen()
    wait_until(lambda: ear.told() == [] and ear.comments > 3, "comments come")


@pytest.mark.parametrize("text", ["agent:web-01", "agent"])
def test_who_may_not_read_may_not_listen(api: Api, text: str) -> None:
    api.store.add_key(hash_secret("a-key"), "an agent", ["agent"], text.partition(":")[2] or None)
    assert api.anyone.get("/stream", headers={"api-key": "a-key"}).status_code == 403
    assert api.anyone.get("/stream").status_code == 401


def test_a_revoked_keys_stream_ends_and_others_go_on(
    api: Api, listen: Listen, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.feed.CHECK_SECONDS", 0.1)
    api.store.add_key(hash_secret("a-key"), "grafana", ["read"])
    ear, other = listen(key="a-key"), listen()
    assert api.store.revoke_key("grafana", "local:eva") is not None
    wait_until(lambda: ended(ear), "its stream has ended")
    watch.judge("web-01")
    other.wait_for("verdict")


def test_the_stream_of_a_session_ends_with_it(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.feed.CHECK_SECONDS", 0.1)
    with httpx.Client(base_url=api.url, headers={"sec-fetch-site": "same-origin"}) as browser:
        browser.get("/login", params={"token": make_login_link(api.store, utc_now())})
        (cookie,) = browser.cookies.items()
        ear = Ear(api.url, "", cookie="=".join(cookie)).has_begun()
        assert browser.delete("/sessions").status_code == 200
    wait_until(lambda: ended(ear), "its stream has ended")
    ear.close()


def ended(ear: Ear) -> bool:
    """Whether the answer is whole: the last chunk has come."""
    ear.told()
    return ear.ended or ear.whole


def test_more_listeners_than_there_may_be_are_told_to_come_later(
    api: Api, listen: Listen, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.listeners.MOST_LISTENERS", 3)
    ears = [listen() for _ in range(3)]
    refused = api.client.get("/stream")
    assert refused.status_code == 503
    assert refused.headers["retry-after"].isdigit()
    ears[0].close()
    wait_until(lambda: has_room(api), "a place is free")


def has_room(api: Api) -> bool:
    ear = Ear(api.url, api.key)
    ear.close()
    return ear.status == 200


def test_while_nobody_has_listened_for_long_nothing_is_kept(
    api: Api, listen: Listen, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.feed.LINGER_SECONDS", 0.0)
    ear = listen()
    watch.judge("web-01")
    ear.wait_for("verdict")
    ear.close()

    def is_reset() -> bool:
        again = listen(Last_Event_ID=ear.last_id)
        came = again.of("reset")
        again.close()
        return bool(came)

    wait_until(is_reset, "what it had is not known any more")


def test_the_data_is_json_in_one_line(listen: Listen, watch: Watch) -> None:
    ear = listen()
    verdict: dict[str, Any] = {"state": "offline", "since": rfc3339(utc_now()), "reason": "a\n\ndata: {}\r\nid: 7"}
    watch.say(host_topic("web-01", "verdict"), json.dumps(verdict).encode(), retain=False)
    (told,) = ear.wait_for("verdict")
    assert told.data["reason"] == verdict["reason"]
    assert ear.told() == [told]
