"""The journal of a real systemd-journald, in a namespace of the test's own, followed from a cursor on."""

from __future__ import annotations

import json
import secrets
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from waiting import wait_until

from agents.agent_linux import LinuxCollector
from agents.journal import Cursor, Journal
from core.clock import utc_now
from core.messages import Event

pytestmark = pytest.mark.journald


class Journald:
    """A systemd-journald of its own, and who writes to it."""

    def __init__(self) -> None:
        self.name = f"hd{secrets.token_hex(4)}"
        self.folder = Path(f"/run/systemd/journal.{self.name}")
        self.command = ("journalctl", f"--namespace={self.name}")
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(["/lib/systemd/systemd-journald", self.name], stderr=subprocess.DEVNULL)
        wait_until(self.listens, "journald listens")

    def listens(self) -> bool:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
            return log.connect_ex(str(self.folder / "dev-log")) == 0

    def write(self, message: bytes, program: bytes = b"sshd[77]") -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
            log.connect(str(self.folder / "dev-log"))
            log.send(b"<38>" + program + b": " + message)

    def fail(self, *numbers: int) -> None:
        for number in numbers:
            self.write(b"Failed password for root from 192.0.2.%d port 9 ssh2" % number)

    def run(self, *arguments: str) -> str:
        return subprocess.run([*self.command, *arguments], capture_output=True, text=True, check=True).stdout

    def wait_until_written(self, text: str) -> None:
        wait_until(lambda: text in self.run("-o", "cat", "--no-pager"), f"{text} is in the journal")

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self.folder)
        for root in (Path("/var/log/journal"), Path("/run/log/journal")):
            for folder in root.glob(f"*.{self.name}"):
                shutil.rmtree(folder)


class Follower:
    """A collector over that journal, with the position that the spool would hold."""

    def __init__(self, journald: Journald, position: str | None = None) -> None:
        self.collector = LinuxCollector("web-01", Journal(journald.command), [], [], Path("/nonexistent"), [])
        self.position = position
        self.events: list[Event] = []

    def read(self) -> None:
        reading = self.collector.read(self.position)
        self.position = reading.position
        self.events += reading.events

    def addresses(self) -> list[str]:
        self.read()
        return [event.source_ip for event in self.events]

    def expect(self, *numbers: int) -> None:
        expected = [f"192.0.2.{number}" for number in numbers]
        wait_until(lambda: self.addresses() == expected, f"{expected}, and not {self.addresses()}")


@pytest.fixture
def journald() -> Iterator[Journald]:
    made = Journald()
    made.fail(1)
    made.wait_until_written("192.0.2.1 ")
    yield made
    made.remove()


@pytest.fixture
def followers() -> Iterator[list[Follower]]:
    made: list[Follower] = []
    yield made
    for follower in made:
        follower.collector.close()


def follow(followers: list[Follower], journald: Journald, position: str | None = None) -> Follower:
    followers.append(Follower(journald, position))
    followers[-1].read()
    return followers[-1]


def test_a_first_start_begins_at_the_end_and_new_entries_come(journald: Journald, followers: list[Follower]) -> None:
    follower = follow(followers, journald)
    journald.fail(2, 3)
    follower.expect(2, 3)
    event = follower.events[0]
    assert (event.event_type, event.user, event.source_host) == ("LOGIN_FAIL", "root", "web-01")
    assert "sshd[77]: Failed password for root from 192.0.2.2 port 9 ssh2" in event.raw_message


def test_a_restart_goes_on_behind_the_cursor(journald: Journald, followers: list[Follower]) -> None:
    first = follow(followers, journald)
    journald.fail(2)
    first.expect(2)
    first.collector.close()
    journald.fail(3, 4)
    follow(followers, journald, first.position).expect(3, 4)


def test_a_damaged_cursor_is_replaced_by_its_time(journald: Journald, followers: list[Follower]) -> None:
    first = follow(followers, journald)
    journald.fail(2)
    first.expect(2)
    first.collector.close()
    journald.fail(3)
    kept = json.loads(first.position or "")
    cursor = Cursor.load(kept["journal"])
    damaged = json.dumps({"journal": Cursor("no cursor at all", cursor.microseconds).dump()})
    follow(followers, journald, damaged).expect(3)


@pytest.mark.parametrize("position", ["", "{", "[]", '{"journal": "x"}', '{"/var/log/auth.log": "{}"}'])
def test_a_position_that_is_none_begins_at_the_end(
    journald: Journald, followers: list[Follower], position: str
) -> None:
    follower = follow(followers, journald, position)
    journald.fail(5)
    follower.expect(5)


def test_a_vacuumed_journal_goes_on_with_what_is_left(journald: Journald, followers: list[Follower]) -> None:
    first = follow(followers, journald)
    first.collector.close()
    journald.run("--rotate")
    journald.run("--vacuum-files=1")
    journald.fail(6)
    journald.wait_until_written("192.0.2.6 ")
    second = follow(followers, journald, first.position)
    wait_until(lambda: "192.0.2.6" in second.addresses(), "the new entry")
    assert "192.0.2.1" not in second.addresses()


def test_a_journald_that_is_started_again_is_followed(journald: Journald, followers: list[Follower]) -> None:
    follower = follow(followers, journald)
    journald.fail(2)
    follower.expect(2)
    journald.stop()
    journald.start()
    journald.fail(3)
    follower.expect(2, 3)


def test_a_journalctl_that_dies_is_replaced(journald: Journald, followers: list[Follower]) -> None:
    follower = follow(followers, journald)
    journald.fail(2)
    follower.expect(2)
    (number,) = subprocess.check_output(["pgrep", "-f", f"namespace={journald.name}.*--follow"], text=True).split()
    subprocess.run(["kill", "-9", number], check=True)
    journald.fail(3)
    follower.expect(2, 3)


def test_a_message_of_bytes_is_read(journald: Journald, followers: list[Follower]) -> None:
    follower = follow(followers, journald)
    journald.write(b"Invalid user \xff\x1b[31m from 192.0.2.8 port 1")
    follower.expect(8)
    assert follower.events[0].user == "�\x1b[31m"


def test_without_a_journal_there_is_none() -> None:
    assert Journal(("journalctl", "--namespace=hd-none")).last() is None
    assert Journal(("/nonexistent/journalctl",)).last() is None


def test_a_journal_that_can_be_read_is_named_with_its_newest_entry(journald: Journald) -> None:
    before = utc_now()
    journald.fail(2)
    journald.wait_until_written("192.0.2.2 ")
    [source] = LinuxCollector("web-01", Journal(journald.command), [], [], Path("/nonexistent"), []).sources()
    assert (source.name, source.trouble) == ("the systemd journal", "")
    assert source.newest is not None
    assert before <= source.newest <= utc_now()
