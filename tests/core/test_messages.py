from __future__ import annotations

import tracemalloc

import pytest

from core.messages import is_address


@pytest.mark.parametrize("text", ["203.0.113.9", "::", "2001:db8::1", "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255"])
def test_an_address_is_one(text: str) -> None:
    assert is_address(text)


@pytest.mark.parametrize(
    "text", ["", "N/A", "1.2.3", "1.2.3.4 ", "fe80::1%eth0", "10.0.0.0/8", "\0", "\ud800", "é", "²"]
)
def test_anything_else_is_no_address(text: str) -> None:
    assert not is_address(text)


def test_texts_that_are_no_addresses_do_not_fill_the_memory() -> None:
    tracemalloc.start()
    try:
        for number in range(500):
            assert not is_address(f"{number:0100000}")
        assert tracemalloc.get_traced_memory()[0] < 5_000_000
    finally:
        tracemalloc.stop()
