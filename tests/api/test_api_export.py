"""Events as NDJSON and CSV: all of them, streamed, and nothing that a spreadsheet computes."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from api_parts import Api

from api import export
from core.clock import utc_now
from core.ids import uuid7
from core.messages import Event
from store import WriteBatch

HOSTILE = [
    "=1+1|cmd",
    "+1",
    "-1",
    "@SUM(A1)",
    "\t=1",
    'a "quoted", text',
    "two\nlines",
    "<script>alert(1)</script>",
    "ü",
]


def store_messages(api: Api, messages: list[str]) -> None:
    now = utc_now()
    api.store.write(
        WriteBatch([Event(uuid7(), now, "web-01", "LINUX", "LOGIN_FAIL", 3, message) for message in messages], now)
    )


def test_ndjson_has_every_event_that_fits_a_line_each(lone_api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "PAGE_EVENTS", 7)
    store_messages(lone_api, [f"number {n}" for n in range(100)])
    answer = lone_api.client.get("/events?format=ndjson&q=number&limit=3")
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert answer.headers["content-disposition"] == 'attachment; filename="events.ndjson"'
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert [line["raw_message"] for line in lines] == [f"number {n}" for n in range(99, -1, -1)]
    assert lines == lone_api.client.get("/events?limit=1000").json()["events"]


def test_csv_is_read_back_as_it_was_but_for_formulas(lone_api: Api) -> None:
    store_messages(lone_api, HOSTILE)
    answer = lone_api.client.get("/events", headers={"accept": "text/csv"})
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(answer.text, newline="")))
    assert [row["raw_message"] for row in reversed(rows)] == [
        f"'{text}" if text[0] in "=+-@\t" else text for text in HOSTILE
    ]
    assert not any(value.startswith(("=", "+", "-", "@", "\t", "\r")) for row in rows for value in row.values())


def test_nothing_that_fits_is_an_empty_answer(lone_api: Api) -> None:
    assert lone_api.client.get("/events?format=ndjson").text == ""
    assert lone_api.client.get("/events?format=csv").text.splitlines() == [
        "event_id,timestamp,source_host,os_type,event_type,severity,source_ip,user,raw_message,created_at"
    ]


def test_what_is_stored_meanwhile_is_not_in_it(lone_api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "PAGE_EVENTS", 10)
    store_messages(lone_api, [f"old {n}" for n in range(2_000)])
    with lone_api.client.stream("GET", "/events?format=ndjson") as answer:
        lines = answer.iter_lines()
        first = json.loads(next(lines))
        store_messages(lone_api, ["new"])
        rest = [json.loads(line)["raw_message"] for line in lines]
    assert [first["raw_message"], *rest] == [f"old {n}" for n in range(1_999, -1, -1)]


def test_a_database_that_is_away_is_told_by_a_status(lone_api: Api, tmp_path: Path) -> None:
    store_messages(lone_api, ["one"])
    with lone_api.store.database.writing() as connection:
        connection.exec_driver_sql("ALTER TABLE logs RENAME TO hidden")
    answer = lone_api.client.get("/events?format=csv")
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("query", ["format=xml", "format=", "format=ndjson&cursor=x", "format=csv&severity_gte=9"])
def test_what_cannot_be_exported_is_refused_before_anything_is_sent(lone_api: Api, query: str) -> None:
    assert lone_api.client.get(f"/events?{query}").status_code == 422
