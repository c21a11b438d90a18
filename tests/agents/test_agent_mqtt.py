"""The agent over a real Mosquitto: births, beats, receipts, and what is broken meanwhile."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from agent_process import AgentProcess, Receiver, failed_logins
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from plain_mosquitto import Broker
from sqlite_file import opened
from waiting import wait_until

from core.clock import parse_time

pytestmark = pytest.mark.mosquitto
Start = Callable[..., AgentProcess]


def spooled(tmp_path: Path) -> int:
    with opened(tmp_path / "home" / "spool" / "agent.db") as db:
        return int(db.execute("SELECT count(*) FROM spool").fetchone()[0])


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "auth.log"
    path.write_text("Nov 23 06:00:00 web-01 sshd[1]: Server listening on 0.0.0.0 port 22.\n")
    return path


def append(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


def test_a_failed_login_is_an_event_and_its_receipt_empties_the_spool(
    broker: Broker, receiver: Receiver, start_agent: Start, log: Path, tmp_path: Path
) -> None:
    agent = start_agent(broker.port)
    wait_until(lambda: "first start" in agent.said(), "the agent reads the log")
    append(log, failed_logins(3))
    wait_until(lambda: len(receiver.events()) == 3, "three events")
    first = receiver.events()[0]
    assert (first["event_type"], first["severity"], first["user"], first["source_ip"]) == (
        "LOGIN_FAIL", 3, "root", "192.0.2.7",
    )  # fmt: skip
    assert (first["source_host"], first["os_type"]) == ("web-01", "LINUX")
    assert first["raw_message"] == failed_logins(1).rstrip("\n")
    wait_until(lambda: spooled(tmp_path) == 0, "the receipts delete")
    message = receiver.of("events")[0]
    assert message.properties.ContentType == "application/json"
    assert message.properties.ResponseTopic == "heimdall/v1/hosts/web-01/receipt"
    assert len(message.properties.CorrelationData) == 32
    assert agent.end() == 0


def test_birth_info_beats_and_goodbye_are_as_the_contract_says(
    broker: Broker, receiver: Receiver, start_agent: Start, log: Path
) -> None:
    agent = start_agent(broker.port, "--interval", "1")
    wait_until(lambda: len(receiver.of("heartbeat")) >= 3, "three beats")
    assert agent.end() == 0
    wait_until(lambda: len(receiver.of("status")) == 2, "birth and goodbye")
    birth, goodbye = receiver.bodies("status")
    assert (birth["state"], birth["reason"]) == ("online", "start")
    assert (goodbye["state"], goodbye["reason"]) == ("offline", "stop")
    assert birth["session"] == goodbye["session"]
    beats = receiver.bodies("heartbeat")
    assert [beat["seq"] for beat in beats[:3]] == [0, 1, 2]
    assert len({beat["boot"] for beat in beats}) == 1
    assert beats[0]["interval_s"] == 1
    assert beats[0]["spool"] == 0
    assert parse_time(beats[0]["sent_at"])
    assert receiver.of("heartbeat")[0].properties.MessageExpiryInterval in (1, 2)
    info = receiver.bodies("info")[0]
    assert info["boot"] == beats[0]["boot"]
    assert info["os_type"] == "LINUX"
    assert info["architecture"]


def test_status_and_info_are_retained(broker: Broker, start_agent: Start, log: Path) -> None:
    agent = start_agent(broker.port)
    wait_until(lambda: "connected" in agent.said(), "connected")
    agent.end()
    late = Receiver(broker.port)
    wait_until(lambda: late.of("status") and late.of("info"), "both are retained")
    assert all(message.retain for message in late.messages)
    assert late.bodies("status")[0]["state"] == "offline"
    late.close()


def test_the_will_of_a_killed_agent_has_the_session_of_its_birth(
    broker: Broker, receiver: Receiver, start_agent: Start, log: Path
) -> None:
    agent = start_agent(broker.port)
    wait_until(lambda: receiver.of("status"), "a birth")
    agent.end(signal.SIGKILL)
    wait_until(lambda: len(receiver.of("status")) == 2, "a will")
    birth, will = receiver.bodies("status")
    assert (will["state"], will["reason"]) == ("offline", "lost")
    assert will["session"] == birth["session"]


def test_what_has_no_receipt_survives_a_kill_and_goes_out_again_with_the_same_ids(
    broker: Broker, receiver: Receiver, start_agent: Start, log: Path, tmp_path: Path
) -> None:
    receiver.answers = False
    agent = start_agent(broker.port)
    wait_until(lambda: "first start" in agent.said(), "the agent reads the log")
    append(log, failed_logins(50))
    wait_until(lambda: len(receiver.ids()) == 50, "all are published")
    agent.end(signal.SIGKILL)
    assert spooled(tmp_path) == 50
    before = receiver.ids()
    receiver.answers = True
    append(log, failed_logins(5, first=100))
    agent = start_agent(broker.port)
    wait_until(lambda: len(receiver.ids()) == 55, "what was written meanwhile comes too")
    assert before < receiver.ids()
    wait_until(lambda: spooled(tmp_path) == 0, "the spool is empty")
    assert len({event["raw_message"] for event in receiver.events()}) == 55


def test_a_killed_broker_loses_nothing(
    broker: Broker, receiver: Receiver, start_agent: Start, log: Path, tmp_path: Path
) -> None:
    agent = start_agent(broker.port, "--interval", "1")
    wait_until(lambda: "first start" in agent.said(), "the agent reads the log")
    for round_number in range(3):
        append(log, failed_logins(200, first=1_000 * (round_number + 1)))
        broker.kill()
        append(log, failed_logins(200, first=1_000 * (round_number + 1) + 500))
        broker.start()
        expected = 400 * (round_number + 1)
        wait_until(lambda count=expected: len(receiver.ids()) == count, "every event", 60)
    wait_until(lambda: spooled(tmp_path) == 0, "the spool is empty", 60)
    assert len({status["session"] for status in receiver.bodies("status")}) >= 3
    sequence = [beat["seq"] for beat in receiver.bodies("heartbeat")]
    assert sequence == sorted(set(sequence)), "a beat that waited while there was no connection"
    assert agent.end() == 0


def test_nobody_subscribed_is_not_delivered(broker: Broker, start_agent: Start, log: Path, tmp_path: Path) -> None:
    agent = start_agent(broker.port)
    wait_until(lambda: "first start" in agent.said(), "the agent reads the log")
    append(log, failed_logins(3))
    wait_until(lambda: spooled(tmp_path) == 3, "spooled")
    late = Receiver(broker.port)
    wait_until(lambda: len(late.ids()) == 3, "sent again once somebody listens", 40)
    wait_until(lambda: spooled(tmp_path) == 0, "the receipts delete")
    late.close()
    agent.end()


def test_a_receipt_of_another_spool_deletes_nothing(
    broker: Broker, receiver: Receiver, start_agent: Start, log: Path, tmp_path: Path
) -> None:
    receiver.answers = False
    agent = start_agent(broker.port, "--interval", "1")
    wait_until(lambda: "first start" in agent.said(), "the agent reads the log")
    append(log, failed_logins(3))
    wait_until(lambda: receiver.of("events"), "published")
    message = receiver.of("events")[0]
    real = message.properties.CorrelationData
    for wrong in (b"\0" * 16 + real[16:], b"", real + b"x"):
        message.properties.CorrelationData = wrong
        receiver.answer(message)
    beats = len(receiver.of("heartbeat"))
    wait_until(lambda: len(receiver.of("heartbeat")) > beats + 1, "the agent lives on")
    assert spooled(tmp_path) == 3
    message.properties.CorrelationData = real
    receiver.answer(message)
    wait_until(lambda: spooled(tmp_path) == 0, "its own receipt deletes")
    agent.end()


def test_a_second_agent_of_the_same_home_is_refused(
    broker: Broker, receiver: Receiver, start_agent: Start, log: Path
) -> None:
    first = start_agent(broker.port)
    wait_until(lambda: "connected" in first.said(), "connected")
    second = start_agent(broker.port)
    assert second.finish() == 1
    assert f"in use by process {first.process.pid}" in second.said()


def test_an_event_that_the_broker_is_too_small_for_is_set_aside_and_the_next_goes_through(
    make_broker: Callable[[str], Broker], tmp_path: Path, start_agent: Start, log: Path
) -> None:
    small = make_broker("max_packet_size 3000")
    small.start()
    receiver = Receiver(small.port)
    agent = start_agent(small.port)
    wait_until(lambda: "first start" in agent.said(), "the agent reads the log")
    long_name = "x" * 4_000
    append(log, f"Nov 23 06:55:01 web-01 sshd[5]: Failed password for {long_name} from 192.0.2.7 port 5 ssh2\n")
    append(log, failed_logins(2))
    wait_until(lambda: len(receiver.ids()) == 2, "its neighbours")
    wait_until(lambda: spooled(tmp_path) == 0, "the spool is empty")
    with opened(tmp_path / "home" / "spool" / "agent.db") as db:
        reason = db.execute("SELECT reason FROM quarantine").fetchone()[0]
    assert "more than the broker's limit" in reason
    agent.end()
    receiver.close()


def test_refused_credentials_are_said_clearly_and_tried_again(
    make_broker: Callable[[str], Broker], tmp_path: Path, start_agent: Start, log: Path
) -> None:
    passwords = tmp_path / "passwords"
    passwords.write_text("")
    passwords.chmod(0o600)
    closed = make_broker(f"password_file {passwords}")
    closed.config.write_text(closed.config.read_text().replace("allow_anonymous true", "allow_anonymous false"))
    closed.start()
    agent = start_agent(closed.port)
    wait_until(lambda: "does not take the credentials" in agent.said(), "a clear line")
    assert "secret" not in agent.said()
    assert agent.process.poll() is None
    assert agent.end() == 0


def test_nothing_readable_is_said_once_and_the_agent_beats_on(
    broker: Broker, receiver: Receiver, start_agent: Start
) -> None:
    agent = start_agent(broker.port, "--interval", "1")
    wait_until(lambda: len(receiver.of("heartbeat")) >= 3, "beats")
    assert agent.said().count("only heartbeats are sent") == 1
    assert agent.end(signal.SIGINT) == 130


def test_a_damaged_spool_is_moved_aside_and_told(
    broker: Broker, receiver: Receiver, start_agent: Start, log: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "home" / "spool"
    folder.mkdir(parents=True)
    (folder / "agent.db").write_bytes(b"this is no database " * 500)
    agent = start_agent(broker.port)
    wait_until(receiver.events, "an event of its own")
    assert receiver.events()[0]["event_type"] == "SYSTEM_ALERT"
    assert "damaged" in receiver.events()[0]["raw_message"]
    assert [path.name for path in folder.iterdir() if ".damaged-" in path.name]
    append(log, failed_logins(2))
    wait_until(lambda: len(receiver.ids()) == 3, "the work goes on")
    assert agent.end() == 0


def test_a_stranger_with_the_same_name_makes_no_storm(
    broker: Broker, receiver: Receiver, start_agent: Start, log: Path
) -> None:
    agent = start_agent(broker.port)
    wait_until(lambda: receiver.of("status"), "a birth")
    thief = Client(CallbackAPIVersion.VERSION2, client_id="web-01", protocol=MQTTProtocolVersion.MQTTv5)
    thief.connect("127.0.0.1", broker.port)
    thief.loop_start()
    wait_until(lambda: len(receiver.bodies("status")) >= 3, "will, then a birth of another session")
    assert json.loads(receiver.of("status")[-1].payload)["state"] == "online"
    thief.disconnect()
    thief.loop_stop()
    agent.end()
