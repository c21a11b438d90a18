"""Channels of our own: what programs are told, and that it is we who say it."""

from __future__ import annotations

import hmac
import json

import pytest
from http_service import http_service

from watch.channels import Told, find_channel, webhook

MADE_AT = "2026-11-20T12:00:00.000000Z"


def told(url: str, **more: bool) -> Told:
    title = "web-01 is offline: nothing is heard of it"
    return Told(url, 7, "ops", "opened", title, "since … \u2028", "an-incident", MADE_AT, "failure", **more)


def test_a_program_is_told_with_an_id_and_a_signature_that_only_who_has_the_secret_can_make() -> None:
    with http_service() as (port, asked):
        url = f"webhook+http://:a%2Fsecret@127.0.0.1:{port}/hook?x=1"
        assert webhook.deliver(told(url, allow_private=True)) == ""
    [(_, path, headers, body)] = asked
    assert path == "/hook?x=1"
    assert headers["Heimdall-Signature"] == f"sha256={hmac.digest(b'a/secret', body, 'sha256').hex()}"
    assert headers["Content-Type"] == "application/json"
    assert json.loads(body) == {
        "id": 7, "channel": "ops", "kind": "opened", "title": "web-01 is offline: nothing is heard of it",
        "body": "since … \u2028", "incident": "an-incident", "made_at": MADE_AT,
    }  # fmt: skip
    assert b"secret" not in body


def test_without_a_secret_nothing_is_signed_and_a_refusal_is_told() -> None:
    with http_service(503) as (port, asked):
        assert webhook.deliver(told(f"webhook+http://127.0.0.1:{port}/", allow_private=True)) == "127.0.0.1 answers 503"
        assert "Heimdall-Signature" not in asked[0].headers
        assert "lies inside the network" in webhook.deliver(told(f"webhook+http://127.0.0.1:{port}/"))
        assert len(asked) == 1


@pytest.mark.parametrize("url", ["webhook+https://", "webhook+http://[", "webhook+https://h:99999/"])
def test_an_address_that_is_none_is_an_error_and_repeats_no_secret(url: str) -> None:
    assert "use an address" in webhook.deliver(told(url))


def test_a_channel_is_found_by_its_scheme_and_all_others_are_not_ours() -> None:
    assert find_channel("webhook+https://h/") is find_channel("WEBHOOK+http://h/") is webhook
    assert find_channel("json://h/") is None
    assert find_channel("webhook") is None
