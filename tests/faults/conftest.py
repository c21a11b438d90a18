"""Each row of the matrix runs on both databases, with a seed of its own that is printed."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from faults_site import Site, site

REPETITIONS = int(os.environ.get("HEIMDALL_REPETITIONS", "1"))
SOAK_SECONDS = 480  # before a test counts as hung: under `make soak` it breaks four times as much as under `make test`
DATABASES = ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if REPETITIONS > 1 and Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.timeout(SOAK_SECONDS))


@pytest.fixture(params=range(REPETITIONS))
def chance(request: pytest.FixtureRequest) -> random.Random:
    """Randomness that can be had again: HEIMDALL_SEED=… repeats a run."""
    seed = int(os.environ.get("HEIMDALL_SEED") or random.randrange(1 << 32))
    print("HEIMDALL_SEED", seed)
    return random.Random(seed)


@pytest.fixture(params=DATABASES)
def database_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """A fresh database: "" is SQLite in the site's own home."""
    with ExitStack() as stack:
        if request.param == "sqlite":
            yield ""
        else:
            from postgresql_server import database

            yield stack.enter_context(database())


@pytest.fixture
def here(database_url: str) -> Iterator[Site]:
    """A site on either database, with `last_seen` watched."""
    with site(database_url) as made:
        yield made


@pytest.fixture
def often() -> Callable[[int], int]:
    """How often to break something: `often(20)` is 20 under `make soak`, a quarter of it under `make test`."""
    return lambda times: times if REPETITIONS > 1 else -(-times // 4)
