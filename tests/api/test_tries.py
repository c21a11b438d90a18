from __future__ import annotations

import pytest

from api.tries import ADDRESSES, TRIES, WINDOW_SECONDS, Tries


def tried(address: str, count: int = TRIES, at: float = 0.0) -> Tries:
    tries = Tries()
    for number in range(count):
        tries.was_wrong(address, f"wrong-{number}", at)
    return tries


def test_after_so_many_wrong_keys_an_address_waits_whatever_it_sends() -> None:
    assert tried("192.0.2.1", TRIES - 1).seconds_to_wait("192.0.2.1", "any", 0.0) == 0
    assert tried("192.0.2.1").seconds_to_wait("192.0.2.1", "any", 0.0) == WINDOW_SECONDS
    assert tried("192.0.2.1").seconds_to_wait("192.0.2.1", "any", WINDOW_SECONDS) == 0


def test_another_address_does_not_wait() -> None:
    assert tried("192.0.2.1").seconds_to_wait("192.0.2.2", "any", 0.0) == 0


def test_a_key_that_the_address_has_used_goes_on_working_until_it_is_wrong() -> None:
    tries = Tries()
    tries.was_right("192.0.2.1", "good")
    for number in range(TRIES):
        tries.was_wrong("192.0.2.1", f"wrong-{number}", 0.0)
    assert tries.seconds_to_wait("192.0.2.1", "good", 0.0) == 0
    tries.was_wrong("192.0.2.1", "good", 0.0)
    assert tries.seconds_to_wait("192.0.2.1", "good", 0.0) > 0


@pytest.mark.parametrize("other", ["2001:db8:1:2::ffff", "2001:0db8:0001:0002:abcd::1%eth0"])
def test_all_that_one_subscriber_has_of_ipv6_is_one_address(other: str) -> None:
    assert tried("2001:db8:1:2::1").seconds_to_wait(other, "any", 0.0) > 0
    assert tried("2001:db8:1:2::1").seconds_to_wait("2001:db8:1:3::1", "any", 0.0) == 0


def test_an_ipv4_address_in_the_clothes_of_ipv6_is_the_same() -> None:
    assert tried("192.0.2.1").seconds_to_wait("::ffff:192.0.2.1", "any", 0.0) > 0
    assert tried("192.0.2.1").seconds_to_wait("::ffff:192.0.2.2", "any", 0.0) == 0


def test_what_is_remembered_is_bounded() -> None:
    tries = Tries()
    for number in range(ADDRESSES + 10):
        tries.was_wrong(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", "wrong", 0.0)
    for number in range(1_000):
        tries.was_right("10.0.255.255", f"good-{number}")
    assert len(tries._addresses) == ADDRESSES
    assert max(len(known.good) for known in tries._addresses.values()) < 1_000
