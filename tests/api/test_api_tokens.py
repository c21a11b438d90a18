"""Tokens over HTTP: made by administrators, told once, and as `heimdall enroll` makes them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx
import pytest
from api_parts import Api
from nacl.public import PrivateKey

from agents.kinds import KINDS as AGENT_KINDS
from api.auth import hash_secret, issue_key
from api.enrol_line import KINDS
from core.clock import parse_time, utc_now
from core.token import read_token


@pytest.fixture
def admin(lone_api: Api) -> dict[str, str]:
    lone_api.store.publish_keeper_key(bytes(PrivateKey.generate().public_key))
    return {"api-key": issue_key(lone_api.store, "the admin", ["admin"], None, "test")}


def make(api: Api, admin: dict[str, str], **wanted: Any) -> httpx.Response:
    return api.anyone.post("/tokens", headers=admin, json={"host": "web-01", **wanted})


def lets_in(api: Api, token: str, host: str) -> bool:
    secret = read_token(token).secret
    return api.store.use_token(hash_secret(secret), host, f"secret of {host}", b"sealed", utc_now()) is not None


@pytest.mark.parametrize("scopes", [["agent", "read"], ["operate"]])
def test_tokens_are_made_by_administrators_alone(lone_api: Api, scopes: list[str]) -> None:
    less = {"api-key": issue_key(lone_api.store, "less", scopes, None, "test")}
    assert make(lone_api, less).status_code == 403
    assert make(lone_api, {}).status_code == 401
    assert all(entry.action != "token.made" for entry in lone_api.store.audit(10))


def test_a_token_lets_its_host_in_and_stands_in_its_line(lone_api: Api, admin: dict[str, str]) -> None:
    made = make(lone_api, admin)
    assert made.status_code == 201
    told = made.json()
    assert told["host"] == "web-01"
    assert told["token"] in told["command"]
    assert told["command"].endswith(
        "| sudo python3 heimdall-agent.pyz install --kind linux --host web-01 --enroll -"
    )  # fmt: skip
    assert timedelta(minutes=59) < parse_time(told["expires_at"]) - utc_now() < timedelta(minutes=61)
    assert read_token(told["token"]).url == lone_api.settings.api_address
    assert lets_in(lone_api, told["token"], "web-01")


def test_who_made_it_is_in_the_audit_trail_and_the_token_is_not(lone_api: Api, admin: dict[str, str]) -> None:
    token = make(lone_api, admin).json()["token"]
    trail = lone_api.anyone.get("/audit", headers=admin)
    newest = trail.json()["entries"][0]
    assert (newest["who"], newest["action"], newest["target"]) == ("the admin", "token.made", "web-01")
    assert len({entry["id"] for entry in trail.json()["entries"]}) == len(trail.json()["entries"])
    assert token not in trail.text
    assert read_token(token).secret not in trail.text


def test_a_token_for_many_is_not_in_the_line_that_they_share(lone_api: Api, admin: dict[str, str]) -> None:
    told = make(lone_api, admin, host="web-*", uses=2, **{"for": "2d"}).json()
    assert told["token"] not in told["command"]
    assert told["command"].endswith("--enroll - < TOKEN-FILE")
    assert timedelta(hours=47) < parse_time(told["expires_at"]) - utc_now() < timedelta(hours=49)
    assert lets_in(lone_api, told["token"], "web-01")
    assert lets_in(lone_api, told["token"], "web-02")


def test_each_kind_of_host_has_a_line_of_its_own(lone_api: Api, admin: dict[str, str]) -> None:
    assert set(KINDS) == set(AGENT_KINDS)
    for kind in KINDS:
        line = make(lone_api, admin, kind=kind).json()["command"]
        assert f"--kind {kind} --host web-01" in line
        assert line.startswith('py -c "' if kind == "windows" else 'python3 -c "')


def test_a_name_that_is_alive_is_given_away_only_when_that_is_said(lone_api: Api, admin: dict[str, str]) -> None:
    lone_api.store.record_heartbeat("web-01", "LINUX", utc_now())
    refused = make(lone_api, admin)
    assert refused.status_code == 409
    assert "alive" in refused.json()["detail"]
    assert make(lone_api, admin, replace=True).status_code == 201


def test_the_host_goes_to_the_address_that_it_is_told(lone_api: Api, admin: dict[str, str]) -> None:
    told = make(lone_api, admin, url="https://heimdall.lan:8010/").json()
    assert read_token(told["token"]).url == "https://heimdall.lan:8010"
    assert "urlopen('https://heimdall.lan:8010/agent.pyz'" in told["command"]


@pytest.mark.parametrize(
    "wanted",
    [
        {"host": "web 01"}, {"host": "web-*"}, {"host": 5}, {"host": "$(reboot)"}, {"host": "a'b", "uses": 2},
        {"uses": 0}, {"uses": 100_001}, {"uses": True}, {"uses": "2"}, {"kind": "LINUX"}, {"kind": "bsd"}, {"kind": 5},
        {"for": "8d"}, {"for": "soon"}, {"for": 5}, {"for": "0h"}, {"replace": "yes"}, {"url": "http://x;reboot"},
        {"url": "ftp://x"}, {"url": ""}, {"url": "http://'\"`$x"}, {"usse": 5},
    ],
)  # fmt: skip
def test_what_fits_no_token_is_422_and_makes_none(lone_api: Api, admin: dict[str, str], wanted: dict[str, Any]) -> None:
    assert make(lone_api, admin, **wanted).status_code == 422
    assert all(entry.action != "token.made" for entry in lone_api.store.audit(10))


def test_without_a_keeper_nobody_could_come_in_so_no_token_is_made(lone_api: Api) -> None:
    admin = {"api-key": issue_key(lone_api.store, "the admin", ["admin"], None, "test")}
    refused = make(lone_api, admin)
    assert refused.status_code == 503
    assert "keeper" in refused.json()["detail"]
