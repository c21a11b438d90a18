"""What is accepted is stored once, although processes are killed meanwhile."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
from pathlib import Path

import pytest
from heimdall_home import HOST, running
from postgresql_server import database
from waiting import wait_until

LINES = 20_000
REPETITIONS = int(os.environ.get("HEIMDALL_REPETITIONS", "1"))
DATABASES = ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)]


def write_log(path: Path) -> None:
    with path.open("w") as log:
        for n in range(LINES):
            clock = f"06:{n // 600 % 60:02}:{n // 10 % 60:02}"
            address = f"203.0.113.{n % 250} port {n % 60_000}"
            log.write(f"Nov 23 {clock} box sshd[{n}]: Failed password for root from {address} ssh2\n")


@pytest.mark.mosquitto
@pytest.mark.parametrize("kind", DATABASES)
@pytest.mark.parametrize("repetition", range(REPETITIONS))
def test_what_is_read_is_stored_once_whatever_is_killed(kind: str, repetition: int, tmp_path: Path) -> None:
    seed = random.randrange(1 << 32)
    print("seed", seed)
    chance = random.Random(seed)
    log = tmp_path / "auth.log"
    write_log(log)
    if kind == "postgresql":
        with database() as url:
            kill_while_reading(log, chance, HEIMDALL_DATABASE_URL=url)
    else:
        kill_while_reading(log, chance)


def kill_while_reading(log: Path, chance: random.Random, **environment: str) -> None:
    with running("mosquitto", **environment) as up:
        command = up.command("agent", "--kind", "linux", "--read", str(log), "--once")
        reading = subprocess.Popen(command, env=up.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        killed = 0
        while reading.poll() is None and killed < 8:
            for name in chance.sample(["ingest", "api", "agent", "broker"], 2):
                # one that was killed a moment ago may be gone between the look and the kill
                with contextlib.suppress(KeyError, ProcessLookupError):
                    os.kill(up.children()[name], signal.SIGKILL)
                    killed += 1
            try:
                reading.wait(chance.uniform(0.3, 1.5))
            except subprocess.TimeoutExpired:
                continue
        _, stderr = reading.communicate(timeout=100)
        assert reading.returncode == 0, stderr.decode()
        assert killed > 0
        wait_until(up.answers)
        host = up.host(HOST)
        assert host["total_events"] == LINES
        seen: set[str] = set()
        cursor: dict[str, str] = {}
        while True:
            page = up.get("/events", source_host=HOST, limit=1000, **cursor)
            seen.update(event["event_id"] for event in page["events"])
            if page["next"] is None:
                break
            cursor = {"cursor": page["next"]}
        assert len(seen) == LINES
