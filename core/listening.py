"""Listening: a server's socket, or one clear sentence why there is none."""

from __future__ import annotations

import errno
import socket
import sys

from core.errors import Conflict, Unavailable


def listen(address: str, port: int, setting: str) -> socket.socket:
    """A TCP socket that listens on `port` of `address` (IPv4 or IPv6).

    Raises `Conflict` when the port is in use and `Unavailable` when it cannot be had at all; both name
    `setting`, the variable that chose the port.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    # with the protocol named asyncio switches Nagle's delay off on what it accepts
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if sys.platform != "win32":
            # a connection that has just ended keeps no port; on Windows the option would share one
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen(2048)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise Conflict(
                f"{setting}={port} is in use on {address}: stop what listens there, or set {setting} to another"
            ) from error
        raise Unavailable(
            f"cannot listen on {setting}={port} of HEIMDALL_BIND={address} ({error.strerror}): "
            "set them to what this machine has and you may use (ports above 1023 unless you are root)"
        ) from error
    return listener
