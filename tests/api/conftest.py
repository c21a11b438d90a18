"""Parts of an API for each test: see `api_parts`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from api_parts import Api, Broker, Ingestor, make_settings, running_api
from waiting import free_port, wait_until


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    found = Broker(tmp_path)
    found.start()
    yield found
    found.kill()


@pytest.fixture
def ingestor(broker: Broker) -> Iterator[Ingestor]:
    found = Ingestor(broker.port)
    found.start()
    yield found
    found.stop()


@pytest.fixture
def api(tmp_path: Path, broker: Broker) -> Iterator[Api]:
    """An API that is connected to the broker."""
    with running_api(make_settings(tmp_path / "home", broker.port, free_port())) as found:
        wait_until(lambda: found.bridge.state() == "ok", "the bridge has connected")
        yield found


@pytest.fixture
def lone_api(tmp_path: Path) -> Iterator[Api]:
    """An API whose broker is away."""
    with running_api(make_settings(tmp_path / "home", free_port(), free_port())) as found:
        yield found
