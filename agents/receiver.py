"""Syslog received over UDP and TCP (RFC 5426, RFC 6587) by one thread, into a bounded queue.

UDP: a datagram is a message, and what comes while the queue is full is dropped and counted. TCP: while the queue is
full no connection is read, so that its sender waits. Neither has acknowledgements: what lies here is lost at a kill.
"""

from __future__ import annotations

import errno
import logging
import os
import selectors
import socket
import threading
import time
from collections import deque
from typing import Deque, List, Optional, Set, Tuple

from agents.address import Address
from agents.frames import LONGEST_MESSAGE_BYTES, Frames
from core.errors import Conflict, HeimdallError, Invalid

log = logging.getLogger("heimdall.agent")

QUEUED_MESSAGES = 50_000
QUEUED_BYTES = 16 * 1024 * 1024
CONNECTIONS = 256
FIRST_WORD_SECONDS = 60.0  # a connection that never said anything
SILENT_SECONDS = 3_600.0  # long, for what a sender writes into a connection that was closed is lost
TELL_SECONDS = 60.0
READ_BYTES = 64 * 1024
DATAGRAMS_PER_TURN = 1_000
KERNEL_BYTES = 4 * 1024 * 1024  # asked for; the kernel gives net.core.rmem_max at most
POLL_SECONDS = 0.2
FULL_POLL_SECONDS = 0.02


def try_address(address: Address) -> None:
    """Listen at `address` for no time at all. Raises `Conflict` when it is taken, `Invalid` when nobody may."""
    for line in _open(address):
        line.close()


class Backlog:
    """Messages that were received and not yet taken, bounded in number and bytes."""

    def __init__(self, most_messages: int = QUEUED_MESSAGES, most_bytes: int = QUEUED_BYTES) -> None:
        self._most_messages, self._most_bytes = most_messages, most_bytes
        self._lock = threading.Lock()
        self._messages: Deque[bytes] = deque()
        self._bytes = 0

    def has_room(self) -> bool:
        """Whether there is room. What one read of a connection brings may go beyond it."""
        with self._lock:
            return len(self._messages) < self._most_messages and self._bytes < self._most_bytes

    def put(self, messages: List[bytes]) -> None:
        with self._lock:
            self._messages.extend(messages)
            self._bytes += sum(map(len, messages))

    def take(self, most: int) -> List[bytes]:
        """The next messages, `most` at most."""
        with self._lock:
            taken = [self._messages.popleft() for _ in range(min(most, len(self._messages)))]
            self._bytes -= sum(map(len, taken))
            return taken


class _Connection:
    """A sender's connection; `said_at` is `None` until it says something."""

    def __init__(self, line: socket.socket, now: float) -> None:
        self.socket = line
        self.frames = Frames()
        self.begun_at = now
        self.said_at: Optional[float] = None

    def has_expired(self, now: float) -> bool:
        if self.said_at is None:
            return now - self.begun_at > FIRST_WORD_SECONDS
        return now - self.said_at > SILENT_SECONDS


class Receiver:
    """Listens at `address` until it is closed. Raises `Conflict` when the port is taken, `Invalid` when it may not."""

    def __init__(self, address: Address, backlog: Optional[Backlog] = None) -> None:
        self.backlog = backlog or Backlog()
        self.connections: Set[_Connection] = set()
        self._datagrams, self._listener = _open(address)
        self._dropped = _Counter("%d syslog datagrams were dropped: they come faster than they can be kept")
        self._refused = _Counter(f"%d connections were refused: {CONNECTIONS} are open already")
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="receiver", daemon=True)
        self._thread.start()
        log.info("listening for syslog at %s (UDP and TCP)", address)

    def take(self, most: int) -> List[bytes]:
        """The next messages, `most` at most; none when there are none."""
        if not self._thread.is_alive() and not self._closing.is_set():
            raise RuntimeError("the thread that receives syslog has ended")
        return self.backlog.take(most)

    def close(self) -> None:
        """Listen no more; the port is free then. What was received and not taken is gone."""
        self._closing.set()
        self._thread.join()

    def _run(self) -> None:
        with selectors.DefaultSelector() as everything, selectors.DefaultSelector() as datagrams:
            try:
                for selector in (everything, datagrams):
                    selector.register(self._datagrams, selectors.EVENT_READ)
                everything.register(self._listener, selectors.EVENT_READ)
                while not self._closing.is_set():
                    # not to read a connection makes its sender wait; nothing makes a datagram's wait
                    if self.backlog.has_room():
                        self._serve(everything, everything.select(POLL_SECONDS))
                    else:
                        self._serve(everything, datagrams.select(FULL_POLL_SECONDS))
                    self._expire(everything)
                    self._dropped.tell()
                    self._refused.tell()
            finally:
                for connection in list(self.connections):
                    self._end(everything, connection)
                self._datagrams.close()
                self._listener.close()

    def _serve(self, selector: selectors.BaseSelector, ready: List[Tuple[selectors.SelectorKey, int]]) -> None:
        for key, _ in ready:
            if key.fileobj is self._datagrams:
                self._read_datagrams()
            elif key.fileobj is self._listener:
                self._accept(selector)
            elif self.backlog.has_room():
                self._read_connection(selector, key.data)

    def _read_datagrams(self) -> None:
        messages: List[bytes] = []
        # bounded, for the connections wait for their turn
        for _ in range(DATAGRAMS_PER_TURN):
            try:
                messages.append(self._datagrams.recv(LONGEST_MESSAGE_BYTES))
            except BlockingIOError:
                break
            except OSError:
                # an ICMP error for what was once sent, or on Windows a datagram that is too long
                continue
        if self.backlog.has_room():
            self.backlog.put([message for message in messages if message])
        else:
            self._dropped.add(len(messages))

    def _accept(self, selector: selectors.BaseSelector) -> None:
        try:
            line, _ = self._listener.accept()
        except OSError:
            # gone again, or no file is left to open: then not at once again
            self._closing.wait(FULL_POLL_SECONDS)
            return
        if len(self.connections) >= CONNECTIONS:
            self._refused.add(1)
            line.close()
            return
        line.setblocking(False)
        line.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        connection = _Connection(line, time.monotonic())
        self.connections.add(connection)
        selector.register(line, selectors.EVENT_READ, connection)

    def _read_connection(self, selector: selectors.BaseSelector, connection: _Connection) -> None:
        try:
            data = connection.socket.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            connection.said_at = time.monotonic()
            self.backlog.put(connection.frames.feed(data))
        else:
            self._end(selector, connection)

    def _expire(self, selector: selectors.BaseSelector) -> None:
        now = time.monotonic()
        for connection in [connection for connection in self.connections if connection.has_expired(now)]:
            self._end(selector, connection)

    def _end(self, selector: selectors.BaseSelector, connection: _Connection) -> None:
        self.backlog.put(connection.frames.end())
        selector.unregister(connection.socket)
        connection.socket.close()
        self.connections.discard(connection)


class _Counter:
    """Counts what is lost, and says so in the log each `TELL_SECONDS` at most."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._count = 0
        self._told_at: Optional[float] = None

    def add(self, count: int) -> None:
        self._count += count

    def tell(self) -> None:
        now = time.monotonic()
        if self._count and (self._told_at is None or now - self._told_at > TELL_SECONDS):
            log.warning(self._text, self._count)
            self._count, self._told_at = 0, now


def _open(address: Address) -> Tuple[socket.socket, socket.socket]:
    """Sockets for datagrams and for connections at `address`."""
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    opened: List[socket.socket] = []
    try:
        for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
            opened.append(socket.socket(family, kind))
            opened[-1].setblocking(False)
            if family == socket.AF_INET6:
                # [::] hears IPv4 too, on every system
                opened[-1].setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        datagrams, listener = opened
        datagrams.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, KERNEL_BYTES)
        if os.name == "posix":
            # connections of the agent before may linger; elsewhere this lets two programs have one port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        for line in opened:
            line.bind((address.host, address.port))
        listener.listen(CONNECTIONS)
    except OSError as error:
        for line in opened:
            line.close()
        raise _explain(address, error) from error
    return datagrams, listener


def _explain(address: Address, error: OSError) -> HeimdallError:
    if error.errno == errno.EADDRINUSE:
        return Conflict(f"--listen {address}: another program listens there; choose another port, or end that program")
    if error.errno in (errno.EACCES, errno.EPERM):
        return Invalid(f"--listen {address}: ports below 1024 are for root; choose one above, such as 5514")
    return Invalid(f"--listen {address}: cannot listen there: {error.strerror or error}")
