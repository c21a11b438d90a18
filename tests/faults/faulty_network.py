"""A TCP proxy that a test can cut, slow down or make swallow everything: the network between two parts."""

from __future__ import annotations

import contextlib
import random
import selectors
import socket
import threading
import time
from collections.abc import Iterator


class FaultyNetwork:
    """Listens on loopback and passes bytes on to `target_port`, both ways, as the network is just now.

    `cut()`: what is open breaks and nothing new is taken. `swallow()`: connections stay and are taken, but nothing
    arrives any more, in either direction, nor does the news of an end (half-open). `strand()`: the same for what is
    open now, while new connections are well. `tear(share)`: the next bytes arrive in part, then their connection
    breaks: amid a packet. `slow(bytes_per_second)`. `mend()`: all is well again; what was swallowed is lost, so such
    connections are broken by it. The counters say whether a fault met anything.
    """

    def __init__(self, target_port: int) -> None:
        self.target_port = target_port
        self.taken = self.passed_bytes = self.swallowed_bytes = self.torn = self.broken = self.refused = 0
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self._listener.getsockname()[1]
        self._lock = threading.Lock()
        self._pairs: dict[socket.socket, socket.socket] = {}
        self._stranded: set[socket.socket] = set()
        self._doomed: set[socket.socket] = set()  # broken by the thread that passes on, and by no other
        self._cut = self._swallow = self._ended = False
        self._tear = 0.0
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
            self._stranded |= self._pairs.keys()

    def strand(self) -> None:
        with self._lock:
            self._stranded |= self._pairs.keys()

    def tear(self, share: float) -> None:
        """`share`, above 0 and below 1, is how much of the next bytes arrives."""
        with self._lock:
            self._tear = share

    def slow(self, bytes_per_second: float) -> None:
        with self._lock:
            self._bytes_per_second = bytes_per_second

    def mend(self) -> None:
        with self._lock:
            self._cut = self._swallow = False
            self._bytes_per_second = self._tear = 0.0
            self._doomed |= self._stranded

    def break_all(self) -> None:
        """Break what is open now; new connections are taken."""
        with self._lock:
            self._doomed |= self._pairs.keys()

    def close(self) -> None:
        self._ended = True
        self._thread.join(15)
        for end in [*self._pairs, self._listener]:
            end.close()
        self._selector.close()

    def _run(self) -> None:
        while not self._ended:
            for key, _ in self._selector.select(0.02):
                end = key.fileobj
                assert isinstance(end, socket.socket)
                if end is self._listener:
                    self._take()
                elif end in self._pairs:
                    self._pass_on(end)
            with self._lock:
                doomed, self._doomed = self._doomed, set()
            for end in doomed:
                self._break(end)

    def _take(self) -> None:
        near, _ = self._listener.accept()
        if self._cut:
            self.refused += 1
            near.close()
            return
        try:
            far = socket.create_connection(("127.0.0.1", self.target_port), timeout=5)
        except OSError:
            near.close()
            return
        self.taken += 1
        with self._lock:
            if self._swallow:
                self._stranded |= {near, far}
            for end, other in ((near, far), (far, near)):
                end.settimeout(10)
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._selector.register(end, selectors.EVENT_READ)
                self._pairs[end] = other

    def _pass_on(self, end: socket.socket) -> None:
        try:
            data = end.recv(4_096 if self._bytes_per_second else 262_144)
            if end in self._stranded:
                self.swallowed_bytes += len(data)
                if not data:
                    # the other end is not told before the network is mended
                    self._selector.unregister(end)
                return
            if not data or not self._send(self._pairs[end], data):
                self._break(end)
        except OSError:
            self._break(end)

    def _send(self, end: socket.socket, data: bytes) -> bool:
        """Pass `data` on, in part when it is to be torn; whether all of it was."""
        if self._bytes_per_second:
            time.sleep(len(data) / self._bytes_per_second)
        with self._lock:
            share = self._tear if len(data) > 1 else 0.0
            if share:
                self._tear = 0.0
        arriving = data[: max(1, int(len(data) * share))] if share else data
        end.sendall(arriving)
        self.passed_bytes += len(arriving)
        self.torn += len(arriving) < len(data)
        return len(arriving) == len(data)

    def _break(self, end: socket.socket) -> None:
        with self._lock:
            if end not in self._pairs:
                return
            both = (end, self._pairs[end])
            for one in both:
                del self._pairs[one]
                self._stranded.discard(one)
            self.broken += 1
        for one in both:
            with contextlib.suppress(KeyError):  # its end was seen while it was stranded
                self._selector.unregister(one)
            one.close()


@contextlib.contextmanager
def faulty_network(target_port: int) -> Iterator[FaultyNetwork]:
    """A network to `target_port` for the block."""
    network = FaultyNetwork(target_port)
    try:
        yield network
    finally:
        network.close()


@contextlib.contextmanager
def trouble(network: FaultyNetwork, kind: str, chance: random.Random) -> Iterator[None]:
    """Trouble of a `kind`, a method of `FaultyNetwork`, for the block; mended after it."""
    strength = {"tear": (0.05, 0.95), "slow": (20_000, 100_000)}.get(kind)
    getattr(network, kind)(*[chance.uniform(*strength)] if strength else ())
    try:
        yield
    finally:
        network.mend()
