"""The agent and its spool: full, on a full disk, damaged while in use. The link is real and has nobody to talk to."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from waiting import free_port, wait_until

from agents import agent as shared_agent
from agents.address import Address
from agents.agent import Agent
from agents.agent_firewall import FirewallCollector
from agents.collector import Reading
from agents.link_mqtt import MqttLink
from core.errors import Unavailable
from core.home import Credential
from core.ids import uuid7
from core.messages import Event, Info, OsType
from core.settings import BrokerAddress
from core.spool import Spool


class Counting:
    """A source of numbered events: the position is how many were read, as a log's would be."""

    name = "counting"
    os_type: OsType = "LINUX"

    def __init__(self, size: int = 900) -> None:
        self.size = size
        self.available = 0

    def read(self, position: str | None) -> Reading:
        done = int(position or 0)
        last = min(self.available, done + 100)
        at = datetime.now(UTC)
        events = [
            Event(uuid7(), at, "web-01", "LINUX", "LOGIN_FAIL", 2 if number % 2 else 4, f"{number} " + "x" * self.size)
            for number in range(done + 1, last + 1)
        ]
        return Reading(events, str(last))

    def close(self) -> None:
        pass


class Late(Counting):
    """Has nothing before the agent is to end, and 250 events then."""

    stopping: threading.Event

    def read(self, position: str | None) -> Reading:
        self.available = 250 if self.stopping.is_set() else 0
        return super().read(position)


class Running:
    """An agent in a thread, with a spool that a test may look into."""

    def __init__(self, spool: Spool, source: Counting | FirewallCollector | None = None) -> None:
        self.source = source or Counting()
        address = BrokerAddress("mqtt", "127.0.0.1", free_port())
        self.link = MqttLink("web-01", address, lambda: [Credential("web-01", "x")], Info("LINUX", "1"), spool)
        self.agent = Agent("web-01", "boot", self.source, spool, self.link, 1.0)
        self.stopping = threading.Event()
        if isinstance(source, Late):
            source.stopping = self.stopping
        self.thread = threading.Thread(target=self.agent.run, args=(self.stopping,))
        self.thread.start()

    def kept(self) -> str | None:
        """The position in the spool; none while that is being replaced."""
        try:
            return self.agent.spool.source_position("counting")
        except Unavailable:
            return None

    def texts(self) -> list[str]:
        found: list[str] = []
        after = 0
        while batch := self.agent.spool.batch(after):
            found += [part.split('"raw_message":"')[1].split('"')[0] for part in batch.payload.decode().split("},")]
            after = batch.last
        return found

    def stop(self) -> None:
        self.stopping.set()
        self.thread.join()
        self.agent.spool.close()


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    made = Running(Spool(tmp_path / "spool.db", limit_bytes=600_000))
    yield made
    made.stop()


def test_a_full_spool_drops_the_oldest_of_the_lowest_severity_counts_and_says_so(running: Running) -> None:
    running.source.available = 1_500
    wait_until(lambda: running.kept() == "1500", "all are read")
    texts = running.texts()
    numbers = [int(text.split()[0]) for text in texts if text[0].isdigit()]
    alerts = [text for text in texts if text.startswith("The agent's spool is full")]
    assert running.agent.dropped > 0
    assert 1_500 - len(numbers) <= running.agent.dropped
    assert 1_500 in numbers
    assert alerts
    assert f"{running.agent.dropped} since the agent's start" in alerts[-1]
    kept_low = [number for number in numbers if number % 2]
    kept_high = [number for number in numbers if not number % 2]
    assert len(kept_high) > len(kept_low)


def test_a_full_disk_keeps_the_position_and_the_agent_goes_on_when_there_is_room(running: Running) -> None:
    database = running.agent.spool._db
    pages = database.execute("PRAGMA page_count").fetchone()[0]
    database.execute(f"PRAGMA max_page_count = {pages + 2}")
    running.source.available = 100
    wait_until(lambda: running.agent._trouble, "the agent notices")
    assert running.kept() in (None, "0")
    assert len(running.agent.spool) == 0
    assert running.thread.is_alive()
    lost = running.link.beats_lost
    wait_until(lambda: running.link.beats_lost > lost, "it beats on, to nobody")
    database.execute("PRAGMA max_page_count = 100000")
    wait_until(lambda: running.kept() == "100", "all are kept, once there is room")
    assert [int(text.split()[0]) for text in running.texts()] == list(range(1, 101))


def test_a_spool_that_is_damaged_while_in_use_is_made_anew_and_says_so(running: Running, tmp_path: Path) -> None:
    running.source.available = 200
    wait_until(lambda: running.kept() == "200", "spooled")
    path = tmp_path / "spool.db"
    running.agent.spool._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with path.open("r+b") as file:
        file.seek(0)
        file.write(os.urandom(path.stat().st_size))
    running.agent.spool._db.execute("PRAGMA shrink_memory")  # what SQLite remembers is still sound
    running.source.available = 300
    wait_until(lambda: [name for name in tmp_path.iterdir() if ".damaged-" in name.name], "moved aside")
    wait_until(lambda: running.kept() == "300", "the work goes on")
    texts = running.texts()
    assert any("spool was damaged" in text for text in texts)
    assert [int(text.split()[0]) for text in texts if text[0].isdigit()] == list(range(201, 301))


def test_what_has_come_when_the_agent_is_to_end_is_kept(tmp_path: Path) -> None:
    running = Running(Spool(tmp_path / "spool.db"), Late(size=1))
    wait_until(lambda: running.agent.spool.source_position("counting") == "0", "the agent looks, and there is nothing")
    running.stopping.set()
    running.thread.join()
    assert [int(text.split()[0]) for text in running.texts()] == list(range(1, 251))
    assert running.kept() == "250"
    running.stop()


def test_syslog_that_was_received_before_the_end_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_agent, "COLLECT_SECONDS", 3_600.0)  # so that nothing but the end makes it look again
    collector = FirewallCollector("fw-01", Address("127.0.0.1", free_port()))
    running = Running(Spool(tmp_path / "spool.db"), collector)
    wait_until(lambda: running.agent.spool.source_position("firewall") == "0", "the agent listens and has looked")
    assert collector._receiver is not None
    backlog = collector._receiver.backlog
    count = 2_500
    with socket.create_connection(collector._address, timeout=30) as sender:
        for number in range(count):
            sender.sendall(b"<38>sshd[%d]: Failed password for root from 203.0.113.9 port 40122 ssh2\n" % number)
        wait_until(lambda: len(backlog._messages) == count, "all are received")
        assert len(running.agent.spool) == 0
        running.stopping.set()
        running.thread.join()
    assert len(running.agent.spool) == count
    running.stop()


def test_events_without_a_place_are_not_accepted_silently(running: Running) -> None:
    running.stop()
    event = Event(uuid7(), datetime.now(UTC), "web-01", "LINUX", "LOGIN_FAIL", 3, "x")
    running.agent.spool = Spool(running.agent.spool.path, limit_bytes=1)
    with pytest.raises(Unavailable):
        running.agent.send_events([event])


def test_sending_no_events_is_a_heartbeat_and_one_that_fails_is_counted(running: Running) -> None:
    lost = running.link.beats_lost
    running.agent.send_events([])
    assert running.link.beats_lost > lost
