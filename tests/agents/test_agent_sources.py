"""Several sources at once: each has its place, none is told twice, and one that may not be read holds up no other."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from agent_process import AgentProcess, Receiver
from waiting import wait_until

from agents.agent_linux import LinuxCollector
from agents.floods import SCAN_PORTS
from agents.journal import Journal
from agents.system_log import WINDOW_SECONDS
from core.messages import Event, check_event

PROGRAM = Path(__file__).parent / "journal_program.py"
SSHD = "sshd[7]: Failed password for root from 192.0.2.{n} port 9 ssh2"
BLOCK = (
    "kernel: [86813.898404] [UFW BLOCK] IN=eth0 OUT= SRC=203.0.113.{n} DST=198.51.100.2 PROTO=TCP SPT=51514 DPT={port}"
)
ABEND = 'auid=1000 uid=48 gid=48 ses=1 pid=31242 comm="httpd" reason="memory violation" sig=11'
EXEC = (
    'type=SYSCALL msg=audit({at}.500:{n}): arch=c000003e syscall=59 auid=1000 comm="x" exe="/bin/x" key="exec"\n'
    'type=EXECVE msg=audit({at}.500:{n}): argc=2 a0="x" a1="{n}"\n'
    'type=PROCTITLE msg=audit({at}.500:{n}): proctitle="x"\n'
)
WEB = '203.0.113.7 - - [{at}] "GET {target} HTTP/1.1" 404 2 "-" "{n}"\n'


class Host:
    """The logs of a host, and who reads them. `read` reads until nothing more comes, and keeps the position."""

    def __init__(self, folder: Path) -> None:
        self.auth, self.kern = folder / "auth.log", folder / "kern.log"
        self.audit, self.web = folder / "audit.log", folder / "access.log"
        self.journal = folder / "journal"
        self.events: list[Event] = []
        self.position: str | None = None
        self.collector: LinuxCollector | None = None

    def start(self) -> None:
        journal = Journal([sys.executable, str(PROGRAM), str(self.journal)])
        self.collector = LinuxCollector(
            "web-01", journal, [self.auth], [self.kern], self.audit, [str(self.web.with_name("*access.log"))]
        )

    def kill(self) -> None:
        if self.collector:
            self.collector.close()
        self.collector = None

    def look_again(self) -> None:
        assert self.collector
        self.collector._look_at = 0.0

    def read(self) -> list[Event]:
        if self.collector is None:
            self.start()
        assert self.collector
        told: list[Event] = []
        quiet = 0
        while quiet < 2:
            reading = self.collector.read(self.position)
            quiet = 0 if reading.events or reading.position != self.position else quiet + 1
            self.position = reading.position
            told += reading.events
        for event in told:
            check_event(event, "web-01")
        self.events += told
        return told

    def types(self) -> Counter[str]:
        return Counter(event.event_type for event in self.events)


def log(path: Path, *lines: str, at: datetime | None = None) -> None:
    stamp = (at or datetime.now(UTC)).isoformat()
    with path.open("a") as file:
        file.writelines(f"{stamp} web-01 {line}\n" for line in lines)


def add(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


def web(n: object, target: str = "/.env") -> str:
    return WEB.format(at=f"{datetime.now(UTC):%d/%b/%Y:%H:%M:%S +0000}", target=target, n=n)


def execution(n: int) -> str:
    return EXEC.format(at=int(datetime.now(UTC).timestamp()), n=n)


def journal(path: Path, program: str, message: str, at: datetime | None = None, **fields: Any) -> None:
    microseconds = int((at or datetime.now(UTC)).timestamp() * 1_000_000)
    number = path.stat().st_size if path.exists() else 0
    entry = {
        "__CURSOR": f"s={number}", "__REALTIME_TIMESTAMP": str(microseconds), "_HOSTNAME": "web-01",
        "SYSLOG_IDENTIFIER": program, "MESSAGE": message, **fields,
    }  # fmt: skip
    add(path, json.dumps(entry) + "\n")


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    made = Host(tmp_path)
    yield made
    made.kill()


def test_all_sources_are_read_side_by_side_and_each_goes_on_where_it_was(host: Host) -> None:
    for path in (host.auth, host.kern, host.audit, host.web):
        path.write_text("")
    host.read()
    for n in range(3):
        log(host.auth, SSHD.format(n=n))
        log(host.kern, BLOCK.format(n=n, port=22))
        add(host.audit, execution(n))
        add(host.web, web(n, f"/{n}/.env") if n == 0 else web(n, "/?q=<script>") if n == 1 else web(n, "/?q=${jndi:x"))
        host.read()
        host.kill()
    assert host.types() == {"LOGIN_FAIL": 3, "CONNECTION_BLOCKED": 3, "PROCESS_EXEC": 3, "WEB_ATTACK": 3}
    assert set(json.loads(host.position or "")) == {str(path) for path in (host.auth, host.kern, host.audit, host.web)}


def test_a_position_of_the_version_before_is_understood(host: Host) -> None:
    host.auth.write_text("")
    log(host.auth, SSHD.format(n=1))
    host.read()
    kept = json.loads(host.position or "")
    assert set(json.loads(kept[str(host.auth)])) == {"inode", "first", "offset"}
    log(host.auth, SSHD.format(n=2))
    host.kill()
    assert [event.source_ip for event in host.read()] == ["192.0.2.2"]


def test_a_source_that_may_not_be_read_is_said_once_and_the_others_go_on(
    host: Host, caplog: pytest.LogCaptureFixture
) -> None:
    host.auth.write_text("")
    # nobody may read a folder as a file: root, who runs the tests in places, may read everything else
    host.audit.mkdir()
    host.web.mkdir()
    host.read()
    for n in range(3):
        host.look_again()
        log(host.auth, SSHD.format(n=n))
        assert len(host.read()) == 1
    assert caplog.text.count(f"{host.audit} cannot be read") == 1
    assert caplog.text.count(f"{host.web} cannot be read") == 1
    host.audit.rmdir()
    host.audit.write_text(execution(1))
    host.look_again()
    assert host.read() == []  # it was there before, who knows since when
    add(host.audit, execution(2))
    assert [event.event_type for event in host.read()] == ["PROCESS_EXEC"]


@contextlib.contextmanager
def as_nobody() -> Iterator[None]:
    """As a user without rights, when the tests run as root; files of mode 0 are nobody's else."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(65_534)
    try:
        yield
    finally:
        os.seteuid(before)


def test_folders_and_files_of_others_are_said_once_and_the_others_go_on(caplog: pytest.LogCaptureFixture) -> None:
    # not in pytest's folder, which nobody but its owner may enter
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "httpd").mkdir(mode=0)
        (folder / "httpd").chmod(0)
        host = Host(folder)
        for path, mode in ((host.auth, 0o644), (host.audit, 0), (host.web, 0)):
            path.write_text("")
            path.chmod(mode)
        patterns = [str(host.web), f"{folder}/httpd/*access_log"]
        with as_nobody():
            host.collector = LinuxCollector("web-01", Journal(["/nonexistent"]), [host.auth], [], host.audit, patterns)
            for _ in range(3):
                host.read()
                host.look_again()
        log(host.auth, SSHD.format(n=1))
        with as_nobody():
            assert [event.event_type for event in host.read()] == ["LOGIN_FAIL"]
        for what in (f"{folder}/httpd", host.audit, host.web):
            assert caplog.text.count(f"{what} cannot be read") == 1
        (folder / "httpd").chmod(0o700)


def test_a_log_that_comes_later_is_read_from_its_beginning(host: Host) -> None:
    host.auth.write_text("")
    host.read()
    host.web.write_text(web(1))
    host.audit.write_text(execution(1))
    host.look_again()
    assert sorted(event.event_type for event in host.read()) == ["PROCESS_EXEC", "WEB_ATTACK"]


def test_a_log_that_is_gone_for_good_is_forgotten(host: Host) -> None:
    host.auth.write_text("")
    host.web.write_text("")
    host.read()
    host.web.unlink()
    for _ in range(3):
        host.read()
        host.look_again()
    host.read()
    assert set(json.loads(host.position or "")) == {str(host.auth)}


def test_a_busy_source_does_not_keep_the_others_waiting(host: Host) -> None:
    for path in (host.auth, host.web):
        path.write_text("")
    host.read()
    add(host.web, web(1, "/") * 20_000)
    log(host.auth, SSHD.format(n=1))
    assert host.collector
    told = []
    for _ in range(3):
        reading = host.collector.read(host.position)
        host.position = reading.position
        told += reading.events
    assert [event.event_type for event in told] == ["LOGIN_FAIL"]


def test_what_two_files_of_syslog_have_is_told_once(host: Host) -> None:
    host.auth.write_text("")
    host.kern.write_text("")
    host.read()
    for path in (host.auth, host.kern):
        log(path, SSHD.format(n=1), BLOCK.format(n=1, port=22), "systemd[1]: x.service: Failed with result 'signal'.")
    host.read()
    assert host.types() == {"LOGIN_FAIL": 1, "CONNECTION_BLOCKED": 1, "CRITICAL_ERROR": 1}


@pytest.mark.parametrize("missing", ["auth", "kern"])
def test_one_file_that_has_all_is_enough(host: Host, missing: str) -> None:
    path = host.kern if missing == "auth" else host.auth
    path.write_text("")
    host.read()
    log(path, SSHD.format(n=1), BLOCK.format(n=1, port=22))
    host.read()
    assert host.types() == {"LOGIN_FAIL": 1, "CONNECTION_BLOCKED": 1}


REFUSED = (
    'pid=1 uid=0 auid=1 ses=1 msg=\'op=PAM:authentication grantors=? acct="root" exe="/usr/sbin/sshd" '
    "hostname=192.0.2.1 addr=192.0.2.1 terminal=ssh res=failed'"
)


def test_a_failed_login_that_auditd_tells_too_is_counted_once(host: Host) -> None:
    host.auth.write_text("")
    host.audit.write_text("")
    host.read()
    log(host.auth, SSHD.format(n=1))
    add(host.audit, f"type=USER_AUTH msg=audit(1732400100.010:20): {REFUSED}\n")
    host.read()
    assert host.types() == {"LOGIN_FAIL": 1}


def test_a_failed_login_that_auditd_alone_tells_is_counted(host: Host) -> None:
    host.audit.write_text("")
    host.read()
    add(host.audit, f"type=USER_AUTH msg=audit(1732400100.010:20): {REFUSED}\n")
    assert [(event.event_type, event.source_ip) for event in host.read()] == [("LOGIN_FAIL", "192.0.2.1")]


def wait_for(host: Host, count: int) -> None:
    wait_until(lambda: host.read() is None or len(host.events) >= count, f"{count} events, and not {host.types()}")


def test_an_audit_record_that_the_journal_has_twice_is_told_once_and_a_login_too(host: Host) -> None:
    journal(host.journal, "systemd", "begun")
    host.read()
    journal(host.journal, "audit", f"USER_AUTH {REFUSED}", _TRANSPORT="audit")
    journal(host.journal, "sshd", SSHD.format(n=1).split(": ")[1])
    journal(host.journal, "audit", f"ANOM_ABEND {ABEND}", _TRANSPORT="audit")
    journal(host.journal, "kernel", f"audit: type=1701 audit(1732400300.398:50): {ABEND}", _TRANSPORT="kernel")
    journal(host.journal, "useradd", "new user: name=last, UID=1, GID=1, home=/, shell=/bin/sh")
    wait_for(host, 3)
    assert host.types() == {"LOGIN_FAIL": 1, "CRITICAL_ERROR": 1, "ACCOUNT_CREATE": 1}


def test_the_kernels_own_audit_lines_are_told_where_journald_has_no_others(host: Host) -> None:
    journal(host.journal, "systemd", "begun")
    host.read()
    journal(host.journal, "kernel", f"audit: type=1701 audit(1732400300.398:50): {ABEND}", _TRANSPORT="kernel")
    wait_for(host, 1)
    assert host.types() == {"CRITICAL_ERROR": 1}


def test_auditds_log_wins_over_the_journal(host: Host) -> None:
    journal(host.journal, "audit", "SERVICE_START pid=1", _TRANSPORT="audit")
    host.audit.write_text("")
    host.read()
    journal(host.journal, "audit", f"ANOM_ABEND {ABEND}", _TRANSPORT="audit")
    journal(host.journal, "useradd", "new user: name=last, UID=1, GID=1, home=/, shell=/bin/sh")
    add(host.audit, f"type=ANOM_ABEND msg=audit(1732400300.398:50): {ABEND}\n")
    wait_for(host, 2)
    assert host.types() == {"CRITICAL_ERROR": 1, "ACCOUNT_CREATE": 1}


def test_records_are_told_from_elsewhere_once_auditd_has_ended(host: Host) -> None:
    journal(host.journal, "audit", "SERVICE_START pid=1", _TRANSPORT="audit")
    host.audit.write_text("")
    host.read()
    add(host.audit, "type=DAEMON_END msg=audit(1732400402.000:8122): op=terminate auid=1000 uid=0 res=success\n")
    wait_for(host, 1)
    journal(host.journal, "audit", f"ANOM_ABEND {ABEND}", _TRANSPORT="audit")
    wait_for(host, 2)
    assert host.types() == {"LOG_TAMPERING": 1, "CRITICAL_ERROR": 1}
    host.kill()
    journal(host.journal, "audit", f"ANOM_ABEND {ABEND.replace('httpd', 'nginx')}", _TRANSPORT="audit")
    wait_for(host, 3)  # a restart sees how the log ends
    assert host.types() == {"LOG_TAMPERING": 1, "CRITICAL_ERROR": 2}


def test_what_the_kernel_prints_is_told_though_the_log_of_an_auditd_that_was_killed_is_there(host: Host) -> None:
    journal(host.journal, "systemd", "begun")
    host.audit.write_text("")
    host.read()
    add(host.audit, f"type=ANOM_ABEND msg=audit(1732400300.398:50): {ABEND}\n")
    wait_for(host, 1)
    printed = ABEND.replace("httpd", "nginx")
    journal(host.journal, "kernel", f"audit: type=1701 audit(1732400301.398:51): {printed}", _TRANSPORT="kernel")
    wait_for(host, 2)
    assert host.types() == {"CRITICAL_ERROR": 2}


def test_many_ports_that_the_kernel_blocked_are_a_scan(host: Host) -> None:
    host.kern.write_text("")
    host.read()
    log(host.kern, *(BLOCK.format(n=7, port=port) for port in range(1, 100)))
    host.read()
    assert host.types() == {"CONNECTION_BLOCKED": 99, "PORT_SCAN": 1}


def test_ports_that_are_far_apart_in_time_are_no_scan_however_late_they_are_read(host: Host) -> None:
    host.kern.write_text("")
    host.read()
    begun = datetime.now(UTC) - timedelta(days=1)
    for port in range(1, 3 * SCAN_PORTS):
        log(host.kern, BLOCK.format(n=7, port=port), at=begun + timedelta(minutes=10 * port))
    host.read()
    assert host.types() == {"CONNECTION_BLOCKED": 3 * SCAN_PORTS - 1}


def counted(events: list[Event]) -> int:
    return sum(int(found[1]) if (found := re.match(r"\[(\d+) more", one.raw_message)) else 1 for one in events)


@pytest.mark.parametrize("seed", range(3))
def test_a_block_is_counted_once_in_the_journal_whatever_dies(host: Host, seed: int) -> None:
    print(f"seed {seed}")
    chance = random.Random(seed)
    at = datetime.now(UTC) - timedelta(hours=1)
    journal(host.journal, "systemd", "begun", at)
    host.read()
    count = 0
    for _ in range(12):
        for _ in range(chance.randrange(6)):
            at += timedelta(seconds=chance.choice([0.1, 3, WINDOW_SECONDS]))
            journal(host.journal, "kernel", BLOCK.format(n=1, port=chance.choice([22, 23])).split(": ", 1)[1], at)
            count += 1
        kept = host.position, list(host.events)
        for _ in range(3):
            host.read()
        if chance.random() < 0.5:
            host.kill()
            if chance.random() < 0.5:
                host.position, host.events = kept
    journal(host.journal, "sshd", SSHD.format(n=1).split(": ")[1], at + timedelta(seconds=2 * WINDOW_SECONDS))
    wait_until(lambda: host.read() is None or "LOGIN_FAIL" in host.types(), "the last line")
    assert counted(host.events) - 1 == count


@pytest.mark.mosquitto
def test_an_agent_that_is_killed_loses_and_doubles_nothing_of_any_source(
    receiver: Receiver, start_agent: Callable[..., AgentProcess], broker: Any, tmp_path: Path
) -> None:
    auth, audit, access = (tmp_path / name for name in ("auth.log", "audit.log", "access.log"))
    for path in (auth, audit, access):
        path.write_text("")
    variables = {"TEST_AUDIT_LOG": str(audit), "TEST_ACCESS_LOG": str(access)}
    agent = start_agent(broker.port, **variables)
    wait_until(lambda: "reading" in agent.said() and receiver.of("heartbeat"), "it runs")
    count = 0
    for turn in range(4):
        for n in range(200 * turn, 200 * turn + 200):
            log(auth, SSHD.format(n=n % 250) + f": RSA {n}")
            add(audit, execution(n))
            add(access, web(n))
        count += 200
        wait_until(lambda: len(receiver.ids()) > 400 * turn + 50, "some have come")  # noqa: B023
        agent.process.kill()
        agent.process.wait()
        agent = start_agent(broker.port, **variables)

    def texts(event_type: str) -> list[str]:
        return list(
            {e["event_id"]: e["raw_message"] for e in receiver.events() if e["event_type"] == event_type}.values()
        )

    wait_until(lambda: len(texts("PROCESS_EXEC")) >= count and len(texts("LOGIN_FAIL")) >= count, "all have come")
    assert sorted(int(text.split()[-1]) for text in texts("PROCESS_EXEC")) == list(range(count))
    assert sorted(int(text.split()[-1]) for text in texts("LOGIN_FAIL")) == list(range(count))
    assert texts("WEB_ATTACK")
