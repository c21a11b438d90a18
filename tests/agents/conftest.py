"""Fixtures of the agents' tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from agent_process import AgentProcess, Receiver
from plain_mosquitto import Broker


@pytest.fixture
def make_broker(tmp_path: Path) -> Iterator[Callable[[str], Broker]]:
    """Makes brokers with further lines of configuration; they are not started yet."""
    made: list[Broker] = []

    def make(extra: str) -> Broker:
        made.append(Broker(tmp_path / f"broker-{len(made)}", extra))
        return made[-1]

    yield make
    for broker in made:
        broker.kill()


@pytest.fixture
def broker(make_broker: Callable[[str], Broker]) -> Broker:
    made = make_broker("")
    made.start()
    return made


@pytest.fixture
def receiver(broker: Broker) -> Iterator[Receiver]:
    made = Receiver(broker.port)
    yield made
    made.close()


@pytest.fixture
def start_agent(tmp_path: Path) -> Iterator[Callable[..., AgentProcess]]:
    """Starts agents of one home; the log that they follow is `tmp_path/auth.log`."""
    started: list[AgentProcess] = []

    def start(port: int | None, *arguments: str, **variables: str) -> AgentProcess:
        environment = {
            "HEIMDALL_HOME": str(tmp_path / "home"), "HEIMDALL_HOST": "web-01", "TEST_LOG": str(tmp_path / "auth.log"),
            **variables,
        }  # fmt: skip
        if port is not None:
            environment["HEIMDALL_BROKER_URL"] = f"mqtt://web-01:secret@127.0.0.1:{port}"
        agent = AgentProcess(environment, tmp_path / f"agent-{len(started)}.err", *arguments)
        started.append(agent)
        return agent

    yield start
    for agent in started:
        if agent.process.poll() is None:
            agent.process.kill()
        agent.process.communicate()
