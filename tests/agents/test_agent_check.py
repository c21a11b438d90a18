"""`heimdall agent --check`: what it says of a home, a broker, an API and a clock, and that it disturbs nobody."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from agent_process import AgentProcess, Receiver, failed_logins
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from plain_mosquitto import Broker
from waiting import wait_until

from agents.reach import compare_clocks
from broker import certificates
from core.clock import utc_now
from core.home import Home, write_secret
from core.ids import uuid7
from core.messages import Event
from core.spool import Spool

Start = Callable[..., AgentProcess]


class Api(ThreadingHTTPServer):
    """Says another time than this machine's, and whether it knows the key."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.ahead = timedelta()
        self.bodies: list[Any] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Api

    def do_GET(self) -> None:
        self.answer(200 if self.path == "/livez" else 404, {"status": "ok"})

    def do_POST(self) -> None:
        self.server.bodies.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
        known = self.headers["api-key"] == "the-right-key"
        self.answer(200 if known else 401, {"detail": "" if known else "this key is \x1b[31munknown"})

    def date_time_string(self, timestamp: float | None = None) -> str:
        return format_datetime(utc_now() + self.server.ahead, usegmt=True)

    def answer(self, status: int, content: dict[str, str]) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def api() -> Iterator[Api]:
    with Api() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "auth.log"
    path.write_text(failed_logins(1))
    return path


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home that is enrolled as web-01."""
    made = Home(tmp_path / "home")
    made.prepare()
    write_secret(made.credential_path("agent"), "web-01:secret\n")
    return made


def findings(agent: AgentProcess, code: int) -> dict[str, dict[str, str]]:
    """What `--check --json` found, by what it is about."""
    assert agent.finish() == code, agent.said()
    told = json.loads(agent.output)
    assert told["ok"] is (code == 0)
    return {finding["about"]: finding for finding in told["findings"]}


def levels(found: dict[str, dict[str, str]]) -> dict[str, str]:
    return {about: finding["level"] for about, finding in found.items()}


def enrolled_at(home: Home, broker: Broker, api: Api) -> None:
    home.write_server({"broker": f"mqtt://127.0.0.1:{broker.port}", "token": "x", "api": api.url})


@pytest.mark.mosquitto
def test_a_host_that_is_well_is_told_so_and_the_broker_hears_nothing_of_it(
    broker: Broker, receiver: Receiver, start_agent: Start, home: Home, api: Api, log: Path
) -> None:
    enrolled_at(home, broker, api)
    agent = start_agent(None, "--check")
    assert agent.finish() == 0, agent.output
    lines = agent.output.decode().splitlines()
    assert all(line.startswith(("ok ", "warn")) for line in lines)
    said = "\n".join(lines)
    assert f"ok    {log}: can be read, its newest entry is of 20" in said
    assert "warn  agent: none of" in said
    assert f"enrolled as web-01 at {api.url}" in said
    assert f"ok    login: mqtt://127.0.0.1:{broker.port} as web-01 answers" in said
    assert "ok    clock: right" in said
    assert "secret" not in said.replace("secrets:", "")
    assert receiver.messages == []


def test_a_home_where_nothing_is_is_not_made(start_agent: Start, tmp_path: Path) -> None:
    found = findings(start_agent(None, "--check", "--json"), 1)
    assert found[str(tmp_path / "auth.log")]["text"] == "cannot be read: No such file or directory"
    assert levels(found) == {
        "the systemd journal": "fail", str(tmp_path / "auth.log"): "fail", "agent": "warn", "enrolment": "fail",
        "broker": "warn", "clock": "ok", "disk": "ok",
    }  # fmt: skip
    assert "heimdall enroll" in found["enrolment"]["advice"]
    assert not (tmp_path / "home").exists()


@pytest.mark.mosquitto
def test_the_running_agent_keeps_its_session(
    broker: Broker, receiver: Receiver, start_agent: Start, home: Home, api: Api, log: Path
) -> None:
    enrolled_at(home, broker, api)
    agent = start_agent(None)
    wait_until(lambda: receiver.of("status"), "a birth")
    found = findings(start_agent(None, "--check", "--json"), 0)
    assert found["agent"]["text"].endswith("runs")
    assert found["login"]["text"].startswith("not tried")
    assert found["broker"]["level"] == "ok"
    assert agent.end() == 0
    assert agent.said().count("connected to") == 1
    assert [status["state"] for status in receiver.bodies("status")] == ["online", "offline"]


def session(port: int, expiry_seconds: int) -> tuple[Client, list[bool], list[bytes]]:
    """A client of the host's name, whether it found a session, and what it gets."""
    client = Client(CallbackAPIVersion.VERSION2, client_id="web-01", protocol=MQTTProtocolVersion.MQTTv5)
    present: list[bool] = []
    got: list[bytes] = []
    client.on_connect = lambda _client, _data, flags, *_: present.append(flags.session_present)
    client.on_message = lambda _client, _data, message: got.append(message.payload)
    properties = Properties(PacketTypes.CONNECT)
    properties.SessionExpiryInterval = expiry_seconds
    client.connect("127.0.0.1", port, clean_start=False, properties=properties)
    client.loop_start()
    wait_until(lambda: present, "CONNACK")
    return client, present, got


def leave(client: Client) -> None:
    client.disconnect()
    client.loop_stop()


@pytest.mark.mosquitto
def test_what_waits_for_the_host_waits_on_and_no_session_is_left_behind(
    broker: Broker, receiver: Receiver, start_agent: Start, home: Home, api: Api, log: Path
) -> None:
    enrolled_at(home, broker, api)
    assert findings(start_agent(None, "--check", "--json"), 0)["login"]["level"] == "ok"
    client, present, _ = session(broker.port, 3_600)
    assert present == [False], "a session that the check has left"
    subscribed: list[int] = []
    client.on_subscribe = lambda *_: subscribed.append(1)
    client.subscribe("waiting", qos=1)
    wait_until(lambda: subscribed, "SUBACK")
    leave(client)
    receiver.client.publish("waiting", b"for you", 1).wait_for_publish(30)
    assert findings(start_agent(None, "--check", "--json"), 0)["login"]["level"] == "ok"
    client, present, got = session(broker.port, 0)
    assert present == [True]
    wait_until(lambda: got == [b"for you"], "what was waiting")
    leave(client)


@pytest.mark.mosquitto
def test_a_login_that_the_broker_does_not_take_is_a_fault(
    make_broker: Callable[[str], Broker], start_agent: Start, home: Home, api: Api, log: Path, tmp_path: Path
) -> None:
    passwords = tmp_path / "passwords"
    passwords.touch(0o600)
    closed = make_broker(f"password_file {passwords}")
    closed.config.write_text(closed.config.read_text().replace("allow_anonymous true", "allow_anonymous false"))
    closed.start()
    enrolled_at(home, closed, api)
    found = findings(start_agent(None, "--check", "--json"), 1)
    assert (found["broker"]["level"], found["login"]["level"]) == ("ok", "fail")
    assert "0x87" in found["login"]["text"]
    assert "--replace" in found["login"]["advice"]


@pytest.mark.mosquitto
def test_a_broker_that_cannot_prove_itself_is_a_fault(
    make_broker: Callable[[str], Broker], start_agent: Start, home: Home, log: Path, tmp_path: Path
) -> None:
    known, other = Home(tmp_path / "known"), Home(tmp_path / "other")
    for server in (known, other):
        certificates.init(server, ["127.0.0.1"])
    broker = make_broker("")
    broker.config.write_text(
        f"listener {broker.port} 127.0.0.1\nallow_anonymous true\nuser root\n"
        f"certfile {known.tls}/server.pem\nkeyfile {known.tls}/server.pem\n"
    )
    broker.start()
    url = f"mqtts://127.0.0.1:{broker.port}"
    shutil.copy(known.tls / "ca.pem", home.trusted)
    found = findings(start_agent(None, "--check", "--json", HEIMDALL_BROKER_URL=url), 0)
    assert (found["broker"]["level"], found["login"]["level"]) == ("ok", "ok")
    shutil.copy(other.tls / "ca.pem", home.trusted)
    found = findings(start_agent(None, "--check", "--json", HEIMDALL_BROKER_URL=url), 1)
    assert "certificate verify failed" in found["broker"]["text"]
    assert "clocks" in found["broker"]["advice"]
    assert "login" not in found, "a secret is not sent to a stranger"


def test_over_http_the_key_is_tried_with_no_events(start_agent: Start, api: Api, log: Path) -> None:
    found = findings(start_agent(None, "--check", "--json", SIEM_API_URL=api.url, SIEM_API_KEY="the-right-key"), 0)
    assert (found["API"]["level"], found["clock"]["level"]) == ("ok", "ok")
    found = findings(start_agent(None, "--check", "--json", SIEM_API_URL=api.url, SIEM_API_KEY="another-key"), 1)
    assert "401 this key is \\x1b[31munknown" in found["API"]["text"]
    assert api.bodies == [{"events": []}] * 2


@pytest.mark.parametrize(("ahead", "said"), [(3_600, "behind"), (-40, "ahead of")])
def test_a_clock_that_is_wrong_is_a_warning(start_agent: Start, api: Api, log: Path, ahead: int, said: str) -> None:
    api.ahead = timedelta(seconds=ahead)
    off = compare_clocks(api.url, None).total_seconds()
    assert abs(off + ahead) < 5
    found = findings(start_agent(None, "--check", "--json", SIEM_API_URL=api.url, SIEM_API_KEY="the-right-key"), 0)
    assert found["clock"]["level"] == "warn"
    assert found["clock"]["text"].endswith(f" s {said} the server's")
    assert "set it" in found["clock"]["advice"]


def test_secrets_that_others_may_read_are_a_fault(start_agent: Start, home: Home, log: Path) -> None:
    home.credential_path("agent").chmod(0o644)
    home.agent_spool.parent.chmod(0o755)
    found = findings(start_agent(None, "--check", "--json"), 1)
    assert "chmod 600" in found["enrolment"]["text"]
    agent = start_agent(None, "--check")
    assert agent.finish() == 1
    said = agent.output.decode()
    assert f"fail  secrets: others may read {home.credential_path('agent')}; chmod go=" in said
    assert f"warn  secrets: others may read {home.agent_spool.parent}; chmod go=" in said


def test_events_that_wait_and_that_were_refused_are_counted(start_agent: Start, home: Home, log: Path) -> None:
    spool = Spool(home.agent_spool)
    events = [Event(uuid7(), utc_now(), "web-01", "LINUX", "LOGIN_FAIL", 3, "x") for _ in range(12)]
    spool.append(events)
    spool.quarantine(1, 12, {str(events[0].event_id): "too odd"})
    spool.close()
    agent = start_agent(None, "--check")
    agent.finish()
    said = agent.output.decode()
    assert "ok    spool: 11 events wait, it is 0% full" in said
    assert "warn  spool: 1 events were refused" in said


def test_a_home_that_cannot_be_looked_into_is_said(start_agent: Start, log: Path, tmp_path: Path) -> None:
    (tmp_path / "home").symlink_to(tmp_path / "home")  # for root too
    found = findings(start_agent(None, "--check", "--json"), 1)
    assert "cannot be read" in found["enrolment"]["text"]
    assert "run this as the user" in found["enrolment"]["advice"]
