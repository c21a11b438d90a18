"""A flood of blocked connections is few events, a port scan is one, and neither fills the memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta

import pytest
from waiting import free_port

from agents import floods
from agents.address import Address
from agents.agent_firewall import FirewallCollector
from core.clock import utc_now
from core.messages import Event, check_event

BLOCK = "%ASA-4-106001: Inbound TCP connection denied from {source}/{sport} to {to}/{port} flags SYN"


class Clock:
    def __init__(self) -> None:
        self.seconds = 1_000.0

    def __call__(self) -> float:
        return self.seconds


class Firewall:
    """A collector whose queue is filled by hand: what comes over sockets is tested elsewhere."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.collector = FirewallCollector("fw-01", Address("127.0.0.1", free_port()), self.clock)
        self.collector.read(None)

    def send(self, *messages: bytes) -> None:
        assert self.collector._receiver is not None
        self.collector._receiver.backlog.put(list(messages))

    def block(self, source: str, port: int, times: int = 1, to: str = "198.51.100.2", sport: int = 51_514) -> None:
        self.send(*[BLOCK.format(source=source, port=port, to=to, sport=sport).encode()] * times)

    def events(self) -> list[Event]:
        events: list[Event] = []
        position: str | None = "0"
        while True:
            reading = self.collector.read(position)
            events += reading.events
            if reading.position == position:
                break
            position = reading.position
        for event in events:
            check_event(event, "fw-01")
        return events


@pytest.fixture
def firewall() -> Iterator[Firewall]:
    made = Firewall()
    yield made
    made.collector.close()


def types(events: list[Event]) -> Counter[str]:
    return Counter(event.event_type for event in events)


def test_the_first_block_is_an_event_at_once_and_its_repetitions_are_one(firewall: Firewall) -> None:
    firewall.block("203.0.113.7", 22, 5_000)
    [first] = firewall.events()
    assert first.raw_message.startswith("%ASA-4-106001")
    firewall.clock.seconds += floods.WINDOW_SECONDS - 0.1
    assert firewall.events() == []
    firewall.clock.seconds += 0.2
    [second] = firewall.events()
    assert second.raw_message.startswith("[4999 more within 10 s like this] %ASA-4-106001")
    assert second.event_id != first.event_id
    assert (second.source_ip, second.severity) == ("203.0.113.7", 2)
    assert firewall.events() == []


def test_a_block_behind_its_window_begins_another(firewall: Firewall) -> None:
    for _ in range(3):
        firewall.block("203.0.113.7", 22)
        assert len(firewall.events()) == 1
        firewall.clock.seconds += floods.WINDOW_SECONDS + 1
        assert firewall.events() == []


def test_other_ports_sources_and_destinations_are_not_folded(firewall: Firewall) -> None:
    firewall.block("203.0.113.7", 22)
    firewall.block("203.0.113.7", 23)
    firewall.block("203.0.113.8", 22)
    firewall.block("203.0.113.7", 22, to="198.51.100.3")
    assert len(firewall.events()) == 4


def test_a_flood_from_forged_addresses_is_bounded_and_counted(firewall: Firewall) -> None:
    for n in range(20_000):
        firewall.block(f"10.{n // 65_536}.{n // 256 % 256}.{n % 256}", 80)
    assert len(firewall.events()) == floods.KINDS_PER_WINDOW
    firewall.clock.seconds += floods.WINDOW_SECONDS
    [rest] = firewall.events()
    assert rest.raw_message.startswith("[19000 more within 10 s of other connections, the last of them] ")
    assert rest.source_ip == "N/A"


def scan(firewall: Firewall, source: str, ports: range, **named: str) -> list[Event]:
    for port in ports:
        firewall.block(source, port, **named)  # type: ignore[arg-type]
    return [event for event in firewall.events() if event.event_type == "PORT_SCAN"]


def test_many_ports_of_one_host_are_one_scan_and_then_it_is_quiet(firewall: Firewall) -> None:
    assert scan(firewall, "203.0.113.7", range(1, floods.SCAN_PORTS)) == []
    [event] = scan(firewall, "203.0.113.7", range(floods.SCAN_PORTS, 500))
    assert (event.severity, event.source_ip) == (3, "203.0.113.7")
    assert event.raw_message.startswith("[15 ports of 198.51.100.2 within 0 s: 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12,")
    firewall.clock.seconds += floods.QUIET_SECONDS - 1
    assert scan(firewall, "203.0.113.7", range(500, 600)) == []
    firewall.clock.seconds += 2
    assert len(scan(firewall, "203.0.113.7", range(600, 700))) == 1


def test_ports_that_are_far_apart_in_time_are_no_scan(firewall: Firewall) -> None:
    for port in range(1, 100):
        assert scan(firewall, "203.0.113.7", range(port, port + 1)) == []
        firewall.clock.seconds += floods.SCAN_SECONDS / floods.SCAN_PORTS + 1


def test_the_same_port_again_and_again_is_no_scan(firewall: Firewall) -> None:
    firewall.block("203.0.113.7", 22, 1_000)
    assert types(firewall.events()) == {"CONNECTION_BLOCKED": 1}


def test_each_host_is_scanned_for_itself(firewall: Firewall) -> None:
    for n in range(1, 100):
        assert scan(firewall, "203.0.113.7", range(n, n + 1), to=f"198.51.100.{n}") == []


def test_a_server_that_answers_too_late_scans_nobody(firewall: Firewall) -> None:
    for port in range(40_000, 40_100):
        firewall.block("198.51.100.80", port, sport=443)
    assert types(firewall.events()) == {"CONNECTION_BLOCKED": 100}


def test_what_is_watched_is_bounded(firewall: Firewall) -> None:
    watched = firewall.collector._scans
    for n in range(3 * floods.PAIRS_WATCHED):
        firewall.block(f"10.0.{n // 256}.{n % 256}", 80)
    firewall.events()
    assert len(watched._ports) == floods.PAIRS_WATCHED
    assert len(scan(firewall, "203.0.113.7", range(1, 20))) == 1


def test_a_line_with_a_time_that_cannot_be_has_that_of_its_receipt(firewall: Firewall) -> None:
    line = BLOCK.format(source="203.0.113.7", sport=1, to="192.0.2.1", port=22)
    firewall.send(b"<134>Jan  1 2000 00:00:01: " + line.encode())
    [event] = firewall.events()
    assert abs(event.timestamp - utc_now()) < timedelta(minutes=5)


def test_ids_are_never_given_twice(firewall: Firewall) -> None:
    firewall.block("203.0.113.7", 22, 3)
    events = firewall.events() + scan(firewall, "203.0.113.7", range(1, 30))
    firewall.clock.seconds += 100
    events += firewall.events()
    assert len({event.event_id for event in events}) == len(events)
