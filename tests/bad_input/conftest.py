from __future__ import annotations

import pytest

DATABASES = ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Everything here holds on both databases."""
    if "database" in metafunc.fixturenames:
        metafunc.parametrize("database", DATABASES, scope="module")
