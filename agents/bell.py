"""A bell beside a socket: whoever waits for the socket can be woken from another thread."""

from __future__ import annotations

import select
import socket
from contextlib import suppress
from typing import Any


class Bell:
    """Rung from any thread, heard in `wait`. A pair of sockets, for on Windows `select` takes nothing else."""

    def __init__(self) -> None:
        self._heard, self._rung = socket.socketpair()
        self._heard.setblocking(False)
        self._rung.setblocking(False)

    def ring(self) -> None:
        """Let `wait` return, now or the next time that it is called."""
        with suppress(OSError):  # full of rings that nobody has heard yet, or closed
            self._rung.send(b"\0")

    def wait(self, sock: Any, writing: bool, seconds: float) -> None:
        """Return once `sock` can be read (with `writing`: or written), the bell has rung, or `seconds` are over.

        `sock` is a socket, plain, TLS or WebSocket; `None` and a closed one return at once.
        """
        # what TLS has decrypted already, `select` does not see
        if sock is None or sock.fileno() < 0 or getattr(sock, "pending", int)():
            return
        readable, _, _ = select.select([sock, self._heard], [sock] if writing else [], [], seconds)
        if self._heard in readable:
            self._heard.recv(4096)

    def close(self) -> None:
        """Nobody listens any more; ringing does nothing from now on."""
        self._heard.close()
        self._rung.close()
