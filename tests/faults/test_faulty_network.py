"""The proxy itself: what it is told to lose is lost, and what is mended works again."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

import pytest
from faulty_network import FaultyNetwork, faulty_network
from waiting import wait_until


class Echo:
    """Answers with what it got; counts connections and bytes."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.got, self.ended = b"", 0
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            while data := connection.recv(65_536):
                self.got += data
                connection.sendall(data)
        self.ended += 1


@pytest.fixture
def echo() -> Iterator[Echo]:
    made = Echo()
    yield made
    made.listener.shutdown(socket.SHUT_RDWR)
    made.listener.close()


@pytest.fixture
def network(echo: Echo) -> Iterator[FaultyNetwork]:
    with faulty_network(echo.port) as made:
        yield made


@pytest.fixture
def line(network: FaultyNetwork) -> Iterator[socket.socket]:
    with connect(network) as made:
        assert ask(made, b"hello") == b"hello"
        yield made


def connect(network: FaultyNetwork) -> socket.socket:
    return socket.create_connection(("127.0.0.1", network.port), timeout=10)


def ask(line: socket.socket, data: bytes) -> bytes:
    """The answer, as long as `data`; shorter when the connection ends before."""
    answer = b""
    with contextlib.suppress(ConnectionError):
        line.sendall(data)
        while len(answer) < len(data) and (part := line.recv(65_536)):
            answer += part
    return answer


def test_a_sound_network_passes_everything_on(network: FaultyNetwork, line: socket.socket) -> None:
    data = bytes(range(256)) * 4_000
    sending = threading.Thread(target=line.sendall, args=(data,))
    sending.start()
    answer = b""
    while len(answer) < len(data):
        answer += line.recv(65_536)
    sending.join()
    assert answer == data


def test_an_end_is_told_to_the_other(echo: Echo, line: socket.socket) -> None:
    line.close()
    wait_until(lambda: echo.ended == 1, "the server sees the end")


def test_a_cut_breaks_what_is_open_and_takes_nothing_new(network: FaultyNetwork, line: socket.socket) -> None:
    network.cut()
    assert line.recv(1) == b""
    with connect(network) as other:
        assert ask(other, b"anybody?") == b""
    network.mend()
    with connect(network) as other:
        assert ask(other, b"again") == b"again"


def test_swallowed_bytes_and_ends_never_arrive(echo: Echo, network: FaultyNetwork, line: socket.socket) -> None:
    network.swallow()
    before = echo.got
    with connect(network) as other:
        for each in (line, other):
            each.sendall(b"lost")
            each.settimeout(0.2)
            with pytest.raises(TimeoutError):
                each.recv(1)
    wait_until(lambda: network.swallowed_bytes == 8, "both were swallowed")
    assert (echo.got, echo.ended) == (before, 0)
    network.mend()
    line.settimeout(10)
    assert line.recv(1) == b""
    wait_until(lambda: echo.ended == 2, "the server sees both ends")
    assert echo.got == before


def test_a_stranded_connection_is_lost_and_a_new_one_is_well(
    echo: Echo, network: FaultyNetwork, line: socket.socket
) -> None:
    network.strand()
    line.sendall(b"lost")
    with connect(network) as other:
        assert ask(other, b"found") == b"found"
    line.close()
    wait_until(lambda: echo.ended == 1, "the new one's end is seen")
    assert b"lost" not in echo.got
    network.mend()
    wait_until(lambda: echo.ended == 2, "and the stranded one's when all is mended")


def test_a_tear_breaks_amid_what_was_sent(echo: Echo, network: FaultyNetwork, line: socket.socket) -> None:
    network.tear(0.5)
    assert ask(line, b"0123456789") in (b"", b"01234")  # the echo may be lost with the connection
    wait_until(lambda: echo.ended == 1, "the server sees the end")
    assert echo.got == b"hello01234"
    assert network.torn == 1
    with connect(network) as other:
        assert ask(other, b"whole") == b"whole"


def test_a_slow_network_takes_its_time(network: FaultyNetwork, line: socket.socket) -> None:
    network.slow(2_000)
    line.sendall(bytes(2_000))
    line.settimeout(0.2)
    with pytest.raises(TimeoutError):
        line.recv(1)  # it cannot be there within a second
    line.settimeout(10)
    assert line.recv(1) == b"\0"
    network.mend()
    with connect(network) as other:
        assert ask(other, b"quick") == b"quick"
