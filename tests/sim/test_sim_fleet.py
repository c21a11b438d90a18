"""The fleet at a real broker: what its hosts do there, and what the broker does when the script has its way."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from plain_mosquitto import Broker
from sim_process import Ear, Simulation
from waiting import wait_until

pytestmark = pytest.mark.mosquitto

Simulate = Callable[..., Simulation]
Listen = Callable[[], Ear]


def retained(listen: Listen) -> set[str]:
    """What the broker has retained: all of it comes before what is published after the subscription."""
    ear = listen()
    ear.client.publish("heimdall/v1/hosts/the-last/heartbeat", b"{}", qos=0)
    wait_until(lambda: ear.of("heartbeat", "the-last"), "the message after the retained ones")
    return ear.retained


def test_two_hundred_hosts_connect_beat_and_say_goodbye_at_ctrl_c(simulate: Simulate, listen: Listen) -> None:
    ear = listen()
    simulation = simulate("--hosts", "200", "--interval", "1", "--name-prefix", "box-", "--first", "301")
    wait_until(lambda: len({host for host, beat in ear.of("heartbeat") if beat["seq"] >= 2}) == 200, "three beats")
    births = ear.of("status")
    assert {host for host, _ in births} == {f"box-{number:05d}" for number in range(301, 501)}
    assert {(birth["state"], birth["reason"]) for _, birth in births} == {("online", "start")}
    infos = dict(ear.of("info"))
    assert len(infos) == 200
    assert infos["box-00301"]["interval_s"] == 1
    assert {beat["boot"] for _, beat in ear.of("heartbeat", "box-00301")} == {infos["box-00301"]["boot"]}
    simulation.interrupt()
    code, report = simulation.wait()
    assert (code, report["fleet"]["connected"], report["fleet"]["lost"]) == (130, 200, 0)
    wait_until(lambda: sum(status["state"] == "offline" for _, status in ear.of("status")) == 200, "200 goodbyes")
    assert {status["reason"] for _, status in ear.of("status")} == {"start", "stop"}
    assert retained(listen) == set()


def test_what_is_retained_stays_when_that_is_asked_for(simulate: Simulate, listen: Listen) -> None:
    code, _ = simulate("--hosts", "3", "--interval", "1", "--for", "1", "--keep").wait()
    assert code == 1  # nobody judges here
    topics = {f"heimdall/v1/hosts/sim-0000{number}/{kind}" for number in (1, 2, 3) for kind in ("status", "info")}
    assert retained(listen) == topics


FAULTS = """
[[fault]]
at = "1s"
kind = "kill"
names = ["sim-00001"]
for = "3s"
[[fault]]
at = "1s"
kind = "hang"
names = ["sim-00002"]
for = "11s"
[[fault]]
at = "1s"
kind = "mute"
names = ["sim-00003"]
for = "11s"
[[fault]]
at = "1s"
kind = "roam"
names = ["sim-00004"]
[[fault]]
at = "1s"
kind = "clone"
names = ["sim-00005"]
for = "8s"
[[fault]]
at = "1s"
kind = "away"
names = ["sim-00006"]
for = "4s"
[[fault]]
at = "1s"
kind = "restart"
names = ["sim-00007"]
[[fault]]
at = "2s"
run = "touch ran; exit 3"
"""


def test_each_fault_is_what_it_says_on_the_wire(simulate: Simulate, listen: Listen) -> None:
    ear = listen()
    simulation = simulate("--hosts", "8", "--interval", "1", "--for", "14", faults=FAULTS)
    _, report = simulation.wait()

    def ends(number: int) -> list[str]:
        statuses = [status for _, status in ear.of("status", f"sim-0000{number}")]
        return [f"{status['state']} {status['reason']}" for status in statuses]

    def boots(number: int) -> int:
        return len({beat["boot"] for _, beat in ear.of("heartbeat", f"sim-0000{number}")})

    start, lost, stop = "online start", "offline lost", "offline stop"
    assert (ends(1), boots(1)) == ([start, lost, start, stop], 2)
    assert (ends(2), boots(2)) == ([start, lost, start, stop], 1)
    assert (ends(3), boots(3)) == ([start, stop], 1)
    assert (ends(4), boots(4)) == ([start, lost, start, stop], 1)
    assert (ends(5)[:3], boots(5)) == ([start, lost, start], 2)
    assert set(ends(5)[:-1]) == {start, lost}
    assert ends(6) == [start, "away upgrade", start, stop]
    assert (ends(7), boots(7)) == ([start, stop, start, stop], 2)
    assert (ends(8), boots(8)) == ([start, stop], 1)
    beats = {number: len(ear.of("heartbeat", f"sim-0000{number}")) for number in (3, 8)}
    assert beats[3] < beats[8]
    assert report["failed_commands"] == ["line 35: 'touch ran; exit 3' ended with 3"]
    assert report["fleet"]["lost"] == 0
    assert retained(listen) == set()


def test_events_go_out_again_until_their_receipt_comes(simulate: Simulate, listen: Listen, broker: Broker) -> None:
    simulation = simulate("--hosts", "4", "--interval", "1", "--events", "20", "--for", "12")
    ear = listen()
    _, report = simulation.wait()
    fleet = report["fleet"]
    assert fleet["events_accepted"] == 0  # who would give a receipt?
    assert fleet["events_repeated"] > 0
    sent = [event["event_id"] for _, event in ear.of("events")]
    assert len(set(sent)) < len(sent)


def test_a_fleet_comes_back_after_its_broker_does(simulate: Simulate, listen: Listen, broker: Broker) -> None:
    ear = listen()
    simulation = simulate("--hosts", "20", "--interval", "1")
    wait_until(lambda: len({host for host, _ in ear.of("heartbeat")}) == 20, "all beat")
    broker.kill()
    broker.start()
    after = listen()
    wait_until(lambda: len({host for host, _ in after.of("heartbeat")}) == 20, "all beat again")
    simulation.interrupt()
    code, report = simulation.wait()
    assert (code, report["fleet"]["lost"]) == (130, 20)


def test_a_broker_that_is_not_there_or_wrong_use_is_told_of(simulate: Simulate, broker: Broker) -> None:
    broker.kill()
    for options, code, text in (
        (("--hosts", "2"), 1, "no connection to mqtt://127.0.0.1:"),
        (("--hosts", "0"), 2, "--hosts 0: use 1 to"),
        (("--interval", "0.5"), 2, "--interval 0.5: use 1 to 3600 seconds"),
        (("--slack", "-1"), 2, "--slack -1.0: use seconds"),
        (("--password", "x"), 2, "--password belongs to --user"),
        (("--name-prefix", "a/b"), 2, "--name-prefix 'a/b00001' cannot be a host name"),
        (("--faults", "nowhere.toml"), 2, "--faults nowhere.toml cannot be read"),
    ):
        simulation = simulate(*options)
        assert simulation.wait()[0] == code
        assert text in simulation.said
