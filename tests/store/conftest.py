"""One suite for both databases: `url` is a fresh one of each kind, `store` is open on it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from store import Store, open_store


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    with ExitStack() as stack:
        if request.param == "sqlite":
            yield f"sqlite:///{tmp_path / 'mini_siem.db'}"
        else:
            from postgresql_server import database

            yield stack.enter_context(database())


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    opened = open_store(url, checkpointer=True)
    yield opened
    opened.close()
