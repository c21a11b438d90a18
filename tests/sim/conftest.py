"""Fixtures of the simulation's tests: a plain broker, who listens there, a judge, and simulations as processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from plain_mosquitto import Broker
from pretended_judge import Judge
from sim_process import Ear, Simulation


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    made = Broker(tmp_path / "broker")
    made.start()
    yield made
    made.kill()


@pytest.fixture
def listen(broker: Broker) -> Iterator[Callable[[], Ear]]:
    made: list[Ear] = []

    def start() -> Ear:
        made.append(Ear(broker.port))
        return made[-1]

    yield start
    for ear in made:
        ear.close()


@pytest.fixture
def judge(broker: Broker) -> Iterator[Judge]:
    made = Judge(broker.port)
    yield made
    made.close()


@pytest.fixture
def simulate(broker: Broker, tmp_path: Path) -> Iterator[Callable[..., Simulation]]:
    made: list[Simulation] = []

    def start(*options: str, faults: str = "") -> Simulation:
        made.append(Simulation(broker.port, tmp_path, *options, faults=faults))
        return made[-1]

    yield start
    for one in made:
        one.end()
