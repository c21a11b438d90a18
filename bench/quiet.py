"""A quiet line, and a quiet home: how long one event takes, and what Heimdall costs while nothing happens."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import httpx
import mqtt5

from bench.figure import Figure, Options
from bench.load import Load, connect, host_name, payloads
from bench.stack import Process, Stack, cpu_seconds, free_port, stack, wait_until
from core import topics
from core.home import Home

SAMPLES = 300
PAUSE_SECONDS = 0.05
IDLE_SECONDS = 60.0


def measure_latency(options: Options) -> list[Figure]:
    """From PUBLISH to the receipt, which leaves after the commit: one event at a time, with a pause between."""
    load = Load(options.scaled(SAMPLES * 10) if options.quick else SAMPLES, hosts=1)
    with stack(options.database) as made:
        made.start_ingestor()
        seconds = sorted(_time_each(made, load))
        made.prove_stored(load.count)
    median, slowest = statistics.median(seconds) * 1e3, seconds[int(len(seconds) * 0.99)] * 1e3
    return [
        Figure("quiet line, publish to committed: median", f"{median:.1f} ms", "≤ 10 ms", median <= 10),
        Figure("quiet line, publish to committed: p99", f"{slowest:.1f} ms", "≤ 50 ms", slowest <= 50),
    ]


def _time_each(made: Stack, load: Load) -> list[float]:
    user, password = made.home.credential("api")
    end = connect(made.port, user, password)
    end.settimeout(30)
    receipt = topics.host_topic(host_name(0), topics.RECEIPT)
    end.sendall(mqtt5.SubscribePacket(1, [mqtt5.TopicFilter(receipt)]).write())
    end.recv(1024)
    taken = []
    for number, (host, payload) in enumerate(payloads(load)):
        packet = mqtt5.PublishPacket(
            topics.host_topic(host, topics.EVENTS), payload, qos=mqtt5.QoS.AT_LEAST_ONCE, packet_id=number + 1,
            response_topic=receipt, correlation_data=number.to_bytes(4, "big"),
        ).write()  # fmt: skip
        begun = time.monotonic()
        end.sendall(packet)
        received = b""
        # the topic is in the receipt alone, not in the PUBACK that comes before it
        while receipt.encode() not in received:
            received += end.recv(1024)
        taken.append(time.monotonic() - begun)
        time.sleep(PAUSE_SECONDS)
    end.close()
    return taken


def measure_idle(options: Options) -> list[Figure]:
    """`heimdall up` and two more hosts' agents, a minute without an event: CPU of all, memory of `up` and its own."""
    if options.database != "sqlite":
        return []
    with ExitStack() as cleanup:
        folder = Path(cleanup.enter_context(tempfile.TemporaryDirectory(prefix="heimdall-bench-")))
        home, http_port = Home(folder / "home"), free_port()
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("HEIMDALL_", "SIEM_"))},
            "HEIMDALL_HOME": str(home.path), "HEIMDALL_HTTP_PORT": str(http_port),
            "HEIMDALL_MQTT_PORT": str(free_port()), "HEIMDALL_HOST": "bench-1",
        }  # fmt: skip
        up = Process(["-m", "heimdall", "up"], environment, folder / "up.log")
        cleanup.callback(up.end)
        up.wait_for("Ctrl-C stops it all")
        key, url = home.api_key.read_text().strip(), f"http://127.0.0.1:{http_port}"
        agents = []
        for number in (2, 3):
            other = {
                "HEIMDALL_HOME": str(folder / f"home-{number}"), "HEIMDALL_HOST": f"bench-{number}",
                "SIEM_API_URL": url, "SIEM_API_KEY": key,
            }  # fmt: skip
            agents.append(Process(["-m", "heimdall", "agent"], {**environment, **other}, folder / f"{number}.log"))
            cleanup.callback(agents[-1].end)

        def active() -> int:
            return int(httpx.get(f"{url}/hosts", headers={"api-key": key}).json()["total_active"])

        wait_until(lambda: active() == 3, "three hosts are active")
        time.sleep(5)  # what a start leaves behind
        tree = _descendants(up.popen.pid)
        everybody = [*tree, *(agent.popen.pid for agent in agents)]
        begun, before = time.monotonic(), {pid: cpu_seconds(pid) for pid in everybody}
        time.sleep(5 if options.quick else IDLE_SECONDS)
        passed = (time.monotonic() - begun) / 100
        shares = [(_name(pid), (cpu_seconds(pid) - before[pid]) / passed) for pid in everybody]
        share = sum(one for _, one in shares)
        memory = sum(map(_proportional_megabytes, tree))
    detail = ", ".join(f"{name} {one:.2f}" for name, one in shares)
    return [
        Figure("idle, three hosts: CPU of all processes", f"{share:.2f} % of a core", "< 1 %", share < 1, detail),
        Figure("idle: memory of `heimdall up` in all (PSS)", f"{memory:.0f} MB", "< 300 MB", memory < 300),
    ]


def _descendants(pid: int) -> list[int]:
    found = [pid]
    for parent in found:
        for task in Path(f"/proc/{parent}/task").iterdir():
            found += map(int, (task / "children").read_text().split())
    return found


def _name(pid: int) -> str:
    """What `heimdall` does there, or which program it is."""
    words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    return words[words.index("heimdall") + 1] if "heimdall" in words else Path(words[0]).name


def _proportional_megabytes(pid: int) -> float:
    """Memory in MB, what is shared counted by each one's part of it (proc(5), `smaps_rollup`)."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(rollup.split("\nPss:")[1].split()[0]) * 1024 / 1e6
