"""The bare pipeline, the yardstick: same load, broker, codec, decoder and INSERT into the same tables, nothing else.

One thread reads and decodes while another commits what has come in meanwhile, and acknowledges it. No check beyond
the decoder's, no heartbeats, no activity, no receipts, no dead letters, no second session, no second try. It makes its
rows and inserts them by the ingestor's own statements, for that is faster than what a short program would write, and
spares the garbage collector as the ingestor does. With `heartbeat` it stores nothing, and says when the last one came.
"""

from __future__ import annotations

import gc
import queue
import socket
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import mqtt5

from bench.load import LAST_HOST
from core import topics
from core.clock import utc_now
from core.home import find_login
from core.messages import Event
from core.settings import Settings, load
from ingestor.decode import event_decoder
from store import open_store
from store.database import Database
from store.events import make_rows

BATCH_EVENTS = 5_000  # of a transaction, about: larger ones are no faster
WAITING_READS = 64  # then the socket is not read: what waits is bounded

Gathered = queue.Queue[tuple[list[Event], bytes]]


def subscribe(settings: Settings, kind: str) -> socket.socket:
    """A persistent session, subscribed as the ingestor is."""
    user, password = find_login(settings, "ingestor")
    connect = mqtt5.ConnectPacket(
        f"{user}-1", username=user, password=password.encode(), session_expiry_interval=600, receive_max=5_000,
        keep_alive=0,
    )  # fmt: skip
    wanted = mqtt5.TopicFilter(topics.shared(topics.every_host(kind)), max_qos=mqtt5.QoS.AT_LEAST_ONCE)
    end = socket.create_connection((settings.broker.host, settings.broker.port))
    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    end.sendall(connect.write() + mqtt5.SubscribePacket(1, [wanted]).write())
    return end


def read_packets(end: socket.socket) -> Iterator[list[Any]]:
    """The packets of each read, whole ones."""
    rest = b""
    while data := end.recv(262_144):
        data = rest + data
        view, at, packets = memoryview(data), 0, []
        try:
            while True:
                packet, size = mqtt5.read(view[at:])
                packets.append(packet)
                at += size
        except IndexError:
            rest = data[at:]
        yield packets


def read(end: socket.socket, kind: str, gathered: Gathered) -> None:
    """Decode what comes in until the broker closes the connection."""
    for packets in read_packets(end):
        events: list[Event] = []
        pubacks = []
        for packet in packets:
            if type(packet) is mqtt5.PublishPacket:
                pubacks.append(mqtt5.PubAckPacket(packet.packet_id or 0).write())
                if kind == topics.HEARTBEAT:
                    if LAST_HOST in packet.topic:
                        print("last", time.monotonic(), flush=True)
                    continue
                decoded: Any = event_decoder.decode(packet.payload)
                if isinstance(decoded, list):
                    events += decoded
                else:
                    events.append(decoded)
            elif type(packet) is mqtt5.SubAckPacket:
                print("is subscribed at", flush=True)
        if events:
            gathered.put((events, b"".join(pubacks)))
        else:
            end.sendall(b"".join(pubacks))


def write(end: socket.socket, gathered: Gathered, database: Database) -> None:
    """Commit what has been gathered and acknowledge it, for ever."""
    while True:
        events, pubacks = gathered.get()
        while len(events) < BATCH_EVENTS and not gathered.empty():
            more, later = gathered.get()
            events += more
            pubacks += later
        now = utc_now()
        rows, days = make_rows(events, now, 90)
        database.prepare_days(days, now.date())
        with database.writing() as connection:
            database.insert_events(connection, rows)
        end.sendall(pubacks)


def main() -> None:
    settings, kind = load(), sys.argv[1]
    database = open_store(settings.database_url, checkpointer=True).database
    gathered: Gathered = queue.Queue(WAITING_READS)
    gc.freeze()
    gc.set_threshold(100_000, 20, 20)
    end = subscribe(settings, kind)
    threading.Thread(target=write, args=(end, gathered, database), daemon=True).start()
    read(end, kind, gathered)


if __name__ == "__main__":
    main()
