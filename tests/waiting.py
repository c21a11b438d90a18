"""What tests of several processes need: a port, and the patience to wait for what is to happen."""

from __future__ import annotations

import contextlib
import secrets
import socket
import time
from collections.abc import Callable
from typing import TypeVar

Answer = TypeVar("Answer")

POLL_SECONDS = 0.02


def free_port() -> int:
    """A TCP port that nobody has on any address, and that the system gives to no connection that goes out."""
    while True:
        # not by `random`, which tests seed: those that run side by side would take the same one
        port = 20_000 + secrets.randbelow(12_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("", port))
            return port


def wait_until(condition: Callable[[], Answer], what: str = "", seconds: float = 60) -> Answer:
    """The first true answer of `condition`; fails, naming `what`, when there is none in time."""
    deadline = time.monotonic() + seconds
    while not (answer := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(
                f"waited {seconds} s in vain until {what or condition}; the last answer was {answer!r:.500}"
            )
        time.sleep(POLL_SECONDS)
    return answer
