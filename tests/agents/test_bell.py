"""The bell: what wakes the agent's link while nothing comes from the broker."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from agents.bell import Bell

LONG_SECONDS = 30.0


class Decrypted:
    """A TLS socket that has decrypted more than was read: its file descriptor is silent."""

    def __init__(self, sock: socket.socket) -> None:
        self.fileno = sock.fileno

    def pending(self) -> int:
        return 5


@pytest.fixture
def line() -> Iterator[tuple[socket.socket, socket.socket]]:
    here, there = socket.socketpair()
    yield here, there
    here.close()
    there.close()


@pytest.fixture
def bell() -> Iterator[Bell]:
    made = Bell()
    yield made
    made.close()


def seconds_waited(bell: Bell, sock: object, writing: bool = False, seconds: float = LONG_SECONDS) -> float:
    begun = time.monotonic()
    bell.wait(sock, writing, seconds)
    return time.monotonic() - begun


def test_a_ring_from_another_thread_ends_the_wait(bell: Bell, line: tuple[socket.socket, socket.socket]) -> None:
    threading.Timer(0.05, bell.ring).start()
    assert seconds_waited(bell, line[0]) < LONG_SECONDS / 2


def test_a_ring_before_the_wait_is_heard_once(bell: Bell, line: tuple[socket.socket, socket.socket]) -> None:
    for _ in range(100_000):
        bell.ring()
    while seconds_waited(bell, line[0], seconds=0.2) < 0.2:
        pass
    assert seconds_waited(bell, line[0], seconds=0.2) >= 0.2


def test_what_comes_in_ends_the_wait_and_so_does_room_to_write(
    bell: Bell, line: tuple[socket.socket, socket.socket]
) -> None:
    assert seconds_waited(bell, line[0], writing=True) < LONG_SECONDS / 2
    line[1].send(b"x")
    assert seconds_waited(bell, line[0]) < LONG_SECONDS / 2


def test_what_is_decrypted_already_is_not_waited_for(bell: Bell, line: tuple[socket.socket, socket.socket]) -> None:
    assert seconds_waited(bell, Decrypted(line[0])) < LONG_SECONDS / 2


def test_a_closed_socket_is_not_waited_for(bell: Bell, line: tuple[socket.socket, socket.socket]) -> None:
    line[0].close()
    assert seconds_waited(bell, line[0]) < LONG_SECONDS / 2
    assert seconds_waited(bell, None) < LONG_SECONDS / 2


def test_ringing_a_closed_bell_does_nothing() -> None:
    bell = Bell()
    bell.close()
    bell.ring()
