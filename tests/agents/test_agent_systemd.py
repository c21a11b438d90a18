"""The agent as a service of a real systemd, with a real server: what it may do, and that nothing ends it for good."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from heimdall_home import Running, running_with_tls
from systemd_machine import SystemdMachine, booted
from test_agent_upgrade import agent_of
from waiting import wait_until

from core.token import read_token

pytestmark = [pytest.mark.mosquitto, pytest.mark.booted]
UNIT = "heimdall-agent"
AGENT = "python3 /usr/local/lib/heimdall/heimdall-agent.pyz"
HOME = "/var/lib/heimdall-agent"


@pytest.fixture(scope="module")
def up() -> Iterator[Running]:
    with running_with_tls() as started:
        yield started


@pytest.fixture(scope="module")
def machine() -> Iterator[SystemdMachine]:
    with booted() as started:
        yield started


@pytest.fixture(autouse=True)
def nothing_is_left(machine: SystemdMachine, tmp_path: Path) -> Iterator[None]:
    """A service of one test is none of the next's."""
    yield
    machine.run(f"test ! -e /usr/local/lib/heimdall || {AGENT} uninstall --purge")


def install(up: Running, machine: SystemdMachine, host: str, folder: Path, *words: str) -> str:
    """Type what `heimdall enroll` prints; returns that."""
    printed = up.run("enroll", host, *words).stdout.strip()
    done = machine.run(printed, folder=folder)
    assert done.returncode == 0, done.stderr
    return printed


def status(machine: SystemdMachine) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(machine.run(f"{AGENT} status --json").stdout)
    return told


def pid(machine: SystemdMachine) -> str:
    return machine.show(UNIT, "MainPID")


def test_one_line_makes_a_service_that_reads_the_journal_and_may_do_nothing_else(
    up: Running, machine: SystemdMachine, tmp_path: Path
) -> None:
    printed = install(up, machine, "sysd-01", tmp_path)
    wait_until(lambda: up.host("sysd-01"), "the host is alive")
    assert (machine.show(UNIT, "ActiveState"), machine.show(UNIT, "UnitFileState")) == ("active", "enabled")
    told = status(machine)
    assert (told["running"], told["connected"], told["server"]) == (True, True, up.url)
    process = dict(re.findall(r"^(\w+):\s*(.*)$", machine.run(f"cat /proc/{pid(machine)}/status").stdout, re.MULTILINE))
    assert "0" not in process["Uid"].split()
    assert {process[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
    assert process["NoNewPrivs"] == "1"
    wait_until(
        lambda: "reading the systemd journal" in machine.run(f"journalctl -u {UNIT}").stdout, "it reads the journal"
    )
    machine.run(
        "logger --socket /run/systemd/journal/dev-log -t sshd 'Failed password for root from 203.0.113.9 port 7 ssh2'"
    )
    wait_until(lambda: up.get("/events", source_host="sysd-01")["events"], "the journal's entry is an event")
    secret = read_token(re.findall(r"hmd_[\w-]+", printed)[0]).secret
    shown = machine.run(
        f"systemctl cat {UNIT}; journalctl; cat /proc/{pid(machine)}/cmdline /proc/{pid(machine)}/environ"
    )
    assert secret not in shown.stdout
    assert "hmd_" not in shown.stdout


def test_a_killed_agent_is_started_again(up: Running, machine: SystemdMachine, tmp_path: Path) -> None:
    install(up, machine, "sysd-02", tmp_path)
    before = pid(machine)
    machine.run(f"kill -9 {before}")
    wait_until(lambda: pid(machine) not in ("0", before), "systemd has started it again")
    wait_until(lambda: status(machine)["connected"], "it has connected again")


def test_a_second_enrolment_is_the_service_s_own_too(up: Running, machine: SystemdMachine, tmp_path: Path) -> None:
    install(up, machine, "sysd-03", tmp_path)
    secret, spool = (machine.run(f"cat {HOME}/credentials/agent").stdout, f"ls -i {HOME}/spool/agent.db")
    kept = machine.run(spool).stdout
    assert kept
    done = machine.run(f"{AGENT} install --interval 5 --enroll -", up.make_token("sysd-03", "--replace"))
    assert done.returncode == 0, done.stderr
    assert machine.run(f"cat {HOME}/credentials/agent").stdout != secret
    assert machine.run(spool).stdout == kept
    owners = machine.run(f"find {HOME}/ -printf '%u\\n'").stdout.split()
    assert set(owners) == {"heimdall-agent"}
    assert "--interval 5" in machine.run(f"systemctl cat {UNIT}").stdout


def test_an_upgrade_restarts_it_with_the_server_s_file(up: Running, machine: SystemdMachine, tmp_path: Path) -> None:
    (tmp_path / "old.pyz").write_bytes(agent_of("0.0.1"))
    token = up.make_token("sysd-04")
    done = machine.run(f"python3 {tmp_path}/old.pyz install --host sysd-04 --enroll -", token)
    assert done.returncode == 0, done.stderr
    assert status(machine)["version"] == "0.0.1"
    before = pid(machine)
    done = machine.run(f"{AGENT} upgrade")
    assert done.returncode == 0, done.stderr
    assert (status(machine)["version"], pid(machine) != before) == (version("heimdall-siem"), True)


def test_a_firewall_s_agent_gets_a_port_of_root_s_without_being_root(
    up: Running, machine: SystemdMachine, tmp_path: Path
) -> None:
    port = find_low_port()
    token = up.make_token("sysd-05", "--kind", "firewall")
    install(up, machine, "sysd-06", tmp_path)  # fetches the file
    machine.run(f"{AGENT} uninstall --purge")
    words = f"--kind firewall --host sysd-05 --listen 127.0.0.1:{port}"
    done = machine.run(f"python3 {tmp_path}/heimdall-agent.pyz install {words} --enroll -", token)
    assert done.returncode == 0, done.stderr
    line = (
        b"<134>Dec  3 20:49:50 fw kernel: [UFW BLOCK] IN=eth0 OUT= SRC=203.0.113.9 DST=192.0.2.1 PROTO=TCP SPT=1 DPT=22"
    )

    def told() -> Any:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(line, ("127.0.0.1", port))
        return up.get("/events", source_host="sysd-05")["events"]

    wait_until(told, "what was sent to the port is an event")
    assert "0" not in machine.run(f"stat -c %u /proc/{pid(machine)}").stdout.split()


def find_low_port() -> int:
    """A port below 1024 that nobody has, for UDP and TCP."""
    for port in range(1023, 600, -1):
        try:
            with socket.socket() as tcp, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
                tcp.bind(("127.0.0.1", port))
                udp.bind(("127.0.0.1", port))
        except OSError:
            continue
        return port
    raise LookupError("no port below 1024 is free")


def test_who_is_not_root_is_told_what_to_type(up: Running, machine: SystemdMachine, tmp_path: Path) -> None:
    install(up, machine, "sysd-07", tmp_path)
    done = machine.run(f"setpriv --reuid=65534 --clear-groups {AGENT} status")
    assert (done.returncode, "type `sudo /usr/bin/python3" in done.stderr) == (2, True), done.stderr


def test_what_is_uninstalled_leaves_its_home_and_what_is_purged_nothing(
    up: Running, machine: SystemdMachine, tmp_path: Path
) -> None:
    install(up, machine, "sysd-08", tmp_path)
    assert machine.run(f"{AGENT} uninstall").returncode == 0
    assert machine.show(UNIT, "LoadState") == "not-found"
    assert machine.run(f"ls {HOME}/credentials").stdout.split() == ["agent"]
    assert machine.run(f"python3 {tmp_path}/heimdall-agent.pyz install").returncode == 0
    wait_until(lambda: status(machine)["connected"], "it is connected without a token")
    assert machine.run(f"{AGENT} uninstall --purge").returncode == 0
    left = machine.run("find /var/lib /etc/systemd/system /usr/local/lib -name '*heimdall*'")
    assert (left.returncode, left.stdout) == (0, "")
