"""Where notifications may go: nothing inside the network is reached, by whatever name or detour."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence

import msgspec
import pytest
from http_service import http_service

from watch.channels import Told
from watch.reachable import RefusedAddress, check_address


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.8.8.8", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",
        "224.0.0.1", "240.0.0.1", "255.255.255.255", "192.0.2.1", "::1", "::", "fe80::1", "fe80::1%eth0", "fd00::1",
        "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "2002:7f00:1::", "2002:0a00:0001::", "2001:db8::1",
        "64:ff9b::7f00:1",
    ],
)  # fmt: skip
def test_an_address_that_is_not_public_is_refused(address: str) -> None:
    with pytest.raises(RefusedAddress):
        check_address(address)


@pytest.mark.parametrize("address", ["1.1.1.1", "2606:4700:4700::1111", "::ffff:1.1.1.1"])
def test_a_public_address_is_not(address: str) -> None:
    check_address(address)


# as if every address were public
PUBLIC = "from watch import deliver; deliver.refuse_private = lambda _: None; deliver.main()"


def deliver(url: str, *, allow_private: bool, program: Sequence[str] = ("-m", "watch.deliver")) -> str:
    made_at = "2026-11-20T12:00:00.000000Z"
    told = Told(url, 7, "ops", "opened", "t", "b", "", made_at, "info", allow_private)
    lines = msgspec.json.encode(told).decode() + "\n"
    done = subprocess.run(
        [sys.executable, *program], input=lines, capture_output=True, text=True, timeout=60, check=True
    )
    return str(json.loads(done.stdout)["error"])


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_a_service_inside_the_network_is_told_only_when_that_is_allowed(host: str) -> None:
    with http_service() as (port, asked):
        assert deliver(f"json://{host}:{port}/hook", allow_private=False).endswith("allow_private is not set")
        assert asked == []
        if host == "127.0.0.1":
            assert deliver(f"json://{host}:{port}/hook", allow_private=True) == ""
            assert len(asked) == 1


def test_a_redirect_is_followed_only_inside_the_network_that_is_allowed() -> None:
    with http_service() as (port, asked), http_service(302, f"http://127.0.0.1:{port}/") as (first, _):
        url = f"json://127.0.0.1:{first}/hook"
        assert deliver(url, allow_private=False, program=("-c", PUBLIC)) != ""
        assert asked == []
        assert deliver(url, allow_private=True) == ""
        assert [one.method for one in asked] == ["GET"]


def test_an_address_that_no_service_has_is_an_error() -> None:
    assert deliver("nonsense://x", allow_private=True) == "this is no address that apprise knows"
