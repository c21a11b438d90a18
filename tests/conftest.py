"""What the tests need of the machine: absent, a test is skipped with its reason, or fails where CI demands it."""

from __future__ import annotations

import os

import pytest
from machine import NEEDS

_present: dict[str, bool] = {}


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
