"""`POST /heartbeat` on one worker beside a bare FastAPI route that takes the same headers and does nothing."""

from __future__ import annotations

import asyncio
import statistics
import time

from bench.figure import Figure, Options, rate, ratio
from bench.reading import start_api
from bench.stack import Stack, free_port, stack, wait_until

REQUESTS = 10_000
CONNECTIONS = 32
_BARE = """
import sys
import uvicorn
from typing import Annotated
from fastapi import FastAPI, Header
app = FastAPI()

@app.post("/heartbeat")
async def record(
    api_key: Annotated[str, Header()],
    source_host: Annotated[str, Header(convert_underscores=False)],
    os_type: Annotated[str, Header(convert_underscores=False)],
) -> dict[str, bool]:
    return {"success": True}

uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning", access_log=False)
"""


def measure_heartbeat(options: Options) -> list[Figure]:
    """In turns, so that both meet the same machine; the median of each."""
    if options.database != "sqlite":
        return []
    with stack("sqlite") as made:
        made.start_ingestor()
        start_api(made)
        port, bare = int(made.environment["HEIMDALL_HTTP_PORT"]), _start_bare(made)
        key = made.home.api_key.read_text().strip()
        count = options.scaled(REQUESTS)
        ours, theirs = [], []
        for _ in range(options.turns):
            ours.append(asyncio.run(_send(port, key, count)))
            theirs.append(asyncio.run(_send(bare, key, count)))
    one, other = statistics.median(ours), statistics.median(theirs)
    return [
        Figure("POST /heartbeat on one worker ÷ a bare route", ratio(one, other), "≥ 0.6", one >= 0.6 * other,
               f"{rate(one)} and {rate(other)}"),
    ]  # fmt: skip


def _start_bare(made: Stack) -> int:
    port = free_port()
    made.start("bare-http", "-c", _BARE, str(port))

    def listens() -> bool:
        import socket  # noqa: PLC0415

        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    wait_until(listens, "the bare route listens")
    return port


async def _send(port: int, key: str, count: int) -> float:
    """Requests a second over some connections that stay, the next one when the one before is answered."""
    request = (
        f"POST /heartbeat HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\napi-key: {key}\r\nsource_host: web-01\r\n"
        "os_type: LINUX\r\nContent-Length: 0\r\n\r\n"
    ).encode()

    async def ask(times: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(times):
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200"):
                raise RuntimeError(head.decode())
            length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
        writer.close()
        await writer.wait_closed()

    begun = time.monotonic()
    await asyncio.gather(*(ask(count // CONNECTIONS) for _ in range(CONNECTIONS)))
    return count // CONNECTIONS * CONNECTIONS / (time.monotonic() - begun)
