"""Where a notification may go: not inside the network, whatever name, redirect or rebinding leads there."""

from __future__ import annotations

import socket
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Any

_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052, section 2.1


class RefusedAddress(OSError):
    """The address is one that a notification may not be sent to."""


def check_address(text: str) -> None:
    """Raises `RefusedAddress` unless `text` is an address of the public internet.

    Loopback, private, link-local, shared, multicast and reserved ones are not (RFC 6890), in whatever form of IPv6
    they are written.
    """
    address = ip_address(text.partition("%")[0])
    if isinstance(address, IPv6Address):
        inner = IPv4Address(int(address) & 0xFFFFFFFF) if address in _NAT64 else None
        address = address.ipv4_mapped or address.sixtofour or inner or address
    if not address.is_global or address.is_multicast:
        raise RefusedAddress(f"{text} lies inside the network, and allow_private is not set")


def refuse_private(refused: list[str]) -> None:
    """From now on no socket of this process connects to an address that is not public; `refused` gets why.

    The check is where a connection is made: a name that was checked before may resolve to another address by then.
    """

    def check(family: int, address: Any) -> None:
        try:
            _check(family, address)
        except RefusedAddress as error:
            refused.append(str(error))  # libraries tell of it as of any connection that failed
            raise

    class Checked(socket.socket):
        def connect(self, address: Any) -> None:
            check(self.family, address)
            super().connect(address)

        def connect_ex(self, address: Any) -> int:
            check(self.family, address)
            return super().connect_ex(address)

    socket.socket = Checked  # type: ignore[misc]


def _check(family: int, address: Any) -> None:
    if family not in (socket.AF_INET, socket.AF_INET6):
        raise RefusedAddress(f"{address!r:.100} is no address of the internet")
    try:
        check_address(address[0])
    except ValueError:
        raise RefusedAddress(f"{address[0]!r:.100} is a name, and was to be resolved before") from None
