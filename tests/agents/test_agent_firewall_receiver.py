"""Syslog over real sockets: both framings however they are cut, too much of it, and connections that misbehave."""

from __future__ import annotations

import logging
import random
import socket
import threading
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from waiting import free_port, wait_until

from agents import receiver as module
from agents.address import Address, parse_address
from agents.frames import LONGEST_MESSAGE_BYTES, Frames
from agents.receiver import Backlog, Receiver
from core.errors import Conflict, Invalid

MESSAGES = [f"<134>message {number} {'x' * (number % 70)}".encode() for number in range(200)]


def counted(messages: list[bytes]) -> bytes:
    return b"".join(b"%d %s" % (len(message), message) for message in messages)


def lines(messages: list[bytes]) -> bytes:
    return b"".join(message + b"\n" for message in messages)


@pytest.fixture
def open_receiver() -> Iterator[Callable[..., Receiver]]:
    opened: list[Receiver] = []

    def open_one(host: str = "127.0.0.1", backlog: Backlog | None = None) -> Receiver:
        opened.append(Receiver(Address(host, free_port()), backlog))
        return opened[-1]

    yield open_one
    for one in opened:
        one.close()


def port_of(receiver: Receiver) -> int:
    return int(receiver._listener.getsockname()[1])


def connect(receiver: Receiver) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port_of(receiver)), timeout=30)


def taken(receiver: Receiver, count: int) -> list[bytes]:
    """The next `count` messages, when that many have come; nothing may come behind them."""
    messages: list[bytes] = []

    def enough() -> bool:
        messages.extend(receiver.take(10_000))
        return len(messages) >= count

    wait_until(enough, f"{count} messages are received")
    assert receiver.take(1) == []
    return messages


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_datagram_is_a_message(open_receiver: Callable[..., Receiver], host: str) -> None:
    receiver = open_receiver(host)
    with socket.socket(receiver._datagrams.family, socket.SOCK_DGRAM) as sender:
        for message in (*MESSAGES[:50], b"", b"<1>" + b"\xff\0\n" * 1_000):
            sender.sendto(message, (host, port_of(receiver)))
    assert taken(receiver, 51) == [*MESSAGES[:50], b"<1>" + b"\xff\0\n" * 1_000]


@pytest.mark.parametrize("framing", [counted, lines])
@pytest.mark.parametrize("cut", [1, 7, 1_000, 1_000_000])
def test_both_framings_are_read_however_they_are_cut(
    open_receiver: Callable[..., Receiver], framing: Callable[[list[bytes]], bytes], cut: int
) -> None:
    receiver = open_receiver()
    messages = MESSAGES[:20] if cut == 1 else MESSAGES
    data = framing(messages)
    with connect(receiver) as sender:
        sender.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for start in range(0, len(data), cut):
            sender.sendall(data[start : start + cut])
        assert taken(receiver, len(messages)) == messages


def test_each_connection_has_its_own_framing(open_receiver: Callable[..., Receiver]) -> None:
    receiver = open_receiver()
    with connect(receiver) as first, connect(receiver) as second:
        first.sendall(counted(MESSAGES[:1])[:5])
        second.sendall(lines(MESSAGES[1:3])[:30])
        first.sendall(counted(MESSAGES[:1])[5:])
        second.sendall(lines(MESSAGES[1:3])[30:])
        assert sorted(taken(receiver, 3)) == sorted(MESSAGES[:3])


def test_a_message_without_its_end_is_a_message_when_the_connection_ends(
    open_receiver: Callable[..., Receiver],
) -> None:
    receiver = open_receiver()
    for data in (b"<1>half", b"9 <1>half"):
        with connect(receiver) as sender:
            sender.sendall(data)
        assert taken(receiver, 1) == [b"<1>half"]


def test_a_connection_that_never_ends_a_message_takes_no_more_memory(open_receiver: Callable[..., Receiver]) -> None:
    receiver = open_receiver()
    with connect(receiver) as sender:
        for _ in range(100):
            sender.sendall(b"a" * LONGEST_MESSAGE_BYTES)
        assert taken(receiver, 1) == [b"a" * LONGEST_MESSAGE_BYTES]
        [connection] = receiver.connections
        assert len(connection.frames._buffer) <= LONGEST_MESSAGE_BYTES
        sender.sendall(b"\n<1>next\n")
        assert taken(receiver, 1) == [b"<1>next"]


@given(st.data())
def test_frames_do_not_depend_on_segments(data: st.DataObject) -> None:
    messages = [b"<1>" + body for body in data.draw(st.lists(st.binary(max_size=40)))]
    framing = data.draw(st.sampled_from([counted, lines]))
    if framing is lines:
        messages = [message.replace(b"\n", b"") for message in messages]
    whole = framing(messages)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=8)))
    frames, found = Frames(), []
    for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True):
        found += frames.feed(whole[start:end])
    assert found + frames.end() == messages


@given(st.lists(st.binary(max_size=200), max_size=20))
def test_no_bytes_are_an_error_and_none_are_kept_for_ever(segments: list[bytes]) -> None:
    frames = Frames()
    for segment in segments:
        frames.feed(segment)
    frames.end()
    assert frames.feed(b"") == []


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"1 2026-11-23T06:55:46Z h p - - - x\n<1>y\n", [b"1 2026-11-23T06:55:46Z h p - - - x", b"<1>y"]),
        (b"2026-11-23T06:55:46Z h p: x\n", [b"2026-11-23T06:55:46Z h p: x"]),
        (b"firewall,info drop\r\n\r\n\n", [b"firewall,info drop\r"]),
        (b"5 <1>ab\n5 <1>cd\n", [b"<1>ab", b"<1>cd"]),
        (b"5 <1>abgarbage\n<1>cd\n", [b"<1>ab", b"garbage", b"<1>cd"]),
        (b"99999999 <1>a\n", [b"99999999 <1>a"]),
        (b"70000 " + b"<" * 70_000 + b"5 <1>ab", [b"<" * LONGEST_MESSAGE_BYTES, b"<1>ab"]),
        (b"a" * 70_000 + b"\n<1>b\n", [b"a" * LONGEST_MESSAGE_BYTES, b"<1>b"]),
    ],
)
def test_what_is_odd_is_read_as_well_as_it_goes(data: bytes, expected: list[bytes]) -> None:
    frames = Frames()
    assert frames.feed(data) + frames.end() == expected
    byte_by_byte = Frames()
    found = [message for at in range(len(data)) for message in byte_by_byte.feed(data[at : at + 1])]
    assert found + byte_by_byte.end() == expected


def test_a_full_queue_makes_connections_wait_and_loses_none_of_them(open_receiver: Callable[..., Receiver]) -> None:
    seed = random.randrange(1 << 32)
    print("seed", seed)
    chance = random.Random(seed)
    messages = [b"<1>%d %s" % (number, b"x" * chance.randrange(2_000)) for number in range(20_000)]
    receiver = open_receiver(backlog=Backlog(100, 1_000_000))
    with connect(receiver) as sender:
        sending = threading.Thread(target=sender.sendall, args=(counted(messages),))
        sending.start()
        # 20 MB fit into no kernel's buffers: the sender waits
        wait_until(lambda: not receiver.backlog.has_room(), "the queue is full")
        assert sending.is_alive()
        assert taken(receiver, len(messages)) == messages
        sending.join()


def test_datagrams_that_find_the_queue_full_are_counted_and_told(
    open_receiver: Callable[..., Receiver], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "heimdall.agent")
    receiver = open_receiver(backlog=Backlog(10))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:

        def is_told() -> bool:
            sender.sendto(MESSAGES[0], ("127.0.0.1", port_of(receiver)))
            return bool(caplog.messages)

        wait_until(is_told, "the loss is told")
        for _ in range(100):
            is_told()
    [told] = caplog.messages
    assert "syslog datagrams were dropped" in told


def test_connections_that_say_nothing_are_closed(
    open_receiver: Callable[..., Receiver], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FIRST_WORD_SECONDS", 0.3)
    receiver = open_receiver()
    with connect(receiver) as silent, connect(receiver) as talking:
        talking.sendall(b"<1>a\n")
        assert silent.recv(1) == b""
        talking.sendall(b"<1>b\n")
        assert taken(receiver, 2) == [b"<1>a", b"<1>b"]
        monkeypatch.setattr(module, "SILENT_SECONDS", 0.3)
        assert talking.recv(1) == b""


def test_too_many_connections_are_refused_and_the_others_go_on(
    open_receiver: Callable[..., Receiver], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "CONNECTIONS", 3)
    receiver = open_receiver()
    senders = [connect(receiver) for _ in range(3)]
    wait_until(lambda: len(receiver.connections) == 3, "three are accepted")
    with connect(receiver) as refused:
        assert refused.recv(1) == b""
    for sender in senders:
        with sender:
            sender.sendall(b"<1>a\n")
    assert taken(receiver, 3) == [b"<1>a"] * 3
    wait_until(lambda: not receiver.connections, "ended connections are forgotten")
    with connect(receiver) as again:
        again.sendall(b"<1>b\n")
        assert taken(receiver, 1) == [b"<1>b"]


def test_a_connection_that_is_reset_is_no_error(open_receiver: Callable[..., Receiver]) -> None:
    receiver = open_receiver()
    sender = connect(receiver)
    sender.sendall(b"<1>a\n<1>b")
    assert taken(receiver, 1) == [b"<1>a"]
    sender.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    sender.close()
    assert taken(receiver, 1) == [b"<1>b"]


def test_a_port_that_is_taken_is_an_error_that_names_it_and_is_free_afterwards() -> None:
    port = free_port()
    first = Receiver(Address("127.0.0.1", port))
    with pytest.raises(Conflict, match=rf"--listen 127\.0\.0\.1:{port}: another program listens there"):
        Receiver(Address("127.0.0.1", port))
    first.close()
    Receiver(Address("127.0.0.1", port)).close()


def test_an_address_of_another_machine_is_an_error() -> None:
    with pytest.raises(Invalid, match=r"--listen 192\.0\.2\.1:5514: cannot listen there"):
        Receiver(Address("192.0.2.1", 5514))


@pytest.mark.parametrize("text", ["127.0.0.1:5514", "0.0.0.0:1", "[::1]:65535", "[::]:5514", "[fe80::1]:514"])
def test_an_address_is_written_as_it_was(text: str) -> None:
    assert str(parse_address(text)) == text


@pytest.mark.parametrize(
    "text",
    ["", "5514", ":5514", "127.0.0.1", "127.0.0.1:0", "127.0.0.1:65536", "::1:5514", "[::1]", "[127.0.0.1]:5514",
     "999.0.0.1:5514", "localhost:5514", "127.0.0.1:5514 "],
)  # fmt: skip
def test_what_is_no_address_is_an_error(text: str) -> None:
    with pytest.raises(Invalid, match="--listen"):
        parse_address(text)
