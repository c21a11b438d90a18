"""What OpenSSH's, sudo's and shadow's own programs write now is what the agent reads."""

from __future__ import annotations

import os
import pwd
import re
import secrets
import socket
import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest
from waiting import free_port, wait_until

from agents.agent_linux import read_line
from core.messages import Event, check_event

pytestmark = pytest.mark.openssh
SOCKET = Path("/dev/log")


class Syslog:
    """Stands where rsyslog stands: takes what programs send to /dev/log and writes it in the traditional form."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(SOCKET))
        SOCKET.chmod(0o666)
        self.socket.settimeout(0.2)
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self) -> None:
        with self.path.open("wb") as file:
            while not self.ended.is_set():
                try:
                    packet = self.socket.recv(65_536)
                except TimeoutError:
                    continue
                found = re.fullmatch(rb"<\d+>(\w{3} [ \d]\d \d\d:\d\d:\d\d) (.*?)[\0\n]*", packet, re.DOTALL)
                if found:
                    file.write(found[1] + b" web-01 " + found[2] + b"\n")
                    file.flush()

    def events(self) -> list[Event]:
        now = datetime.now(UTC)
        read = [read_line("web-01", uuid4(), line, now) for line in self.path.read_bytes().splitlines(keepends=True)]
        return [event for event in read if event]

    def close(self) -> None:
        self.ended.set()
        self.thread.join()
        self.socket.close()
        SOCKET.unlink()


@pytest.fixture
def syslog(tmp_path: Path) -> Iterator[Syslog]:
    if SOCKET.exists():
        pytest.fail("/dev/log is taken: this test needs a machine without a syslog daemon")
    made = Syslog(tmp_path / "auth.log")
    yield made
    made.close()


@pytest.fixture
def account() -> Iterator[tuple[str, str]]:
    """A user with a password, gone afterwards."""
    name, password = f"hdtest{secrets.token_hex(3)}", secrets.token_urlsafe(12)
    subprocess.run(["useradd", "--create-home", "--shell", "/bin/sh", name], check=True)
    subprocess.run(["chpasswd"], input=f"{name}:{password}\n", text=True, check=True)
    yield name, password
    if any(entry.pw_name == name for entry in pwd.getpwall()):
        subprocess.run(["userdel", "--remove", name], check=False, capture_output=True)


@pytest.fixture
def log_in(syslog: Syslog, tmp_path: Path) -> Iterator[Callable[[str, str], int]]:
    """Starts Debian's sshd with keys of its own, and logs in to it: user, password → exit code."""
    key, port = tmp_path / "host_key", free_port()
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    separation = Path("/run/sshd")
    made = not separation.exists()
    separation.mkdir(mode=0o755, exist_ok=True)
    config = tmp_path / "sshd_config"
    config.write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {key}\nPidFile none\nUsePAM yes\nLogLevel VERBOSE\n"
        "PasswordAuthentication yes\nKbdInteractiveAuthentication no\nMaxAuthTries 3\nStrictModes no\n"
    )
    server = subprocess.Popen(["/usr/sbin/sshd", "-D", "-f", str(config)], stderr=subprocess.DEVNULL)
    wait_until(lambda: "Server listening" in syslog.path.read_text(), "sshd listens")

    def run(user: str, password: str) -> int:
        options = ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "PubkeyAuthentication=no"]
        command = ["sshpass", "-e", "ssh", "-p", str(port), "-o", "NumberOfPasswordPrompts=1", "-o", "LogLevel=ERROR"]
        command += [part for option in options for part in ("-o", option)]
        done = subprocess.run(
            [*command, "-l", user, "127.0.0.1", "true"],
            env={**os.environ, "SSHPASS": password},
            stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False,
        )  # fmt: skip
        return done.returncode

    yield run
    server.terminate()
    server.wait()
    if made:
        separation.rmdir()


def test_logins_at_a_real_sshd_are_read(
    syslog: Syslog, account: tuple[str, str], log_in: Callable[[str, str], int]
) -> None:
    name, password = account
    before = len(syslog.events())
    assert log_in(name, password) == 0
    assert log_in(name, "wrong") != 0
    assert log_in("nobody-of-this-name", "wrong") != 0
    assert log_in("Failed password for root from 1.2.3.4", "wrong") != 0

    def after() -> list[Event]:
        return syslog.events()[before:]

    wait_until(lambda: sum("]: Failed password" in event.raw_message for event in after()) == 3, "three failures")
    text = syslog.path.read_text()
    events = after()
    accepted = [event for event in events if event.event_type == "LOGIN_SUCCESS"]
    assert [(event.user, event.source_ip) for event in accepted] == [(name, "127.0.0.1")]
    for phrase in ("]: Failed password for", "]: Invalid user"):
        lines = [line for line in text.splitlines() if phrase in line]
        assert len(lines) >= 2
        found = [event for event in events if event.raw_message in lines]
        assert {event.event_type for event in found} == {"LOGIN_FAIL"}
        assert len(found) == len(lines)
    told = {event.raw_message for event in events}
    assert not [line for line in text.splitlines() if "authentication failure;" in line and line in told]
    assert {event.source_ip for event in events if "sshd" in event.raw_message} == {"127.0.0.1"}
    assert "Failed password for root from 1.2.3.4" in {event.user for event in events}
    for event in events:
        check_event(event, "web-01")
        assert abs((datetime.now(UTC) - event.timestamp).total_seconds()) < 300


def test_accounts_groups_sudo_and_su_are_read(syslog: Syslog) -> None:
    name = f"hdtest{secrets.token_hex(3)}"
    group = f"{name}g"
    for command in (
        ["useradd", "--no-create-home", name], ["groupadd", group], ["usermod", "-aG", group, name],
        ["sudo", "-n", "true"], ["su", name, "-s", "/bin/sh", "-c", "true"],
        ["su", name, "-s", "/bin/sh", "-c", "echo wrong | sudo -S true"],
        ["userdel", name], ["groupdel", group],
    ):  # fmt: skip
        subprocess.run(command, check=False, capture_output=True, timeout=30)
    wait_until(lambda: f"group '{group}' removed\n" in syslog.path.read_text(), "the last line")
    events = syslog.events()
    counted = Counter(event.event_type for event in events)
    text = syslog.path.read_text()
    assert counted["ACCOUNT_CREATE"] == 1, text
    assert counted["GROUP_ADD"] == 3, text  # the user's own group, the other one, and the member
    assert counted["ACCOUNT_DELETE"] == 3, text  # the account and both groups
    assert counted["SUDO_ESCALATION"] >= 3, text  # sudo by root, su twice
    assert any(event.user == name and event.event_type == "ACCOUNT_CREATE" for event in events)
    assert any("sudo" in event.raw_message and event.user == "root" for event in events)
    refused = [event for event in events if "sudo" in event.raw_message and event.user == name]
    assert {event.event_type for event in refused} == {"SUDO_ESCALATION"}, text
    assert max(event.severity for event in refused) == 4, "who has no right to sudo and tries"
    for event in events:
        check_event(event, "web-01")
