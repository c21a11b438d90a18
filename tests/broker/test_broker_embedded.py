"""The embedded broker: closed to strangers, and all that an agent and an ingestor need of it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from broker_process import HOST, Broker, Session, running

from broker.launcher import prove_closed, wait_ready
from core.home import Credential
from core.messages import MAX_MESSAGE_BYTES


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with running(tmp_path_factory.mktemp("embedded"), "embedded") as started:
        yield started


def test_it_is_closed_and_open_to_ours(broker: Broker) -> None:
    prove_closed(broker.address)
    for name in ("ingestor", "watch", "keeper", "api", "ops", "agent"):
        wait_ready(broker.address, broker.home.credential(name))


@pytest.mark.parametrize("credential", [None, Credential(HOST, "wrong"), Credential("stranger", "x")])
def test_a_stranger_is_refused(broker: Broker, credential: Credential | None) -> None:
    assert Session(broker.address, credential, "stranger").code != 0


def test_a_full_message_goes_from_agent_to_ingestor(broker: Broker) -> None:
    ingestor, agent = broker.session("ingestor"), broker.session("agent")
    assert ingestor.subscribe("heimdall/v1/hosts/+/events") == 1
    assert agent.publish(f"heimdall/v1/hosts/{HOST}/events", b"x" * MAX_MESSAGE_BYTES) == 0
    assert len(ingestor.next().payload) == MAX_MESSAGE_BYTES
    agent.close()
    ingestor.close()


def test_it_listens_on_loopback_alone(broker: Broker) -> None:
    port = f"{broker.address.port:04X}"
    listening = [
        line.split()[1] for line in Path("/proc/net/tcp").read_text().splitlines()[1:] if line.split()[3] == "0A"
    ]
    assert [address for address in listening if address.endswith(f":{port}")] == [f"0100007F:{port}"]


def test_it_stops_when_asked_and_frees_its_port(tmp_path: Path) -> None:
    with running(tmp_path, "embedded") as broker:
        assert broker.stop() == 0
        with socket.socket() as probe:
            assert probe.connect_ex((broker.address.host, broker.address.port)) != 0


def test_two_run_at_once_and_a_taken_port_is_one_clear_line(broker: Broker, tmp_path: Path) -> None:
    with running(tmp_path / "second", "embedded"):
        wait_ready(broker.address, broker.home.credential("ops"))
    third = Broker(tmp_path / "third", "embedded", broker.address.port).launch()
    said = third.communicate(timeout=10)[1]
    assert third.returncode == 1
    assert said.count("\n") == 1
    assert f"HEIMDALL_MQTT_PORT={broker.address.port}" in said
