"""Who may speak for whom: an enrolled host speaks for itself, and no key for just any host speaks for it."""

from __future__ import annotations

import json
import threading
from datetime import timedelta
from typing import Any

import httpx
import pytest
from api_parts import Api, Ingestor
from sqlite_file import opened
from waiting import wait_until

from api import voices
from api.auth import hash_secret
from core.clock import utc_now

HEADERS = {"source_host": "web-01", "os_type": "LINUX"}


def event(**changes: Any) -> dict[str, Any]:
    return {
        "event_id": "1", "timestamp": "2025-12-03T20:49:50Z", "event_type": "LOGIN_FAIL", "severity": 1,
        "raw_message": "x", "source_host": "web-01", "os_type": "LINUX",
    } | changes  # fmt: skip


def enroll(api: Api, host: str, token: str = "token") -> None:
    now = utc_now()
    api.store.add_token(token, host, 1, now + timedelta(hours=1), "local:eva", now, replaces=False)
    assert api.store.use_token(token, host, "secret", b"sealed", now)


def post(api: Api, call: str, host: str = "web-01") -> httpx.Response:
    """One of the three calls that speak for `host`."""
    if call == "/ingest":
        return api.client.post(call, json=[event(source_host=host)])
    if call == "/system-status":
        return api.client.post(call, json={"status": {"source_host": host, "os_type": "LINUX"}})
    return api.client.post(call, headers={"source_host": host, "os_type": "LINUX"})


@pytest.mark.parametrize("host", ["web-01", "WEB-01"])
@pytest.mark.parametrize("call", ["/heartbeat", "/system-status", "/ingest"])
def test_a_key_for_any_host_may_not_speak_for_one_that_is_enrolled(
    api: Api, ingestor: Ingestor, call: str, host: str
) -> None:
    enroll(api, "web-01")
    answer = post(api, call, host)
    assert answer.status_code == 403
    assert f"agent:{host}" in answer.json()["detail"]
    assert post(api, call, "web-02").status_code == 200
    wait_until(lambda: ingestor.beats or ingestor.events, "the ingestor has heard of the other")
    assert all("web-02" in message.topic for message in [*ingestor.beats, *ingestor.infos, *ingestor.events])


def test_the_key_of_the_enrolled_host_itself_may(lone_api: Api) -> None:
    enroll(lone_api, "web-01")
    lone_api.store.add_key(hash_secret("own-key"), "web-01's", ["agent"], "web-01")
    answer = lone_api.anyone.post("/ingest", headers={"api-key": "own-key"}, json=[event()])
    assert answer.status_code == 200


def test_events_of_enrolled_hosts_are_rejected_and_their_neighbours_kept(lone_api: Api) -> None:
    enroll(lone_api, "web-01")
    sent = [event(), event(source_host="web-02"), event(source_host="web-01", severity=9)]
    answer = lone_api.client.post("/ingest", json=sent)
    assert answer.status_code == 200
    assert answer.json()["events_processed"] == 1
    assert [one["index"] for one in answer.json()["rejected"]] == [0, 2]
    assert "enrolled" in answer.json()["rejected"][0]["reason"]
    kept = lone_api.spool.batch(0)
    assert kept is not None
    assert [one["source_host"] for one in json.loads(kept.payload)] == ["web-02"]


def test_nothing_that_may_be_sent_is_403_and_nothing_that_fits_422(lone_api: Api) -> None:
    enroll(lone_api, "web-01")
    forbidden = lone_api.client.post("/ingest", json=[event(), event(event_id="2")])
    assert (forbidden.status_code, len(forbidden.json()["rejected"])) == (403, 2)
    assert lone_api.client.post("/ingest", json=[event(), event(source_host="web-02", severity=9)]).status_code == 422


@pytest.mark.parametrize("call", ["/heartbeat", "/ingest"])
def test_who_is_enrolled_revoked_or_enrolled_again_is_known_soon(
    api: Api, ingestor: Ingestor, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(voices, "CACHE_SECONDS", 0.2)
    assert post(api, call).status_code == 200
    enroll(api, "web-01")
    wait_until(lambda: post(api, call).status_code == 403, "the enrolment is known")
    api.store.revoke_host("web-01", "local:eva", utc_now())
    wait_until(lambda: "was revoked" in post(api, call).text, "the revocation is known: nothing of it would be stored")
    assert post(api, call).status_code == 403
    enroll(api, "web-01", "another token")
    wait_until(lambda: "is enrolled" in post(api, call).text, "it is enrolled again")


def test_a_revoked_host_s_own_key_does_not_speak_for_it_either(lone_api: Api) -> None:
    lone_api.store.add_key(hash_secret("own-key"), "web-01's", ["agent"], "web-01")
    enroll(lone_api, "web-01")
    lone_api.store.revoke_host("web-01", "local:eva", utc_now())
    answer = lone_api.anyone.post("/ingest", headers={"api-key": "own-key"}, json=[event()])
    assert (answer.status_code, lone_api.spool.batch(0)) == (403, None)


def test_a_database_that_went_away_leaves_what_was_known(lone_api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(voices, "CACHE_SECONDS", 0.0)
    enroll(lone_api, "web-01")
    assert post(lone_api, "/ingest").status_code == 403
    with opened(lone_api.settings.home / "mini_siem.db") as connection:
        connection.execute("ALTER TABLE keeper_orders RENAME TO gone")
    assert post(lone_api, "/ingest", "web-02").status_code == 200
    assert post(lone_api, "/ingest").status_code == 403


def test_requests_that_come_together_read_once(lone_api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(voices, "CACHE_SECONDS", 60.0)
    reads: list[None] = []
    read = lone_api.store.enrolled.refresh
    monkeypatch.setattr(lone_api.store.enrolled, "refresh", lambda: (reads.append(None), read()))
    codes: list[int] = []
    threads = [threading.Thread(target=lambda: codes.append(post(lone_api, "/ingest").status_code)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert codes == [200] * 8
    assert len(reads) == 1
