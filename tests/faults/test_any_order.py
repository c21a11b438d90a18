"""Faults in random order, several at a time: what holds for each row alone holds for all of them together."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Iterator

import pytest
from any_order import AnyOrder
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test
from postgresql_server import Server, database

pytestmark = pytest.mark.mosquitto
Often = Callable[[int], int]


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def machine(request: pytest.FixtureRequest) -> Iterator[type[AnyOrder]]:
    if request.param == "sqlite":
        yield type("OnSQLite", (AnyOrder,), {"server": None, "make_database": lambda: contextlib.nullcontext("")})
        return
    server = Server()
    yield type("OnPostgreSQL", (AnyOrder,), {"server": server, "make_database": lambda: database(running=server)})
    server.remove()


@pytest.mark.timeout(900)
def test_faults_in_any_order_lose_nothing(machine: type[AnyOrder], chance: random.Random, often: Often) -> None:
    machine.chance = chance
    seed(chance.randrange(1 << 32))(machine)
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=often(8),
            stateful_step_count=10,
            deadline=None,
            # an example takes ten seconds and real processes never do the same twice: to shrink it would say nothing
            phases=[Phase.generate],
            database=None,
            print_blob=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
