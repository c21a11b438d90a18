from __future__ import annotations

import os
import sqlite3
import stat
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from api_parts import Api, make_settings, running_api
from waiting import free_port

from api.auth import hash_secret, make_login_link, register_keys
from core.clock import utc_now
from core.errors import Invalid
from core.home import Home, read_secret
from store import open_store

GUARDED = [
    ("POST", "/heartbeat"), ("POST", "/ingest"), ("POST", "/system-status"),
    ("GET", "/hosts"), ("GET", "/hosts/web-01"), ("GET", "/hosts/web-01/heartbeats"),
    ("GET", "/events"), ("GET", "/events/1"),
]  # fmt: skip
OPEN = [
    "/livez", "/agent.pyz", "/agent.pyz.sha256", "/docs", "/docs/problems", "/openapi.json",
    "/", "/frame.js", "/views/hosts.js", "/vendor/preact.js", "/app.css", "/favicon.svg",
]  # fmt: skip


def browser(api: Api) -> httpx.Client:
    """A client without a key that keeps cookies and says what a page of our own says."""
    return httpx.Client(base_url=api.url, headers={"sec-fetch-site": "same-origin"})


@pytest.mark.parametrize(("method", "path"), GUARDED)
def test_without_a_key_it_is_401_and_the_detail_names_header_and_file(lone_api: Api, method: str, path: str) -> None:
    answer = lone_api.anyone.request(method, path)
    assert answer.status_code == 401
    assert "api-key" in answer.headers["www-authenticate"]
    assert "header api-key" in answer.json()["detail"]
    assert "$HEIMDALL_HOME/api-key" in answer.json()["detail"]


@pytest.mark.parametrize("key", [b"wrong", b"\xff\xfe", b"x" * 5000])
def test_a_wrong_key_is_401_and_is_not_repeated(lone_api: Api, key: bytes) -> None:
    answer = lone_api.anyone.get("/hosts", headers=[(b"api-key", key)])
    assert answer.status_code == 401
    assert key not in answer.content


@pytest.mark.parametrize("path", OPEN)
def test_what_needs_no_key_answers_without(lone_api: Api, path: str) -> None:
    assert lone_api.anyone.get(path).status_code == 200


def test_a_key_may_only_do_what_its_scopes_say(lone_api: Api) -> None:
    lone_api.store.add_key(hash_secret("reader-key"), "reader", ["read"])
    lone_api.store.add_key(hash_secret("agent-key"), "an agent", ["agent"])
    event_call = {"headers": {"api-key": "reader-key"}, "json": {"events": []}}
    assert lone_api.anyone.post("/ingest", **event_call).status_code == 403  # type: ignore[arg-type]
    assert lone_api.anyone.get("/hosts", headers={"api-key": "reader-key"}).status_code == 200
    assert lone_api.anyone.get("/hosts", headers={"api-key": "agent-key"}).status_code == 403
    assert lone_api.anyone.post("/ingest", headers={"api-key": "agent-key"}, json=[]).status_code == 200


def test_a_key_of_one_host_cannot_speak_for_another(lone_api: Api) -> None:
    lone_api.store.add_key(hash_secret("bound-key"), "web-01's agent", ["agent"], "web-01")
    headers = {"api-key": "bound-key", "source_host": "db-01", "os_type": "LINUX"}
    assert lone_api.anyone.post("/heartbeat", headers=headers).status_code == 403
    event = {
        "event_id": "1", "timestamp": "2025-12-03T20:49:50Z", "event_type": "LOGIN_FAIL", "severity": 1,
        "raw_message": "x",
    }  # fmt: skip
    answer = lone_api.anyone.post("/ingest", headers=headers, json=[event, event | {"source_host": "web-01"}])
    assert answer.json()["events_processed"] == 1
    assert "web-01" in answer.json()["rejected"][0]["reason"]


def test_a_key_that_has_expired_is_401(lone_api: Api) -> None:
    lone_api.store.add_key(hash_secret("old-key"), "old", ["read"], expires_at=utc_now() - timedelta(seconds=1))
    assert lone_api.anyone.get("/hosts", headers={"api-key": "old-key"}).status_code == 401


def test_a_database_that_is_away_is_503_for_the_unknown_and_takes_events_from_the_known(lone_api: Api) -> None:
    assert lone_api.client.post("/ingest", json=[]).status_code == 200
    connection = sqlite3.connect(lone_api.settings.home / "mini_siem.db")
    connection.execute("ALTER TABLE api_keys RENAME TO gone")
    connection.commit()
    unknown = lone_api.anyone.get("/hosts", headers={"api-key": "unknown"})
    assert unknown.status_code == 503
    assert unknown.headers["retry-after"].isdigit()
    auth = lone_api.client.post("/ingest", json=[])
    assert auth.status_code == 200
    connection.execute("ALTER TABLE gone RENAME TO api_keys")
    connection.commit()
    connection.close()


def test_the_key_file_is_made_once_with_mode_0600(tmp_path: Path) -> None:
    settings = make_settings(tmp_path, 1, 2)
    Home(tmp_path).prepare()
    store = open_store(settings.database_url)
    register_keys(settings, store)
    key = read_secret(tmp_path / "api-key")
    register_keys(settings, store)
    assert read_secret(tmp_path / "api-key") == key
    assert len(key) == 43
    assert stat.S_IMODE((tmp_path / "api-key").stat().st_mode) == 0o600
    found = store.find_key(hash_secret(key), utc_now())
    assert found is not None
    assert found.scopes == {"agent", "read"}
    store.close()


def test_siem_api_key_becomes_the_file_and_is_accepted_beside_another(tmp_path: Path) -> None:
    settings = make_settings(tmp_path, 1, 2, SIEM_API_KEY="first-secret")
    Home(tmp_path).prepare()
    store = open_store(settings.database_url)
    register_keys(settings, store)
    assert read_secret(tmp_path / "api-key") == "first-secret"
    register_keys(make_settings(tmp_path, 1, 2, SIEM_API_KEY="second-secret"), store)
    assert read_secret(tmp_path / "api-key") == "first-secret"
    for key in ("first-secret", "second-secret"):
        assert store.find_key(hash_secret(key), utc_now()) is not None
    store.close()


def test_a_key_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    settings = make_settings(tmp_path, 1, 2)
    Home(tmp_path).prepare()
    store = open_store(settings.database_url)
    (tmp_path / "api-key").write_text("a-secret-key\n")
    os.chmod(tmp_path / "api-key", 0o644)
    with pytest.raises(Invalid, match="chmod 600"):
        register_keys(settings, store)
    store.close()


def test_neither_key_nor_token_is_stored(lone_api: Api) -> None:
    token = make_login_link(lone_api.store, utc_now())
    with browser(lone_api) as client:
        client.get("/login", params={"token": token})
        session = next(iter(client.cookies.jar)).value
    stored = b"".join(path.read_bytes() for path in lone_api.settings.home.glob("mini_siem.db*"))
    for secret in (token, lone_api.key, session):
        assert secret is not None
        assert secret.encode() not in stored


def test_a_login_link_works_once_and_lets_the_page_read(lone_api: Api) -> None:
    token = make_login_link(lone_api.store, utc_now())
    with browser(lone_api) as client:
        answer = client.get("/login", params={"token": token})
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        cookie = answer.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=strict" in cookie
        assert client.get("/hosts").status_code == 200
        # the same link in the same browser goes to the page, anywhere else it is spent
        assert client.get("/login", params={"token": token}).status_code == 303
    spent = lone_api.anyone.get("/login", params={"token": token})
    assert spent.status_code == 403
    assert "has been used" in spent.text
    assert "set-cookie" not in spent.headers


def test_a_login_link_ends_after_fifteen_minutes(lone_api: Api) -> None:
    token = make_login_link(lone_api.store, utc_now() - timedelta(minutes=15, seconds=1))
    assert lone_api.anyone.get("/login", params={"token": token}).status_code == 403


def test_a_browser_that_looks_ahead_does_not_use_a_link_up(lone_api: Api) -> None:
    token = make_login_link(lone_api.store, utc_now())
    ahead = lone_api.anyone.get("/login", params={"token": token}, headers={"sec-purpose": "prefetch;prerender"})
    assert ahead.status_code == 503
    assert lone_api.anyone.get("/login", params={"token": token}).status_code == 303


def test_a_session_by_key_reads_until_it_ends(lone_api: Api) -> None:
    with browser(lone_api) as client:
        assert client.post("/sessions", json={"key": f" {lone_api.key}\n"}).status_code == 200
        kept = dict(client.cookies)
        assert client.get("/hosts").status_code == 200
        assert client.delete("/sessions").status_code == 200
        assert client.get("/hosts").status_code == 401
    # the server has ended it too: the cookie is of no use to a thief
    lone_api.anyone.cookies.update(kept)
    assert lone_api.anyone.get("/hosts").status_code == 401


@pytest.mark.parametrize(("body", "status"), [({"key": "wrong"}, 403), ({"key": ""}, 422), ({}, 422), ([], 422)])
def test_a_session_needs_a_key_that_is_known(lone_api: Api, body: object, status: int) -> None:
    assert lone_api.anyone.post("/sessions", json=body).status_code == status


def test_a_session_may_not_report(lone_api: Api) -> None:
    with browser(lone_api) as client:
        client.post("/sessions", json={"key": lone_api.key})
        assert client.post("/ingest", json=[]).status_code == 403


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({}, 403),
        ({"origin": "OWN"}, 200),
        ({"sec-fetch-site": "same-origin"}, 200),
    ],
)
def test_only_our_own_page_may_change_something_by_cookie(lone_api: Api, headers: dict[str, str], status: int) -> None:
    lone_api.anyone.post("/sessions", json={"key": lone_api.key})
    sent = {name: value.replace("OWN", lone_api.url) for name, value in headers.items()}
    assert lone_api.anyone.delete("/sessions", headers=sent).status_code == status


def test_another_sites_page_cannot_begin_a_session(lone_api: Api) -> None:
    answer = lone_api.anyone.post(
        "/sessions", json={"key": lone_api.key}, headers={"origin": "https://evil.example"}
    )  # fmt: skip
    assert answer.status_code == 403


def test_two_apis_on_one_machine_do_not_share_a_cookie(tmp_path: Path) -> None:
    names = []
    for _ in range(2):
        port = free_port()
        with running_api(make_settings(tmp_path / str(port), 1, port)) as api, browser(api) as client:
            client.post("/sessions", json={"key": api.key})
            names += list(client.cookies)
    assert len(set(names)) == 2
