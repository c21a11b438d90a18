from __future__ import annotations

from collections.abc import Iterator

import pytest
from heimdall_home import Running, running

BROKERS = [pytest.param("mosquitto", marks=pytest.mark.mosquitto), "embedded"]


@pytest.fixture(scope="session", params=BROKERS)
def up(request: pytest.FixtureRequest) -> Iterator[Running]:
    """One Heimdall for all tests that only look; each uses host names of its own."""
    with running(request.param) as heimdall:
        yield heimdall
