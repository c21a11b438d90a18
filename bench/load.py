"""A raw MQTT 5 load at QoS 1, a process of its own: everything is encoded before the clock starts.

`python -m bench.load PORT < LOAD.json` reads one JSON line (the fields of `Load`, and `user` and `password`),
encodes, writes `ready`, waits for a line, sends, and writes a line with what it saw. Times are seconds of the
monotonic clock, which all processes of a machine share.
"""

from __future__ import annotations

import dataclasses
import json
import random
import select
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from uuid import UUID

import mqtt5

from core import topics
from core.clock import rfc3339, utc_now
from core.messages import DEFAULT_INTERVAL_SECONDS

LAST_HOST = "the-last"  # its heartbeat ends the load: once it is stored, all others are
_PACKET_IDS = 65_535
_PUBACK = 0x40


@dataclass
class Load:
    """What is to be sent: `count` events, `per_message` in each message, or heartbeats; hosts in turn."""

    count: int
    per_message: int = 1
    hosts: int = 100
    kind: str = topics.EVENTS
    window: int = 2_000  # messages without PUBACK
    rate: float = 0  # messages a second; 0 for as fast as it goes
    seed: int = 1


def host_name(number: int) -> str:
    return f"bench-{number:06d}"


def payloads(load: Load) -> Iterator[tuple[str, bytes]]:
    """Host and payload of each message. Ids are of the last moments, ten a millisecond, as from many agents."""
    if load.kind == topics.HEARTBEAT:
        for n in range(load.count - 1):
            beat = {"os_type": "LINUX", "sent_at": rfc3339(utc_now()), "seq": n // load.hosts, "boot": "bench"}
            yield host_name(n % load.hosts), _json({**beat, "interval_s": DEFAULT_INTERVAL_SECONDS})
        yield LAST_HOST, _json({"os_type": "LINUX"})
        return
    chance = random.Random(load.seed)
    first_ms = int(time.time() * 1000) - load.count // 10
    for message in range(-(-load.count // load.per_message)):
        host = host_name(message % load.hosts)
        first = message * load.per_message
        numbers = range(first, min(first + load.per_message, load.count))
        events = [_event(host, n, first_ms + n // 10, chance.getrandbits(62)) for n in numbers]
        yield host, _json(events[0] if load.per_message == 1 else events)


def _event(host: str, number: int, ms: int, tail: int) -> dict[str, object]:
    event_id = UUID(int=(ms << 80) | (7 << 76) | ((number & 0xFFF) << 64) | (2 << 62) | tail)
    address = f"203.0.113.{number % 254 + 1}"
    message = f"sshd[{number % 32_768}]: Failed password for root from {address} port {number % 60_000} ssh2"
    return {
        "event_id": str(event_id), "timestamp": rfc3339(utc_now()), "source_host": host, "os_type": "LINUX",
        "event_type": "LOGIN_FAIL", "severity": 3, "source_ip": address, "user": "root", "raw_message": message,
    }  # fmt: skip


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def encode(load: Load) -> tuple[bytes, list[int]]:
    """All PUBLISH packets in a row, and where each ends."""
    expiry = 2 * DEFAULT_INTERVAL_SECONDS if load.kind == topics.HEARTBEAT else None
    packets = [
        mqtt5.PublishPacket(
            topics.host_topic(host, load.kind), payload, qos=mqtt5.QoS.AT_LEAST_ONCE,
            packet_id=n % _PACKET_IDS + 1, message_expiry_interval=expiry,
        ).write()
        for n, (host, payload) in enumerate(payloads(load))
    ]  # fmt: skip
    return b"".join(packets), list(accumulate(map(len, packets)))


class Acknowledgements:
    """Counts PUBACKs in what the broker sends, whole or in pieces, and those that are none of success."""

    def __init__(self) -> None:
        self.count = 0
        self.refused: dict[int, int] = {}
        self._rest = b""

    def take(self, data: bytes) -> None:
        data = self._rest + data
        whole = len(data) // 4
        if data[0 : whole * 4 : 4] == b"\x40" * whole and data[1 : whole * 4 : 4] == b"\x02" * whole:
            self.count += whole
            self._rest = data[whole * 4 :]
            return
        at = 0
        while at + 2 <= len(data) and at + 2 + data[at + 1] <= len(data):
            length = data[at + 1]
            if data[at] == _PUBACK:
                self.count += 1
                if length > 2 and data[at + 4]:
                    self.refused[data[at + 4]] = self.refused.get(data[at + 4], 0) + 1
            at += 2 + length
        self._rest = data[at:]


def connect(port: int, user: str, password: str, client_id: str = "bench-load") -> socket.socket:
    """A connection that the broker has accepted. Raises `OSError` when it does not."""
    end = socket.create_connection(("127.0.0.1", port), timeout=10)
    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    end.sendall(mqtt5.ConnectPacket(client_id, username=user, password=password.encode(), keep_alive=600).write())
    answer = end.recv(1024)
    if answer[:1] != b"\x20" or answer[3]:
        end.close()
        raise ConnectionRefusedError(f"the broker refuses {user}")
    return end


def send(end: socket.socket, stream: bytes, ends: list[int], window: int, rate: float = 0) -> dict[str, object]:
    """Send it all, at most `window` messages ahead of the PUBACKs, `rate` a second."""
    end.setblocking(False)
    acknowledged, sent, view = Acknowledgements(), 0, memoryview(stream)
    first_byte = time.monotonic()
    while acknowledged.count < len(ends):
        due = int((time.monotonic() - first_byte) * rate) if rate else len(ends)
        upto = min(acknowledged.count + window, len(ends), due)
        allowed = ends[upto - 1] if upto else 0
        readable, writable, _ = select.select([end], [end] if sent < allowed else [], [], 0.01 if rate else 60)
        if not readable and not writable and not rate:
            raise TimeoutError("the broker has not answered for a minute")
        if writable:
            sent += end.send(view[sent : min(allowed, sent + 262_144)])
        if readable:
            data = end.recv(262_144)
            if not data:
                raise ConnectionResetError("the broker closed the connection")
            acknowledged.take(data)
    return {"first_byte": first_byte, "last_ack": time.monotonic(), "refused": acknowledged.refused}


def main() -> int:
    told = json.loads(sys.stdin.readline())
    user, password = told.pop("user"), told.pop("password")
    load = Load(**told)
    stream, ends = encode(load)
    end = connect(int(sys.argv[1]), user, password)
    print("ready", flush=True)
    sys.stdin.readline()
    seen = send(end, stream, ends, load.window, load.rate)
    print(json.dumps({**dataclasses.asdict(load), "messages": len(ends), "bytes": len(stream), **seen}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
