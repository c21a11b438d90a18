"""Ports: one that was asked for must be free; one that was not is the next free one, and is remembered."""

from __future__ import annotations

import errno
import os
import socket

from core.errors import Conflict, Unavailable
from core.home import Home
from core.settings import Settings

TRIES = 100


def is_free(address: str, port: int) -> bool:
    """Whether a server could listen on `port` of `address` now. Raises `Unavailable` when it never could."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        if os.name == "posix":
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a closed connection is no occupant
        try:
            probe.bind((address, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
            raise Unavailable(
                f"cannot listen on {address} port {port} ({error.strerror}): "
                "set HEIMDALL_BIND to an address of this machine, and ports above 1023 unless you are root"
            ) from error
    return True


def choose(name: str, address: str, port: int, asked_for: bool, taken: tuple[int, ...] = ()) -> int:
    """`port`, or when it is in use and was not asked for, the next free one. Raises `Conflict` and `Unavailable`."""
    for candidate in range(port, min(port + TRIES, 65_536)):
        if candidate not in taken and is_free(address, candidate):
            return candidate
        if asked_for:
            raise Conflict(f"{name}={port} is in use on {address}: stop what listens there, or set {name} to another")
    raise Conflict(f"no free port from {port} to {port + TRIES} on {address}: set {name}")


def remember(home: Home, http_port: int, mqtt_port: int) -> None:
    """Write the ports in use to `$HEIMDALL_HOME/ports`, where commands of the same home find them."""
    home.ports.write_text(f"http={http_port}\nmqtt={mqtt_port}\n")


def choose_both(settings: Settings) -> tuple[int, int]:
    """The API's port and the broker's. Raises `Conflict` and `Unavailable`."""
    http_port = choose("HEIMDALL_HTTP_PORT", settings.bind, settings.http_port, settings.http_port_set)
    if settings.broker_set:
        return http_port, settings.mqtt_port
    mqtt_port = choose(
        "HEIMDALL_MQTT_PORT", settings.bind, settings.mqtt_port, settings.mqtt_port_set, taken=(http_port,)
    )
    return http_port, mqtt_port
