"""`GET /sessions`: who one is."""

from __future__ import annotations

from datetime import timedelta

import httpx
from api_parts import Api

from api.auth import hash_secret, make_login_link
from core.clock import rfc3339, utc_now


def show(api: Api, key: str) -> httpx.Response:
    return api.anyone.get("/sessions", headers={"api-key": key})


def test_a_key_is_told_its_name_its_scopes_and_its_end(lone_api: Api) -> None:
    end = utc_now() + timedelta(days=9)
    lone_api.store.add_key(hash_secret("a-key"), "grafana", ["read"], expires_at=end)
    told = show(lone_api, "a-key").json()
    assert told == {"success": True, "name": "grafana", "scopes": ["read"], "expires_at": rfc3339(end)}


def test_the_key_of_one_host_is_told_which(lone_api: Api) -> None:
    lone_api.store.add_key(hash_secret("a-key"), "the box", ["agent"], "web-01")
    told = show(lone_api, "a-key").json()
    assert (told["scopes"], told["expires_at"]) == (["agent:web-01"], None)


def test_a_session_is_told_whose_it_is_and_when_it_ends(lone_api: Api) -> None:
    with httpx.Client(base_url=lone_api.url, headers={"sec-fetch-site": "same-origin"}) as browser:
        browser.get("/login", params={"token": make_login_link(lone_api.store, utc_now())})
        told = browser.get("/sessions").json()
        assert told["name"].startswith("local:")
        assert told["scopes"] == ["admin", "operate", "read"]
        assert rfc3339(utc_now()) < told["expires_at"] < rfc3339(utc_now() + timedelta(days=31))
        browser.delete("/sessions")
        assert browser.get("/sessions").status_code == 401


def test_who_is_nobody_is_told_so(lone_api: Api) -> None:
    assert lone_api.anyone.get("/sessions").status_code == 401
    assert show(lone_api, "wrong").status_code == 401
