"""A TCP proxy that a test can cut, slow down or make swallow everything: the network between two parts."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
import time


class FaultyNetwork:
    """Listens on loopback and passes bytes on to `target_port`, both ways, as the network is just now.

    `cut()`: what is open breaks and nothing new is taken. `swallow()`: connections stay and are taken, but no byte
    arrives any more, in either direction (half-open). `slow(bytes_per_second)`. `mend()`: all is well again; what was
    swallowed is lost, so such connections are broken by it.
    """

    def __init__(self, target_port: int) -> None:
        self.target_port = target_port
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self._listener.getsockname()[1]
        self._lock = threading.Lock()
        self._pairs: dict[socket.socket, socket.socket] = {}
        self._cut = self._swallow = self._ended = False
        self._bytes_per_second = 0.0
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._run, name="network", daemon=True)
        self._thread.start()

    def cut(self) -> None:
        with self._lock:
            self._cut = True
        self.break_all()

    def swallow(self) -> None:
        with self._lock:
            self._swallow = True

    def slow(self, bytes_per_second: float) -> None:
        with self._lock:
            self._bytes_per_second = bytes_per_second

    def mend(self) -> None:
        with self._lock:
            swallowed, self._swallow = self._swallow, False
            self._cut, self._bytes_per_second = False, 0.0
        if swallowed:
            self.break_all()

    def break_all(self) -> None:
        """Break what is open, as a reset does; new connections are taken."""
        with self._lock:
            ends = list(self._pairs)
        for end in ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._ended = True
        self._thread.join(5)
        for end in [*self._pairs, self._listener]:
            end.close()
        self._selector.close()

    def _run(self) -> None:
        while not self._ended:
            for key, _ in self._selector.select(0.05):
                end = key.fileobj
                assert isinstance(end, socket.socket)
                if end is self._listener:
                    self._take()
                elif end in self._pairs:
                    self._pass_on(end)

    def _take(self) -> None:
        near, _ = self._listener.accept()
        if self._cut:
            near.close()
            return
        try:
            far = socket.create_connection(("127.0.0.1", self.target_port), timeout=5)
        except OSError:
            near.close()
            return
        for end, other in ((near, far), (far, near)):
            end.settimeout(10)
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._selector.register(end, selectors.EVENT_READ)
            with self._lock:
                self._pairs[end] = other

    def _pass_on(self, end: socket.socket) -> None:
        other = self._pairs[end]
        try:
            data = end.recv(4_096 if self._bytes_per_second else 262_144)
            if data and not self._swallow:
                if self._bytes_per_second:
                    time.sleep(len(data) / self._bytes_per_second)
                other.sendall(data)
        except OSError:
            data = b""
        if not data:
            for one in (end, other):
                self._selector.unregister(one)
                with self._lock:
                    del self._pairs[one]
                one.close()
