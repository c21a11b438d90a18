"""A Pi-hole's agent, from FTL's database to `/events`: the agent's file on the oldest Python here."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from ftl import BLOCKED, Ftl, a_day
from heimdall_home import Running, running
from machine import oldest_python
from waiting import wait_until

pytestmark = pytest.mark.mosquitto

# the agent as it is, but for the folder of FTL's configuration, and for how long it waits between two looks
LAUNCH = """
import sys
from pathlib import Path
file, folder = sys.argv[1:3]
del sys.argv[1:3]
sys.path.insert(0, file)
from agents import agent_pihole
from heimdall.agent import main
agent_pihole.LOOK_SECONDS = agent_pihole.LOOK_AGAIN_SECONDS = 0.2
def make(host): return agent_pihole.PiholeCollector(host, Path(folder))
agent_pihole.make_collector = make
sys.exit(main())
"""


@pytest.fixture(scope="module")
def up() -> Iterator[Running]:
    with running("mosquitto") as started:
        yield started


@pytest.fixture(scope="module")
def file(up: Running, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bare") / "heimdall-agent.pyz"
    path.write_bytes(httpx.get(f"{up.url}/agent.pyz").raise_for_status().content)
    return path


def token(up: Running, host: str) -> str:
    made = up.run("enroll", host, "--kind", "pihole", "--json")
    assert made.returncode == 0, made.stderr
    return str(json.loads(made.stdout)["token"]) + "\n"


def texts(up: Running, host: str) -> list[str]:
    events = up.get("/events", source_host=host, event_type="DNS_BLOCK", os_type="PIHOLE", limit=1_000)["events"]
    return sorted(event["raw_message"] for event in events)


def test_what_ftl_writes_arrives_also_when_its_database_is_made_after_the_agent(
    up: Running, file: Path, tmp_path: Path
) -> None:
    (tmp_path / "pihole.toml").write_text(f'[files]\n  database = "{tmp_path}/queries.db"\n')
    words = ["agent", "--kind", "pihole", "--host", "pi-hole", "--interval", "1", "--enroll", "-"]
    agent = subprocess.Popen(
        [oldest_python(), "-I", "-S", "-c", LAUNCH, str(file), str(tmp_path), *words],
        env={"HEIMDALL_HOME": str(tmp_path / "home")}, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip
    ftl = None
    try:
        assert agent.stdin is not None
        agent.stdin.write(token(up, "pi-hole"))
        agent.stdin.flush()
        wait_until(lambda: up.host("pi-hole"), "the host is alive without a database")
        assert up.host("pi-hole")["os_type"] == "PIHOLE"
        now = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(minutes=9)
        ftl = Ftl(tmp_path / "queries.db")
        ftl.ask(7, at=now, client="2001:db8::7")
        wait_until(lambda: len(texts(up, "pi-hole")) == 1, "the first event")
        ftl.ask(2, at=now + timedelta(minutes=2), domain="ads.example.net", status=4)
        wait_until(lambda: len(texts(up, "pi-hole")) == 2, "the second")
        (first,) = [text for text in texts(up, "pi-hole") if "ads.example.com" in text]
        assert first.startswith("Pi-hole blocked ads.example.com (A) for 2001:db8::7 7 times from ")
    finally:
        agent.terminate()
        _, said = agent.communicate(timeout=30)
        if ftl:
            ftl.close()
    assert agent.returncode == 0, said
    assert said.count("No such file or directory (is Pi-hole installed here") == 1, said


def test_a_given_database_arrives_once_however_often_it_is_read(up: Running, file: Path, tmp_path: Path) -> None:
    ftl = Ftl(tmp_path / "old.db")
    asked = a_day(seed=5, queries=900)
    ftl.write(asked)
    ftl.close()
    words = ["agent", "--kind", "pihole", "--host", "pi-old", "--read", str(ftl.path), "--once", "--json"]
    home = {"HEIMDALL_HOME": str(tmp_path / "home")}
    for enrolling in (["--enroll", "-"], []):
        done = subprocess.run(
            [oldest_python(), "-I", "-S", str(file), *words, *enrolling], env=home, text=True, timeout=100, check=False,
            input=token(up, "pi-old") if enrolling else "", capture_output=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout)
        assert (told["lines"], told["sent"]) == (900, True)
        arrived = texts(up, "pi-old")
        assert len(arrived) == told["events"]
    counts = [int(text.split(" times ")[0].split()[-1]) if " times from " in text else 1 for text in arrived]
    assert sum(counts) == sum(query.status in BLOCKED for query in asked)
