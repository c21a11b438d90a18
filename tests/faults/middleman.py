"""A man in the middle of MQTT connections: sees each packet, and passes on what its rule makes of it."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterable

import mqtt5

Change = Callable[[mqtt5.Packet, bytes], Iterable[bytes]]


class Rule:
    """What becomes of the packets of one connection, `up` to the broker and `down` from it: here, they pass.

    Each direction is called by a thread of its own.
    """

    def up(self, packet: mqtt5.Packet, raw: bytes) -> Iterable[bytes]:
        return [raw]

    def down(self, packet: mqtt5.Packet, raw: bytes) -> Iterable[bytes]:
        return [raw]


class Middleman:
    """Listens on loopback at `port` and connects on to `target_port`; each connection gets a rule of its own."""

    def __init__(self, target_port: int, make_rule: Callable[[], Rule]) -> None:
        self.target_port, self._make_rule = target_port, make_rule
        self.rules: list[Rule] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self._listener.getsockname()[1]
        self._ends: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, name="middleman", daemon=True)]
        self._threads[0].start()

    def __enter__(self) -> Middleman:
        return self

    def __exit__(self, *_: object) -> None:
        for end in (self._listener, *self._ends):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)
        for end in (self._listener, *self._ends):
            end.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(("127.0.0.1", self.target_port), timeout=5)
            except OSError:
                near.close()
                continue
            rule = self._make_rule()
            self.rules.append(rule)
            self._ends += [near, far]
            for source, sink, change in ((near, far, rule.up), (far, near, rule.down)):
                source.settimeout(None)
                source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                thread = threading.Thread(target=_pass_on, args=(source, sink, change), name="packets", daemon=True)
                self._threads.append(thread)
                thread.start()


def _pass_on(source: socket.socket, sink: socket.socket, change: Change) -> None:
    rest = b""
    try:
        while data := source.recv(65_536):
            rest += data
            out: list[bytes] = []
            at = 0
            with contextlib.suppress(IndexError):  # the rest of the packet comes with the next read
                while at < len(rest):
                    packet, size = mqtt5.read(memoryview(rest)[at:])
                    out += change(packet, rest[at : at + size])
                    at += size
            rest = rest[at:]
            sink.sendall(b"".join(out))
    except OSError:
        pass  # either end has gone
    finally:
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
