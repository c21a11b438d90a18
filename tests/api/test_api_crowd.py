"""`GET /stream` with many listeners, with such as never read, and at the end of the server."""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest
from api_parts import Broker
from heimdall_home import running
from streams import Ear
from test_api_process import answers, process
from test_api_stream import Watch
from waiting import free_port, wait_until

from core.home import Home
from core.process import allow_many_connections

pytestmark = pytest.mark.mosquitto

CROWD = 1_000
VERDICTS = 20
FLOOD_STEP = 5_000
FLOOD = 60_000  # verdicts, of more bytes than a listener's buffers and the ring hold


class Served(NamedTuple):
    """The API in a process of its own."""

    process: subprocess.Popen[str]
    port: int
    key: str

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def memory_bytes(self) -> int:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) * 1024


@pytest.fixture
def served(tmp_path: Path, broker: Broker) -> Iterator[Served]:
    port, home = free_port(), tmp_path / "home"
    login = {"HEIMDALL_BROKER_USER": "@api", "HEIMDALL_BROKER_PASSWORD": "secret"}
    with process(home, port, HEIMDALL_MQTT_PORT=str(broker.port), **login) as api:
        wait_until(lambda: answers(port), "it answers")
        found = Served(api, port, Home(home).api_key.read_text().strip())
        wait_until(lambda: is_connected(found), "the bridge has connected")
        yield found


def is_connected(served: Served) -> bool:
    return bool(httpx.get(f"{served.url}/readyz").json()["parts"]["broker"] == "ok")


@pytest.fixture
def watch(broker: Broker) -> Iterator[Watch]:
    made = Watch(broker.port)
    yield made
    made.stop()


def never_reading(served: Served) -> socket.socket:
    """A listener whose buffers are small and stay full."""
    deaf = socket.socket()
    deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    deaf.connect(("127.0.0.1", served.port))
    deaf.sendall(f"GET /stream HTTP/1.1\r\nhost: x\r\napi-key: {served.key}\r\n\r\n".encode())
    return deaf


def flood(watch: Watch, ear: Ear) -> None:
    """More than the ring holds, but not more at once than `ear` reads."""
    for end in range(FLOOD_STEP, FLOOD + 1, FLOOD_STEP):
        watch.flood(end - FLOOD_STEP, end)
        ear.wait_for("verdict", end)


async def listen(served: Served, listening: asyncio.Semaphore) -> list[int]:
    """The numbers of the hosts that a listener is told of, in their order."""
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    writer.write(f"GET /stream HTTP/1.1\r\nhost: x\r\napi-key: {served.key}\r\n\r\n".encode())
    await reader.readuntil(b"id: ")
    listening.release()
    found: list[int] = []
    while len(found) < VERDICTS:
        line = await reader.readline()
        assert line, "it has ended"
        if line.startswith(b"data: "):
            found.append(int(line.partition(b'"hostname":"web-')[2].partition(b'"')[0]))
    writer.close()
    return found


async def ask_until(served: Served, done: asyncio.Event) -> int:
    """How often `/livez` answered until `done`."""
    count = 0
    async with httpx.AsyncClient(base_url=served.url) as client:
        while not done.is_set():
            assert (await client.get("/livez")).status_code == 200
            count += 1
    return count


async def be_a_crowd(served: Served, watch: Watch) -> tuple[list[list[int]], int]:
    listening, done = asyncio.Semaphore(0), asyncio.Event()
    crowd = [asyncio.create_task(listen(served, listening)) for _ in range(CROWD)]
    for _ in range(CROWD):
        await listening.acquire()
    asked = asyncio.create_task(ask_until(served, done))
    async with httpx.AsyncClient(base_url=served.url) as client:
        for number in range(VERDICTS):
            await asyncio.to_thread(watch.judge, f"web-{number}")
            # the crowd is being told: somebody else has an answer before the next verdict all the same
            assert (await client.get("/livez")).status_code == 200
    heard = await asyncio.gather(*crowd)
    done.set()
    return heard, await asked


def test_a_thousand_listeners_hear_each_message_once_while_others_are_answered(served: Served, watch: Watch) -> None:
    allow_many_connections()
    heard, answered = asyncio.run(be_a_crowd(served, watch))
    assert heard == [[*range(VERDICTS)]] * CROWD
    assert answered > 0


def test_one_that_never_reads_costs_little_and_holds_nobody_up(served: Served, watch: Watch) -> None:
    deaf = never_reading(served)
    ear = Ear(served.url, served.key).has_begun()
    before = served.memory_bytes()
    flood(watch, ear)
    assert [one.data["hostname"] for one in ear.of("verdict")] == [f"web-{n}" for n in range(FLOOD)]
    assert ear.of("reset") == []
    assert served.memory_bytes() - before < 48 * 1024 * 1024
    came = b""
    deaf.settimeout(10)
    while b"event: reset" not in came[-5_000_000:]:  # it is told that it has missed something, when it reads at last
        piece = deaf.recv(1 << 20)
        assert piece
        came += piece
    assert came.count(b"event: verdict") < FLOOD
    deaf.close()
    ear.close()


def test_the_server_stops_with_listeners_also_with_one_that_never_reads(served: Served, watch: Watch) -> None:
    deaf, ear = never_reading(served), Ear(served.url, served.key).has_begun()
    flood(watch, ear)
    served.process.send_signal(signal.SIGTERM)
    _, said = served.process.communicate(timeout=15)
    assert served.process.returncode == 0
    assert "timeout graceful shutdown exceeded" not in said
    assert "Traceback" not in said
    wait_until(lambda: ear.told() != [] and ear.ended, "its stream has ended")
    assert ear.whole
    deaf.close()
    ear.close()


@pytest.mark.parametrize("broker_name", ["embedded", "mosquitto"])
def test_heimdall_up_tells_of_its_own_host_and_stops_with_a_listener(broker_name: str) -> None:
    with running(broker_name) as up:
        ear = Ear(up.url, up.key).has_begun()
        headers = {"api-key": up.key, "source-host": "web-01", "os-type": "LINUX"}
        assert httpx.post(f"{up.url}/heartbeat", headers=headers).status_code == 200
        wait_until(lambda: "web-01" in {one.data["hostname"] for one in ear.of("verdict")}, "its verdict has come")
        assert up.stop(signal.SIGINT) == 0
        wait_until(lambda: ear.told() != [] and ear.ended, "its stream has ended")
        ear.close()
