"""The agent's file on a host that has Python and nothing else: the oldest Python found here, without site-packages."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import httpx
import pytest
from heimdall_home import Running, running
from machine import oldest_python
from waiting import wait_until

pytestmark = pytest.mark.mosquitto

HOST = "bare-01"


@pytest.fixture(scope="module")
def up() -> Iterator[Running]:
    with running("mosquitto") as started:
        yield started


@pytest.fixture(scope="module")
def file(up: Running, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file as a host fetches it, in a folder with nothing beside it."""
    path = tmp_path_factory.mktemp("bare") / "heimdall-agent.pyz"
    answer = httpx.get(f"{up.url}/agent.pyz")
    assert answer.status_code == 200, answer.text
    path.write_bytes(answer.content)
    return path


@pytest.fixture(scope="module")
def bare() -> list[str]:
    """A Python that sees neither packages nor the environment."""
    return [oldest_python(), "-I", "-S"]


@contextlib.contextmanager
def agent(bare: list[str], file: Path, home: Path, *words: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [*bare, file.name, *words], cwd=file.parent, env={"HEIMDALL_HOME": str(home)},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_it_knows_its_version(bare: list[str], file: Path) -> None:
    said = subprocess.run([*bare, file, "--version"], env={}, capture_output=True, text=True, check=True).stdout
    assert said == f"heimdall {version('heimdall-siem')}\n"


def test_it_takes_all_options_of_the_agent_and_no_other_command(bare: list[str], file: Path, up: Running) -> None:
    said = subprocess.run([*bare, file, "--help"], env={}, capture_output=True, text=True, check=True).stdout
    ours = up.run("agent", "--help").stdout
    options = [word for word in ours.replace("[", " ").replace("]", " ").split() if word.startswith("--")]
    assert "--enroll" in options
    assert [option for option in options if option not in said] == []
    other = subprocess.run([*bare, file, "up"], env={}, capture_output=True, text=True, check=False)
    assert (other.returncode, "invalid choice" in other.stderr) == (2, True)


def test_the_name_of_the_command_may_stand_before_its_words(bare: list[str], file: Path) -> None:
    for words in (["--help"], ["install", "--help"], ["--interval", "x"]):
        said = [
            subprocess.run([*bare, file, *before, *words], env={}, capture_output=True, text=True, check=False)
            for before in ([], ["agent"])
        ]
        assert (said[0].returncode, said[0].stdout, said[0].stderr) == (
            said[1].returncode, said[1].stdout, said[1].stderr,
        )  # fmt: skip


def test_without_a_token_it_says_what_to_do(bare: list[str], file: Path, tmp_path: Path) -> None:
    with agent(bare, file, tmp_path, "--enroll", "-") as process:
        said, _ = process.communicate("", timeout=30)
    assert (process.returncode, "HEIMDALL_ENROLL_TOKEN" in said) == (2, True)


def test_a_host_with_nothing_but_python_enrols_and_is_alive(
    up: Running, bare: list[str], file: Path, tmp_path: Path
) -> None:
    made = up.run("enroll", HOST, "--json")
    assert made.returncode == 0, made.stderr
    with agent(bare, file, tmp_path, "--host", HOST, "--interval", "1", "--enroll", "-") as process:
        assert process.stdin is not None
        process.stdin.write(json.loads(made.stdout)["token"] + "\n")
        process.stdin.flush()
        wait_until(lambda: up.host(HOST), "the host is alive")
        info = wait_until(lambda: up.get(f"/hosts/{HOST}").get("info"), "the host has told what it is")
        seen = up.host(HOST)["last_seen"]
        wait_until(lambda: up.host(HOST)["last_seen"] > seen, "another heartbeat arrives")
        assert process.poll() is None
    assert info["version"] == version("heimdall-siem")
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_a_log_that_it_reads_arrives(up: Running, bare: list[str], file: Path, tmp_path: Path) -> None:
    made = up.run("enroll", "bare-02", "--json")
    log = tmp_path / "auth.log"
    log.write_text("Dec  3 20:49:50 bare-02 sshd[9]: Failed password for root from 203.0.113.9 port 4711 ssh2\n")
    words = ("--host", "bare-02", "--kind", "linux", "--read", str(log), "--once", "--enroll", "-")
    with agent(bare, file, tmp_path / "home", *words) as process:
        said, _ = process.communicate(json.loads(made.stdout)["token"] + "\n", timeout=60)
    assert process.returncode == 0, said
    assert [event["event_type"] for event in up.get("/events", source_host="bare-02")["events"]] == ["LOGIN_FAIL"]
