"""`GET /dead`: what was refused, and why."""

from __future__ import annotations

from typing import Any

import pytest
from api_parts import Api

from api.auth import hash_secret
from core.clock import utc_now
from store import DeadLetter, WriteBatch


@pytest.fixture
def operated(lone_api: Api) -> Api:
    lone_api.store.add_key(hash_secret("operator"), "eva", ["read", "operate"])
    return lone_api


def refuse(api: Api, *payloads: bytes) -> None:
    topic = "heimdall/v1/hosts/web-01/events"
    letters = [DeadLetter(topic, "web-01", f"no {place}", one, len(one)) for place, one in enumerate(payloads)]
    api.store.write(WriteBatch([], utc_now(), dead=letters))


def read(api: Api, **query: Any) -> Any:
    answer = api.anyone.get("/dead", params=query, headers={"api-key": "operator"})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_what_was_refused_last_comes_first_and_says_why(operated: Api) -> None:
    refuse(operated, b"one", b"two")
    first, second = read(operated)["dead"]
    assert (first["payload"], first["reason"], first["size"], first["cut"]) == ("two", "no 1", 3, False)
    assert (second["payload"], second["source_host"]) == ("one", "web-01")


def test_pages_join_without_loss_or_repetition(operated: Api) -> None:
    refuse(operated, *(b"%d" % number for number in range(25)))
    seen: list[str] = []
    cursor = None
    while True:
        page = read(operated, limit=10, **({} if cursor is None else {"cursor": cursor}))
        seen += [one["payload"] for one in page["dead"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert seen == [str(number) for number in reversed(range(25))]


def test_what_is_no_text_is_shown_as_far_as_it_is_one(operated: Api) -> None:
    refuse(operated, b'\xff{\x00"user"', b"")
    assert [one["payload"] for one in read(operated)["dead"]] == ["", '\N{REPLACEMENT CHARACTER}{\0"user"']


def test_a_long_payload_is_cut_between_characters_and_says_so(operated: Api) -> None:
    refuse(operated, b"x" + "ä".encode() * 40_000)
    (told,) = read(operated)["dead"]
    assert told["payload"] == "x" + "ä" * 2_047
    assert (told["cut"], told["size"]) == (True, 80_001)


def test_who_may_only_read_may_not_see_it(operated: Api) -> None:
    assert operated.client.get("/dead").status_code == 403
    assert operated.anyone.get("/dead").status_code == 401


def test_a_cursor_that_is_none_of_ours_is_refused(operated: Api) -> None:
    answer = operated.anyone.get("/dead?cursor=x", headers={"api-key": "operator"})
    assert answer.status_code == 422
