"""The agent over HTTP, against a small server: what is answered 200 leaves the spool, and nothing else does."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from agent_process import AgentProcess, failed_logins
from sqlite_file import opened
from waiting import wait_until

from agents.link_http import HttpLink
from core.clock import utc_now
from core.ids import uuid7
from core.messages import Event
from core.spool import Spool

Start = Callable[..., AgentProcess]


class Api(ThreadingHTTPServer):
    """Answers as the API does; `answer` may be replaced by a test."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests: list[tuple[str, dict[str, str], dict[str, Any]]] = []
        self.answer: Callable[[list[dict[str, Any]]], tuple[int, dict[str, Any], dict[str, str]]] = accept
        self.stored: list[dict[str, Any]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def beats(self) -> list[dict[str, str]]:
        return [headers for path, headers, _ in list(self.requests) if path == "/heartbeat"]


def accept(events: list[dict[str, Any]]) -> tuple[int, dict[str, Any], dict[str, str]]:
    return 200, {"success": True, "events_processed": len(events), "rejected": []}, {}


class Handler(BaseHTTPRequestHandler):
    server: Api

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.requests.append((self.path, headers, body))
        code, answer, more = (200, {"success": True}, {}) if self.path == "/heartbeat" else self.ingest(body["events"])
        text = json.dumps(answer).encode()
        self.send_response(code)
        for name, value in {"content-length": str(len(text)), **more}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(text)

    def ingest(self, events: list[dict[str, Any]]) -> tuple[int, dict[str, Any], dict[str, str]]:
        code, answer, more = self.server.answer(events)
        if code == 200:
            refused = {entry["index"] for entry in answer["rejected"]}
            self.server.stored += [event for index, event in enumerate(events) if index not in refused]
        return code, answer, more

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def api() -> Iterator[Api]:
    server = Api()
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def kept(tmp_path: Path, table: str) -> int:
    with opened(tmp_path / "home" / "spool" / "agent.db") as db:
        return int(db.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


def read(start_agent: Start, api: Api, tmp_path: Path, count: int) -> AgentProcess:
    sample = tmp_path / "sample.log"
    sample.write_text(failed_logins(count))
    return start_agent(
        None, "--read", str(sample), "--once", "--json", SIEM_API_URL=api.url, SIEM_API_KEY="key-of-eight"
    )  # fmt: skip


def test_events_and_beats_reach_the_api_with_their_headers(api: Api, start_agent: Start, tmp_path: Path) -> None:
    agent = read(start_agent, api, tmp_path, 2_500)
    assert agent.finish() == 0
    assert len({event["event_id"] for event in api.stored}) == 2_500
    assert kept(tmp_path, "spool") == 0
    headers = api.beats()[0]
    assert (headers["api-key"], headers["source-host"], headers["os-type"]) == ("key-of-eight", "web-01", "LINUX")


def test_a_running_agent_beats_over_http(api: Api, start_agent: Start, tmp_path: Path) -> None:
    agent = start_agent(None, "--interval", "1", SIEM_API_URL=api.url, SIEM_API_KEY="key-of-eight")
    wait_until(lambda: len(api.beats()) >= 3, "beats")
    assert agent.end() == 0


def test_503_is_tried_again_and_nothing_is_lost(api: Api, start_agent: Start, tmp_path: Path) -> None:
    refusals = iter(range(2))

    def busy(events: list[dict[str, Any]]) -> tuple[int, dict[str, Any], dict[str, str]]:
        if next(refusals, None) is not None:
            return 503, {"title": "broker away"}, {"retry-after": "1"}
        return accept(events)

    api.answer = busy
    agent = read(start_agent, api, tmp_path, 20)
    assert agent.finish() == 0
    assert len(api.stored) == 20
    assert "503 broker away" in agent.said()


def test_rejected_events_go_to_the_quarantine_with_their_reason(api: Api, start_agent: Start, tmp_path: Path) -> None:
    api.answer = lambda events: (200, {"rejected": [{"index": 3, "reason": "severity 9\x1b[31m"}]}, {})
    agent = read(start_agent, api, tmp_path, 10)
    assert agent.finish() == 1
    assert json.loads(agent.output)["sent"] is False
    assert (kept(tmp_path, "spool"), kept(tmp_path, "quarantine"), len(api.stored)) == (0, 1, 9)
    assert "severity 9" in agent.said()
    assert "\x1b" not in agent.said()


def test_one_event_that_no_request_may_hold_does_not_stop_its_neighbours(
    api: Api, start_agent: Start, tmp_path: Path
) -> None:
    def picky(events: list[dict[str, Any]]) -> tuple[int, dict[str, Any], dict[str, str]]:
        if any(" port 13 " in event["raw_message"] for event in events):
            return 422, {"detail": "unlucky"}, {}
        return accept(events)

    api.answer = picky
    agent = read(start_agent, api, tmp_path, 40)
    assert agent.finish() == 1
    assert (kept(tmp_path, "spool"), kept(tmp_path, "quarantine"), len(api.stored)) == (0, 1, 39)
    assert "unlucky" in agent.said()


def test_a_wrong_key_is_said_and_keeps_everything(api: Api, start_agent: Start, tmp_path: Path) -> None:
    api.answer = lambda events: (401, {"detail": "unknown key"}, {})
    agent = read(start_agent, api, tmp_path, 5)
    wait_until(lambda: "check SIEM_API_KEY" in agent.said(), "a clear line")
    assert "key-of-eight" not in agent.said()
    assert agent.end() == 130
    assert kept(tmp_path, "spool") == 5


def test_a_redirect_is_not_followed_with_the_key(api: Api, start_agent: Start, tmp_path: Path) -> None:
    api.answer = lambda events: (302, {}, {"location": f"{api.url}/elsewhere"})
    agent = read(start_agent, api, tmp_path, 5)
    wait_until(lambda: "answered 302" in agent.said(), "it is said")
    agent.end()
    assert {path for path, _, _ in api.requests} <= {"/ingest", "/heartbeat"}


def test_an_answer_deletes_nothing_from_a_spool_that_was_made_meanwhile(api: Api, tmp_path: Path) -> None:
    made = [Event(uuid7(), utc_now(), "web-01", "LINUX", "LOGIN_FAIL", 3, text) for text in ("old", "new")]
    old, new = Spool(tmp_path / "old.db"), Spool(tmp_path / "new.db")
    old.append(made[:1])
    link = HttpLink("web-01", "LINUX", api.url, "key-of-eight", old)

    def replace(events: list[dict[str, Any]]) -> tuple[int, dict[str, Any], dict[str, str]]:
        if events[0]["raw_message"] == "old":
            new.append(made[1:])
            link.use_spool(new)
        return accept(events)

    api.answer = replace
    link.start()
    wait_until(lambda: len(old) == len(new) == 0, "both spools are empty")
    link.stop()
    assert [event["raw_message"] for event in api.stored] == ["old", "new"]
