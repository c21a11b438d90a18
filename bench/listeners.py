"""`GET /stream`: what a thousand who listen cost those who ask.

`python -m bench.listeners PORT COUNT` is the listeners' process: the key comes by standard input, what each heard goes
to standard output at its end.
"""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import repeat

from bench.figure import Figure, Options
from bench.load import Load
from bench.reading import Client, start_api
from bench.stack import ROOT, Sender, Stack, stack
from core.process import allow_many_connections

LISTENERS = 1_000
REQUESTS = 500
MESSAGES_A_SECOND, EVENTS_A_MESSAGE = 100, 5
MOST_SECONDS = 200  # that the load lasts
HOSTS = 1_000
BOUND_MS = 20  # as without any listener


def measure_listeners(options: Options) -> list[Figure]:
    """The 95th percentile of a page of hosts, without listeners and with them, while events come in."""
    count, requests = options.scaled(LISTENERS), options.scaled(REQUESTS)
    with stack(options.database) as made:
        made.start_ingestor()
        _, client = start_api(made)
        load = Load(
            MESSAGES_A_SECOND * EVENTS_A_MESSAGE * MOST_SECONDS, EVENTS_A_MESSAGE, HOSTS, rate=MESSAGES_A_SECOND
        )
        sender = Sender(made, load)
        sender.begin()
        time.sleep(2)
        alone = _p95_ms(client, requests)
        with _listening(made, count) as heard:
            among = _p95_ms(client, requests)
        sender.stop()
    least, most = min(heard), max(heard)
    return [
        Figure(f"/hosts?limit=50 among {count:,} listeners, p95", f"{among:.1f} ms", f"{BOUND_MS} ms",
               among <= BOUND_MS, f"{alone:.1f} ms without"),
        Figure("… messages that each of them heard", f"{least}", "≥ 2", least >= 2 and most - least <= 1,
               f"{most} at most"),
    ]  # fmt: skip


def _p95_ms(client: Client, requests: int) -> float:
    begun, times = time.monotonic(), []
    # spread over some seconds: what is told is told once a second
    for number in range(requests):
        time.sleep(max(0.0, begun + number * 0.02 - time.monotonic()))
        times.append(client.seconds("/hosts?limit=50") * 1000)
    return sorted(times)[int(len(times) * 0.95)]


@contextmanager
def _listening(made: Stack, count: int) -> Iterator[list[int]]:
    """So many listen meanwhile; how many messages each has heard is in the list afterwards."""
    arguments = [sys.executable, "-m", "bench.listeners", made.environment["HEIMDALL_HTTP_PORT"], str(count)]
    heard: list[int] = []
    with subprocess.Popen(
        arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=made.environment
    ) as crowd:
        assert crowd.stdin is not None
        assert crowd.stdout is not None
        crowd.stdin.write(made.home.api_key.read_text().strip() + "\n")
        crowd.stdin.flush()
        if crowd.stdout.readline() != "listening\n":
            raise RuntimeError("not all could listen")
        yield heard
        crowd.send_signal(signal.SIGTERM)
        heard += map(int, crowd.stdout.read().split())


async def _be_a_crowd(port: int, count: int, key: str) -> None:
    heard = [0] * count
    begun = asyncio.Semaphore(0)
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)

    async def listen(place: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"GET /stream HTTP/1.1\r\nhost: x\r\napi-key: {key}\r\n\r\n".encode())
        await reader.readuntil(b"id: ")
        begun.release()
        async for line in reader:
            heard[place] += line.startswith(b"event: events")

    crowd = [asyncio.create_task(listen(place)) for place in range(count)]
    for _ in repeat(None, count):
        await begun.acquire()
    heard[:] = repeat(0, count)
    print("listening", flush=True)
    await ended.wait()
    for one in crowd:
        one.cancel()
    print(*heard)


if __name__ == "__main__":
    allow_many_connections()
    asyncio.run(_be_a_crowd(int(sys.argv[1]), int(sys.argv[2]), sys.stdin.readline().strip()))
