"""A mad agent: `mad_client.py PORT HOST USER PAUSE < PASSWORD` publishes as HOST without end, heeding nothing.

It sleeps for PAUSE seconds after each 100 messages, 0 to be as fast as it can. It has no window, waits for no PUBACK
and asks for no receipt; cut off, it comes back at once. It prints a line for each thing that happens to it:
`accepted`, `refused CODE`, `cut`.
"""

from __future__ import annotations

import contextlib
import select
import socket
import sys
import time
from itertools import cycle

import mqtt5

from core import topics
from core.clock import utc_now
from core.ids import uuid7
from core.messages import Event, encode

MESSAGES = 20_000  # that are made, and published again and again
AT_ONCE = 100
BACK_SECONDS = 0.2


def make_packets(host: str) -> list[bytes]:
    topic = topics.host_topic(host, topics.EVENTS)
    packets = [
        mqtt5.PublishPacket(
            topic, encode(Event(uuid7(), utc_now(), host, "LINUX", "LOGIN_FAIL", 3, f"number {number}")),
            qos=mqtt5.QoS.AT_LEAST_ONCE, packet_id=number + 1,
        ).write()
        for number in range(MESSAGES)
    ]  # fmt: skip
    return [b"".join(packets[at : at + AT_ONCE]) for at in range(0, MESSAGES, AT_ONCE)]


def say(what: str) -> None:
    print(what, flush=True)


def flood(broker: socket.socket, packets: list[bytes], pause_seconds: float) -> None:
    """Send for ever. Raises `OSError` when the broker closes."""
    for packet in cycle(packets):
        sent = 0
        while sent < len(packet):
            readable, writable, _ = select.select([broker], [broker], [])
            if readable and not broker.recv(262_144):
                raise ConnectionResetError
            if writable:
                sent += broker.send(packet[sent:])
        if pause_seconds:
            time.sleep(pause_seconds)


def main() -> None:
    port, host, user, pause_seconds = int(sys.argv[1]), sys.argv[2], sys.argv[3], float(sys.argv[4])
    password = sys.stdin.readline().strip()
    packets = make_packets(host)
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5) as broker:
            connect = mqtt5.ConnectPacket(host, username=user, password=password.encode(), keep_alive=60)
            broker.sendall(connect.write())
            answer = broker.recv(1024)
            if len(answer) > 3 and answer[3]:
                say(f"refused {answer[3]}")
            else:
                say("accepted")
                broker.setblocking(False)
                try:
                    flood(broker, packets, pause_seconds)
                finally:
                    say("cut")
        time.sleep(BACK_SECONDS)


if __name__ == "__main__":
    main()
