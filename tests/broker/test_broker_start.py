"""Mosquitto's start and end: proven closed before it runs, one a home and port, enrolments kept, nothing left."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from broker_process import HOST, Broker, Session, running
from test_broker_rights import enroll
from waiting import free_port, wait_until

from broker.launcher import Plan, choose, prepare, prove_closed, prove_configuration, wait_ready
from core.errors import Unavailable
from core.home import Credential
from core.settings import BrokerAddress

pytestmark = pytest.mark.mosquitto

OTHER = Credential("db-01", "a-password-of-db-01")


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with running(tmp_path / "a home, ü", "mosquitto") as started:
        yield started


def test_the_process_becomes_mosquitto(broker: Broker) -> None:
    assert broker.process is not None
    status = Path(f"/proc/{broker.process.pid}/status").read_text()
    assert status.startswith("Name:\tmosquitto\n")
    assert f"Uid:\t{os.geteuid()}\t" in status  # also as root, whose files another user could not read


def test_a_started_broker_is_closed_and_open_to_ours(broker: Broker) -> None:
    prove_closed(broker.address)
    for name in ("ingestor", "watch", "keeper", "api", "ops", "agent"):
        wait_ready(broker.address, broker.home.credential(name))


def test_what_the_broker_writes_is_for_its_owner_alone(broker: Broker) -> None:
    enroll(broker, OTHER)
    agent = broker.session("agent")
    agent.publish(f"heimdall/v1/hosts/{HOST}/status", retain=True)
    store = broker.home.broker / "data" / "mosquitto.db"
    wait_until(store.exists, "the store is written")
    assert b"db-01" in broker.dynsec.read_bytes()
    for path in (broker.dynsec, store):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    agent.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_restart_keeps_what_was_enrolled_live(broker: Broker, number: int) -> None:
    enroll(broker, OTHER)
    broker.stop(number)
    broker.start()
    agent = Session(broker.address, OTHER, OTHER.user)
    assert agent.publish("heimdall/v1/hosts/db-01/events") in (0x00, 0x10)
    assert agent.publish(f"heimdall/v1/hosts/{HOST}/events") == 0x87
    agent.close()


def test_retained_states_and_queues_outlive_a_clean_restart(broker: Broker) -> None:
    # with clean start 1 Mosquitto 2.0.11 does not store the session, whatever its expiry
    ingestor = broker.session("ingestor", clean=False, expiry_seconds=600)
    ingestor.subscribe("$share/ingestors/heimdall/v1/hosts/+/events")
    ingestor.close()
    agent = broker.session("agent")
    for number in range(2_000):  # more than Mosquitto keeps as shipped
        agent.publish(f"heimdall/v1/hosts/{HOST}/events", str(number).encode())
    agent.publish(f"heimdall/v1/hosts/{HOST}/status", b"here", retain=True)
    agent.close()
    assert broker.stop() == 0
    broker.start()
    again = broker.session("ingestor", clean=False, expiry_seconds=600)
    assert [int(again.next().payload) for _ in range(2_000)] == list(range(2_000))
    ops = broker.session("ops")
    ops.subscribe("heimdall/v1/hosts/+/status")
    assert ops.next().payload == b"here"
    for session in (again, ops):
        session.close()


def test_two_brokers_run_at_once_with_a_home_each(broker: Broker, tmp_path: Path) -> None:
    with running(tmp_path / "second", "mosquitto") as second:
        foreign = Session(second.address, broker.home.credential("agent"), HOST)
        assert foreign.code != 0
        assert broker.session("agent").code == 0


def test_a_second_broker_of_a_home_is_refused(broker: Broker) -> None:
    second = Broker(broker.home.path, "mosquitto").launch()
    said = second.communicate(timeout=10)[1]
    assert broker.process is not None
    assert second.returncode == 1
    assert said.count("\n") == 1
    assert f"in use by process {broker.process.pid}" in said


def test_a_port_in_use_is_one_clear_line(broker: Broker, tmp_path: Path) -> None:
    second = Broker(tmp_path / "second", "mosquitto", broker.address.port).launch()
    said = second.communicate(timeout=10)[1]
    assert second.returncode == 1
    assert said.count("\n") == 1
    assert f"HEIMDALL_MQTT_PORT={broker.address.port}" in said


def test_a_plugin_that_does_not_load_stops_the_start(tmp_path: Path) -> None:
    broker = Broker(tmp_path, "mosquitto")
    binary = choose(broker.settings, "mosquitto").binary
    plan = Plan(binary, tmp_path / "absent.so")
    prepare(plan, broker.settings, broker.home, HOST)
    with pytest.raises(Unavailable, match=r"trial .* failed.*absent\.so"):
        prove_configuration(plan, broker.settings, broker.home)
    assert not (broker.home.broker / "trial.conf").exists()


def test_identities_that_the_plugin_cannot_use_stop_the_start(tmp_path: Path) -> None:
    broker = Broker(tmp_path, "mosquitto")
    plan = choose(broker.settings, "mosquitto")
    prepare(plan, broker.settings, broker.home, HOST)
    broker.dynsec.write_text("{}")  # the plugin loads it and knows nobody
    with pytest.raises(Unavailable, match="refuses the login of @ops"):
        prove_configuration(plan, broker.settings, broker.home)


def test_an_open_broker_is_found_out(tmp_path: Path) -> None:
    binary = choose(Broker(tmp_path, "mosquitto").settings, "mosquitto").binary
    assert binary is not None
    address = BrokerAddress("mqtt", "127.0.0.1", free_port())
    configuration = tmp_path / "open.conf"
    configuration.write_text(f"listener {address.port} 127.0.0.1\nallow_anonymous true\n")
    process = subprocess.Popen([binary, "-c", configuration], stderr=subprocess.DEVNULL)
    try:
        wait_ready(address, Credential("@anyone", "x"))
        with pytest.raises(Unavailable, match="lets in a client without a login"):
            prove_closed(address)
    finally:
        process.kill()
        process.wait()


def test_a_broker_that_is_not_there_is_told(tmp_path: Path) -> None:
    address = BrokerAddress("mqtt", "127.0.0.1", free_port())
    with pytest.raises(Unavailable, match="no broker was ready"):
        wait_ready(address, Credential("@ops", "x"), 0.1)
    with pytest.raises(Unavailable, match="does not answer"):
        prove_closed(address)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a child with its parent")
def test_a_trial_dies_with_the_launcher(tmp_path: Path) -> None:
    silent = tmp_path / "mosquitto"
    silent.write_text(f'#!/bin/sh\necho $$ >"{tmp_path}/pid"\nexec sleep 60\n')
    silent.chmod(0o755)
    code = (
        "import sys; from pathlib import Path; from core.settings import load; from core.home import Home\n"
        "from broker.launcher import Plan, prepare, prove_configuration\n"
        "settings = load(); home = Home(settings.home); plan = Plan(Path(sys.argv[1]), Path('/absent.so'))\n"
        "prepare(plan, settings, home, 'web-01'); prove_configuration(plan, settings, home)\n"
    )
    launcher = subprocess.Popen(
        [sys.executable, "-c", code, silent],
        env=os.environ | {"HEIMDALL_HOME": str(tmp_path / "home")},
        cwd=Path(__file__).parents[2],
    )
    pid = tmp_path / "pid"
    wait_until(lambda: pid.exists() and pid.read_text().strip(), "the trial runs")
    launcher.kill()
    launcher.wait()
    trial = Path(f"/proc/{int(pid.read_text())}/status")
    wait_until(lambda: not trial.exists() or "State:\tZ" in trial.read_text(), "the trial is gone")


def test_the_identities_survive_the_plugins_own_writing(broker: Broker) -> None:
    enroll(broker, OTHER)
    broker.stop()
    written_by_plugin = json.loads(broker.dynsec.read_text())
    broker.start()
    broker.stop()
    names = [client["username"] for client in json.loads(broker.dynsec.read_text())["clients"]]
    assert sorted(names) == sorted(client["username"] for client in written_by_plugin["clients"])
    assert "db-01" in names
