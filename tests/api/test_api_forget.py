"""`DELETE /hosts/{host}`: what goes, who may, and what is left when something is away."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from api_parts import Api, Broker
from paho.mqtt.client import CallbackAPIVersion, Client, MQTTMessage, MQTTProtocolVersion
from waiting import wait_until

from api import enroll
from api.auth import issue_key
from core.clock import utc_now
from core.ids import uuid7
from core.messages import Event
from core.topics import INFO, STATUS, VERDICT, host_topic
from store import Beat, EventFilter, WriteBatch

pytestmark = pytest.mark.mosquitto


def may(api: Api, *scopes: str) -> dict[str, str]:
    return {"api-key": issue_key(api.store, f"eva {scopes}", [*scopes], None, "test")}


def live(api: Api, host: str, events: int = 3) -> None:
    now = utc_now()
    made = [Event(uuid7(), now, host, "LINUX", "LOGIN_FAIL", 3, "failed") for _ in range(events)]
    api.store.write(WriteBatch(made, now, [], [Beat(host, "LINUX", now)]))


def enrol(api: Api, host: str) -> None:
    now = utc_now()
    api.store.add_token("token", host, 1, now + timedelta(hours=1), "local:eva", now, replaces=True)
    api.store.finish_order(api.store.use_token("token", host, "secret", b"sealed", now) or 0, None, now)


def count(api: Api, host: str) -> int:
    return len(api.store.events(EventFilter(source_host=host), 100).events)


class Retained:
    """What the broker retains of a host: its payloads, by the kind of topic."""

    def __init__(self, port: int, host: str) -> None:
        self.payloads: dict[str, bytes] = {}
        self._client = client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
        client.on_message = self._take
        client.connect("127.0.0.1", port)
        client.loop_start()
        for kind in (STATUS, INFO, VERDICT):
            client.publish(host_topic(host, kind), b"{}", 1, retain=True).wait_for_publish(10)
        client.subscribe(f"heimdall/v1/hosts/{host}/+", 1)
        wait_until(lambda: len(self.payloads) == 3, "all is retained")

    def _take(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        self.payloads[message.topic.rpartition("/")[2]] = message.payload

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


def test_a_forgotten_host_is_nowhere_but_in_its_events(api: Api, broker: Broker) -> None:
    live(api, "web-01")
    retained = Retained(broker.port, "web-01")
    answer = api.anyone.delete("/hosts/web-01", headers=may(api, "operate"))
    assert (answer.status_code, answer.json()) == (
        200, {"success": True, "message": "web-01 is forgotten", "events_deleted": 0},
    )  # fmt: skip
    wait_until(lambda: set(retained.payloads.values()) == {b""}, "all is cleared")
    retained.close()
    assert api.client.get("/hosts/web-01").status_code == 404
    assert api.client.get("/hosts").json()["inactive_hosts"] == api.client.get("/hosts").json()["active_hosts"] == []
    assert count(api, "web-01") == 3
    assert api.anyone.delete("/hosts/web-01", headers=may(api, "admin")).status_code == 404


def test_its_events_go_when_that_is_said(api: Api) -> None:
    live(api, "web-01")
    live(api, "web-02")
    answer = api.anyone.delete("/hosts/web-01?events=true", headers=may(api, "operate"))
    assert (answer.status_code, answer.json()["events_deleted"]) == (200, 3)
    assert (count(api, "web-01"), count(api, "web-02")) == (0, 3)
    [entry] = [one for one in api.store.audit(10) if one.action == "host.forget"]
    assert (entry.who, entry.target, entry.detail) == ("eva ('operate',)", "web-01", "3 events deleted")


def test_who_may_only_read_forgets_nobody(api: Api) -> None:
    live(api, "web-01")
    assert api.anyone.delete("/hosts/web-01", headers=may(api, "read", "agent")).status_code == 403
    assert api.anyone.delete("/hosts/web-01").status_code == 401
    assert api.client.get("/hosts/web-01").status_code == 200


@pytest.mark.parametrize("path", ["/hosts/web-99", "/hosts/a%00b", "/hosts/%2E%2E%2Fx"])
def test_a_host_that_was_never_heard_of_is_404(api: Api, path: str) -> None:
    assert api.anyone.delete(path, headers=may(api, "operate")).status_code == 404


def test_a_query_that_is_mistyped_forgets_nobody(api: Api) -> None:
    live(api, "web-01")
    operator = may(api, "operate")
    for query in ("event=true", "events=perhaps"):
        assert api.anyone.delete(f"/hosts/web-01?{query}", headers=operator).status_code == 422
    assert api.client.get("/hosts/web-01").status_code == 200


def test_while_the_broker_is_away_nothing_is_begun(lone_api: Api) -> None:
    live(lone_api, "web-01")
    enrol(lone_api, "web-01")
    answer = lone_api.anyone.delete("/hosts/web-01?events=true", headers=may(lone_api, "operate"))
    assert (answer.status_code, "broker is away" in answer.json()["detail"]) == (503, True)
    assert lone_api.client.get("/hosts/web-01").status_code == 200
    assert (count(lone_api, "web-01"), lone_api.store.read_orders()) == (3, [])


def test_a_host_whose_name_no_topic_can_have_needs_no_broker(lone_api: Api) -> None:
    live(lone_api, "an old box")
    assert lone_api.anyone.delete("/hosts/an%20old%20box", headers=may(lone_api, "operate")).status_code == 200
    assert lone_api.client.get("/hosts/an%20old%20box").status_code == 404


def test_an_enrolled_host_is_cut_off_before_anything_goes(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    live(api, "web-01")
    enrol(api, "web-01")
    monkeypatch.setattr(enroll, "WAIT_SECONDS", 0.2)
    operator = may(api, "operate")
    answer = api.anyone.delete("/hosts/web-01?events=true", headers=operator)
    assert (answer.status_code, "keeper" in answer.json()["detail"]) == (503, True)
    assert (count(api, "web-01"), api.client.get("/hosts/web-01").status_code) == (3, 200)
    [order] = api.store.read_orders()
    assert (order.kind, order.host) == ("forget", "web-01")
    monkeypatch.setattr(enroll, "WAIT_SECONDS", 20.0)
    keeper = threading.Timer(0.3, api.store.finish_order, (order.id, None, utc_now()))
    keeper.start()
    answer = api.anyone.delete("/hosts/web-01?events=true", headers=operator)
    keeper.join()
    assert (answer.status_code, answer.json()["events_deleted"]) == (200, 3)
    assert api.anyone.delete("/hosts/web-01", headers=operator).status_code == 404
