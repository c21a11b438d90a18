"""Where an agent listens, that receives instead of reading."""

from __future__ import annotations

import re
import socket
from typing import NamedTuple

from core.errors import Invalid


class Address(NamedTuple):
    """Where to listen, for UDP and TCP."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(text: str, key: str = "--listen") -> Address:
    """`ADDRESS:PORT`, an IPv6 address in brackets. Raises `Invalid`, naming `key`."""
    found = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]{2,45})\]|([0-9.]{7,15})):(\d{1,5})", text)
    if found:
        host, port = found.group(1) or found.group(2), int(found.group(3))
        try:
            socket.inet_pton(socket.AF_INET6 if found.group(1) else socket.AF_INET, host)
        except OSError:
            port = 0
        if 1 <= port <= 65_535:
            return Address(host, port)
    raise Invalid(f"{key} {text!r:.80}: use ADDRESS:PORT, such as 127.0.0.1:5514, 0.0.0.0:5514 or [::]:5514")


LISTEN = Address("127.0.0.1", 5514)
