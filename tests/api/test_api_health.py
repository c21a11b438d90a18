from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

import pytest
from api_parts import Api, Broker, Ingestor
from paho.mqtt import subscribe
from waiting import wait_until

from core.clock import utc_now
from core.messages import ServiceStatus, encode
from mqtt.signs import Signs


def ready(api: Api) -> tuple[int, dict[str, Any]]:
    answer = api.anyone.get("/readyz")
    return answer.status_code, answer.json()


def test_it_is_alive_whatever_else_is_away(lone_api: Api) -> None:
    assert lone_api.anyone.get("/livez").status_code == 200
    assert lone_api.anyone.head("/livez").status_code == 200


def test_it_is_not_ready_without_a_broker_and_names_the_parts(lone_api: Api) -> None:
    status, content = ready(lone_api)
    assert status == 503
    assert content["ready"] is False
    assert content["parts"]["database"] == "ok"
    assert content["parts"]["broker"] != "ok"
    assert content["parts"]["ingestor"] == "no sign of life yet"


@pytest.mark.mosquitto
def test_it_is_ready_once_an_ingestor_gives_a_sign_of_life(api: Api, ingestor: Ingestor) -> None:
    assert ready(api)[0] == 503
    ingestor.sign()
    wait_until(
        lambda: ready(api) == (200, {"ready": True, "parts": dict.fromkeys(("broker", "ingestor", "database"), "ok")}),
        "ready",
    )


@pytest.mark.mosquitto
def test_an_ingestor_whose_commit_fails_makes_it_not_ready(api: Api, ingestor: Ingestor) -> None:
    ingestor.sign()
    wait_until(lambda: ready(api)[0] == 200, "ready")
    ingestor.sign(parts={"broker": "ok", "database": "disk full"})
    wait_until(lambda: "disk full" in ready(api)[1]["parts"]["ingestor"], "the fault is shown")
    assert ready(api)[0] == 503


@pytest.mark.mosquitto
def test_a_broker_that_dies_makes_it_not_ready(api: Api, broker: Broker, ingestor: Ingestor) -> None:
    ingestor.sign()
    wait_until(lambda: ready(api)[0] == 200, "ready")
    broker.kill()
    wait_until(lambda: ready(api)[1]["parts"]["broker"] != "ok", "the fault is shown")
    assert ready(api)[1]["parts"]["ingestor"] != "ok"


@pytest.mark.mosquitto
def test_a_database_that_is_away_makes_it_not_ready(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    home = api.settings.home
    api.store.close()
    for path in home.glob("mini_siem.db*"):
        path.unlink()
    (home / "mini_siem.db").mkdir()
    assert ready(api)[1]["parts"]["database"] != "ok"


@pytest.mark.mosquitto
def test_the_api_gives_signs_of_life_of_its_own(api: Api, broker: Broker) -> None:
    message = subscribe.simple("heimdall/v1/services/api/test", hostname="127.0.0.1", port=broker.port)
    assert b'"state":"online"' in message.payload


def sign(**changes: Any) -> bytes:
    values: dict[str, Any] = {"state": "online", "session": "s", "at": utc_now(), "reason": "start", "parts": {}}
    return encode(ServiceStatus(**(values | changes)))


TOPIC = "heimdall/v1/services/ingestor/1"


def test_a_sign_grows_old() -> None:
    signs = Signs()
    signs.record(TOPIC, sign(), retained=False)
    now = time.monotonic()
    assert signs.judge("ingestor", now) == "ok"
    assert "no sign of life for 7 s" in signs.judge("ingestor", now + 7)


@pytest.mark.parametrize("off", [timedelta(seconds=-60), timedelta(seconds=60)])
def test_a_retained_sign_of_another_time_proves_nothing(off: timedelta) -> None:
    signs = Signs()
    signs.record(TOPIC, sign(at=utc_now() + off), retained=True)
    assert signs.judge("ingestor", time.monotonic()) != "ok"


def test_one_instance_that_is_well_is_enough() -> None:
    signs = Signs()
    signs.record(TOPIC, sign(state="offline", reason="lost"), retained=False)
    assert "offline" in signs.judge("ingestor", time.monotonic())
    signs.record(TOPIC[:-1] + "2", sign(), retained=False)
    assert signs.judge("ingestor", time.monotonic()) == "ok"


@pytest.mark.parametrize("payload", [b"{", b"[]", b"\xff", b'{"state":"x"}', b"[" * 100_000])
def test_a_sign_that_cannot_be_read_is_passed_over(payload: bytes) -> None:
    signs = Signs()
    signs.record(TOPIC, payload, retained=False)
    assert signs.judge("ingestor", time.monotonic()) == "no sign of life yet"
