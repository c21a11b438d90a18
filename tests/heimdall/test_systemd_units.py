"""The units of the server: systemd takes them, they are closed, and what they start is ready."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from systemd_machine import booted
from waiting import free_port, wait_until

ROOT = Path(__file__).parents[2]
SERVICES = sorted(path.name for path in (ROOT / "systemd").glob("*.service"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The units, for a program that is here."""
    made = tmp_path / "units"
    shutil.copytree(ROOT / "systemd", made)
    for unit in made.glob("*.service"):
        unit.write_text(unit.read_text().replace("/opt/heimdall/bin/heimdall", "/bin/true"))
        if "@" in unit.name:
            shutil.copy(unit, made / unit.name.replace("@", "@1"))
    return made


def analyze(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["systemd-analyze", *arguments], env={"SYSTEMD_UNIT_PATH": f"{folder}:", "PATH": "/usr/bin:/bin"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.stdout + done.stderr


@pytest.mark.systemd
@pytest.mark.parametrize("name", SERVICES)
def test_systemd_takes_each_unit_without_a_word_and_each_is_closed(folder: Path, name: str) -> None:
    name = name.replace("@", "@1")
    assert analyze(folder, "verify", "--man=no", str(folder / name)).strip() == ""
    said = analyze(folder, "security", "--offline=yes", name)
    exposure = re.search(r"exposure level for \S+: ([\d.]+)", said)
    assert exposure is not None, said
    assert float(exposure[1]) < 2.5


@pytest.mark.booted
def test_the_service_of_all_is_ready_kept_alive_and_its_journal_lets_nobody_in() -> None:
    port, mqtt_port = free_port(), free_port()
    own = f"""[Service]
ExecStart=
ExecStart={sys.executable} -m heimdall up --broker embedded
Environment=PYTHONPATH={ROOT} HEIMDALL_HTTP_PORT={port} HEIMDALL_MQTT_PORT={mqtt_port} HEIMDALL_HOST=booted-01
# the program of the tests lies where only its owner may look
User=root
PrivateTmp=no
ProtectHome=read-only
"""

    def is_ready() -> bool:
        try:
            with urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2) as answer:
                return bool(answer.status == 200)
        except (URLError, OSError):
            return False

    with booted() as machine:
        unit = "heimdall-server-up.service"
        machine.run(f"cp -r {ROOT}/systemd/* /etc/systemd/system/ && mkdir /etc/systemd/system/{unit}.d")
        machine.run(f"cat > /etc/systemd/system/{unit}.d/own.conf", own)
        started = machine.run(f"systemctl daemon-reload && systemctl start {unit}")
        assert started.returncode == 0, started.stderr
        wait_until(is_ready, "it is ready", 60)
        assert machine.show(unit, "StateDirectoryMode") == "0700"
        machine.run(f"systemctl kill --signal=KILL {unit}")
        wait_until(lambda: machine.show(unit, "NRestarts") == "1", "it is started again")
        wait_until(is_ready, "it is ready again", 60)

        def said() -> str:
            return machine.run(f"journalctl --unit {unit} --output cat").stdout

        wait_until(lambda: said().count(f"page      http://127.0.0.1:{port}\n") == 2, "the journal tells where to look")
        assert "token=" not in said()
        stopped = machine.run(f"systemctl stop {unit} && systemctl show --property Result --value {unit}")
        assert stopped.stdout.strip() == "success", said()[-3000:]
