"""Keys over HTTP: made, listed, revoked, and what is left of that in the audit trail."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import timedelta

import httpx
import pytest
from api_parts import Api

from api.auth import hash_secret, issue_key
from api.tries import TRIES
from core.clock import parse_time, utc_now

ADMIN_CALLS = [("GET", "/keys"), ("POST", "/keys"), ("DELETE", "/keys/x"), ("GET", "/audit")]


@pytest.fixture
def admin(lone_api: Api) -> dict[str, str]:
    return {"api-key": issue_key(lone_api.store, "the admin", ["admin"], None, "test")}


def make(api: Api, admin: dict[str, str], **wanted: object) -> httpx.Response:
    return api.anyone.post("/keys", headers=admin, json={"name": "grafana", "scopes": ["read"], **wanted})


@pytest.mark.parametrize(("method", "path"), ADMIN_CALLS)
@pytest.mark.parametrize("scopes", [["agent", "read"], ["operate"]])
def test_keys_are_for_administrators_alone(lone_api: Api, method: str, path: str, scopes: list[str]) -> None:
    key = issue_key(lone_api.store, "less", scopes, None, "test")
    assert lone_api.anyone.request(method, path, headers={"api-key": key}).status_code == 403
    assert lone_api.anyone.request(method, path).status_code == 401


def test_a_key_that_is_made_works_and_is_never_told_again(lone_api: Api, admin: dict[str, str]) -> None:
    made = make(lone_api, admin, expires="30d")
    assert made.status_code == 201
    key = made.json()["key"]
    assert lone_api.anyone.get("/hosts", headers={"api-key": key}).status_code == 200
    listed = lone_api.anyone.get("/keys", headers=admin)
    assert key not in listed.text
    [row] = [row for row in listed.json()["keys"] if row["name"] == "grafana"]
    assert row["scopes"] == ["read"]
    assert 29 <= (parse_time(row["expires_at"]) - utc_now()).days <= 30


def test_a_name_is_given_once(lone_api: Api, admin: dict[str, str]) -> None:
    assert make(lone_api, admin).status_code == 201
    again = make(lone_api, admin)
    assert again.status_code == 409
    assert "'grafana'" in again.json()["detail"]


@pytest.mark.parametrize(
    "wanted",
    [
        {"name": ""}, {"name": " x"}, {"name": "x" * 81}, {"name": "a\nb"}, {"name": "a\0b"}, {"name": 5},
        {"name": "api-key"}, {"name": "\u202egrafana"}, {"scopes": []}, {"scopes": "read"}, {"scopes": ["root"]},
        {"scopes": [5]}, {"expires": "tomorrow"}, {"expires": "0d"}, {"expires": 90}, {"expires": "9999y"},
    ],
)  # fmt: skip
def test_what_does_not_fit_a_key_is_422(lone_api: Api, admin: dict[str, str], wanted: dict[str, object]) -> None:
    assert make(lone_api, admin, **wanted).status_code == 422
    assert lone_api.store.audit(10)[0].target == "the admin"


def test_a_revoked_key_is_refused_at_once(lone_api: Api, admin: dict[str, str]) -> None:
    key = {"api-key": make(lone_api, admin).json()["key"]}
    assert lone_api.anyone.get("/hosts", headers=key).status_code == 200
    revoked = lone_api.anyone.delete("/keys/grafana", headers=admin)
    assert revoked.json()["revoked"]["name"] == "grafana"
    assert lone_api.anyone.get("/hosts", headers=key).status_code == 401
    assert lone_api.anyone.delete("/keys/grafana", headers=admin).status_code == 404


def test_the_audit_trail_tells_who_did_what_newest_first(lone_api: Api, admin: dict[str, str]) -> None:
    make(lone_api, admin)
    lone_api.anyone.delete("/keys/grafana", headers=admin)
    first = lone_api.anyone.get("/audit?limit=2", headers=admin).json()
    assert [(one["who"], one["action"], one["target"]) for one in first["entries"]] == [
        ("the admin", "key.revoked", "grafana"), ("the admin", "key.made", "grafana"),
    ]  # fmt: skip
    rest = lone_api.anyone.get(f"/audit?limit=2&cursor={first['next']}", headers=admin).json()
    assert [(one["who"], one["target"]) for one in rest["entries"]] == [("test", "the admin")]
    assert rest["next"] is None


def test_many_wrong_keys_are_soon_answered_429_and_a_known_one_goes_on(lone_api: Api) -> None:
    assert lone_api.client.get("/hosts").status_code == 200
    codes = [lone_api.anyone.get("/hosts", headers={"api-key": f"guess-{n}"}).status_code for n in range(TRIES + 2)]
    assert codes == [401] * TRIES + [429] * 2
    unused = issue_key(lone_api.store, "unused", ["read"], None, "test")
    refused = lone_api.anyone.get("/hosts", headers={"api-key": unused})
    assert (refused.status_code, int(refused.headers["retry-after"]) > 0) == (429, True)
    assert lone_api.anyone.post("/sessions", json={"key": unused}).status_code == 429
    assert lone_api.client.get("/hosts").status_code == 200


@contextlib.contextmanager
def session_of(api: Api, key: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=api.url) as client:
        assert client.post("/sessions", json={"key": key}).status_code == 200
        assert client.get("/hosts").status_code == 200
        yield client


def test_the_sessions_of_a_revoked_key_end_with_it(lone_api: Api, admin: dict[str, str]) -> None:
    with (
        session_of(lone_api, make(lone_api, admin).json()["key"]) as session,
        session_of(lone_api, make(lone_api, admin, name="another").json()["key"]) as other,
    ):
        assert lone_api.anyone.delete("/keys/grafana", headers=admin).status_code == 200
        assert session.get("/hosts").status_code == 401
        assert other.get("/hosts").status_code == 200


def test_a_session_lasts_no_longer_than_its_key(lone_api: Api, admin: dict[str, str]) -> None:
    with session_of(lone_api, make(lone_api, admin, expires="10d").json()["key"]) as session:
        digest = hash_secret(session.cookies[f"heimdall-{lone_api.settings.http_port}"])
    now = utc_now()
    assert lone_api.store.find_session(digest, now + timedelta(days=9)) is not None
    assert lone_api.store.find_session(digest, now + timedelta(days=11)) is None
