"""What the tests need of the machine: absent, a test is skipped with its reason, or fails where CI demands it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from machine import NEEDS

from core.spool import Spool

# folders whose files take longest, which are handed out first: what comes last keeps one process busy alone
_LONGEST = ("containers", "faults", "e2e", "security", "bad_input", "agents", "heimdall")

_present: dict[str, bool] = {}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The order in which files are handed out; within a file it stays."""
    items.sort(key=lambda item: _LONGEST.index(name) if (name := item.path.parent.name) in _LONGEST else len(_LONGEST))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what cannot run here, unless HEIMDALL_TESTS_REQUIRE names it: then its absence is a failure."""
    required = os.environ.get("HEIMDALL_TESTS_REQUIRE", "").split()
    for name, (is_present, reason) in NEEDS.items():
        if item.get_closest_marker(name) is None:
            continue
        if name not in _present:
            _present[name] = is_present()
        if not _present[name]:
            (pytest.fail if name in required else pytest.skip)(reason)


@pytest.fixture
def new() -> Iterator[str]:
    """The URL of an empty database in PostgreSQL, to which something moves."""
    from postgresql_server import database

    with database() as url:
        yield url


@pytest.fixture(autouse=True)
def _spools_are_closed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A spool is open as long as its process lives; a test's process lives on, and Python 3.13 warns of such files."""
    opened: list[Spool] = []
    open_file = Spool._open

    def note(spool: Spool, path: Path, checkpoints: bool) -> None:
        opened.append(spool)
        open_file(spool, path, checkpoints)

    monkeypatch.setattr(Spool, "_open", note)
    yield
    for spool in opened:
        with contextlib.suppress(AttributeError):  # the file could not even be opened
            spool.close()
