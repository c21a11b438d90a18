"""What is measured: Heimdall's broker and ingestor as processes, on a database of their own; and how they are read."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from bench.load import Load
from core import topics
from core.home import Home
from store import Store, open_store

ROOT = Path(__file__).parent.parent
POLL_SECONDS = 0.02
_TICKS = os.sysconf("SC_CLK_TCK")
Answer = TypeVar("Answer")


def wait_until(condition: Callable[[], Answer], what: str, seconds: float = 300, poll: float = POLL_SECONDS) -> Answer:
    """The first true answer of `condition`. Raises `TimeoutError`, naming `what`, when there is none in time."""
    deadline = time.monotonic() + seconds
    while not (answer := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds} s in vain until {what}")
        time.sleep(poll)
    return answer


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Process:
    """A process of the stack, with what it writes in a file."""

    def __init__(self, arguments: list[str], environment: dict[str, str], log: Path) -> None:
        self.log = log
        with log.open("ab") as file:
            self.popen = subprocess.Popen(
                [sys.executable, *arguments], env=environment, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=file,
                stderr=file, umask=0o077,
            )  # fmt: skip

    def wait_for(self, words: str, times: int = 1) -> None:
        """Wait until it has written `words` so many times. Raises `RuntimeError` when it ends before."""

        def written() -> bool:
            if self.popen.poll() is not None:
                raise RuntimeError(self.log.read_text()[-2000:])
            return self.log.read_text().count(words) >= times

        wait_until(written, f"{self.log.name} says {words!r}")

    def cpu_seconds(self) -> float:
        return cpu_seconds(self.popen.pid)

    def peak_megabytes(self) -> float:
        """The most memory that it has had resident, in MB (`VmHWM`)."""
        status = Path(f"/proc/{self.popen.pid}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) * 1024 / 1e6

    def end(self, number: int = signal.SIGTERM) -> None:
        if self.popen.poll() is None:
            self.popen.send_signal(number)
            self.popen.wait(60)


def cpu_seconds(pid: int) -> float:
    """CPU seconds, user and system, that a process has used (proc(5), fields 14 and 15 of `stat`)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


class Stack:
    """A home with Mosquitto, as `heimdall broker` runs it, and a fresh database."""

    def __init__(self, folder: Path, database_url: str) -> None:
        self.folder = folder
        self.home = Home(folder / "home")
        self.home.prepare()
        self.database_url = database_url or f"sqlite:///{self.home.path / 'mini_siem.db'}"
        self.port = free_port()
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("HEIMDALL_", "SIEM_"))}
        self.environment = {
            **inherited,
            "PYTHONPATH": str(ROOT),
            "HEIMDALL_HOME": str(self.home.path),
            "HEIMDALL_MQTT_PORT": str(self.port),
            "HEIMDALL_DATABASE_URL": self.database_url,
            "HEIMDALL_HOST": "bench",
        }
        self.processes: list[Process] = []
        self.store: Store = open_store(self.database_url)
        self.broker = self.restart_broker()
        wait_until(self.listens, "the broker listens")

    def restart_broker(self) -> Process:
        """The broker's process, which will listen soon."""
        self.broker = self.start("broker", "-m", "heimdall", "broker", "--broker", "mosquitto")
        return self.broker

    def listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def start(self, name: str, *arguments: str) -> Process:
        process = Process([*arguments], self.environment, self.folder / f"{name}.log")
        self.processes.append(process)
        return process

    def start_ingestor(self) -> Process:
        """Heimdall's own; returns when both of its sessions are subscribed."""
        process = self.start("ingestor", "-m", "heimdall", "ingest")
        before = process.log.read_text().count("is subscribed at")
        process.wait_for("is subscribed at", before + 2)
        return process

    def start_bare(self, kind: str = topics.EVENTS) -> Process:
        """The yardstick; returns when it is subscribed."""
        process = self.start("bare", "-m", "bench.bare", kind)
        process.wait_for("is subscribed at")
        return process

    def newest_id(self) -> int:
        """The largest `id` of `logs`: with one writer and no repetition, how many rows are committed."""
        with self.store.database.reading() as connection:
            return int(connection.exec_driver_sql("SELECT max(id) FROM logs").scalar() or 0)

    def prove_stored(self, events: int, hosts: int = 0) -> None:
        """See, once the clock has stopped, that so many events are stored, each once, and so many hosts known.

        Raises `RuntimeError`.
        """
        query = (
            "SELECT (SELECT count(*) FROM logs), (SELECT count(DISTINCT event_id) FROM logs),"
            " (SELECT count(*) FROM dead_letters), (SELECT count(*) FROM heartbeats)"
        )
        with self.store.database.reading() as connection:
            rows, ids, dead, known = connection.exec_driver_sql(query).one()
        if (rows, ids, dead) != (events, events, 0) or known < hosts:
            raise RuntimeError(
                f"{events} events of {hosts} hosts were sent: {rows} rows with {ids} ids and {dead} dead letters are "
                f"stored, {known} hosts are known"
            )

    def close(self) -> None:
        for process in reversed(self.processes):
            with contextlib.suppress(OSError, subprocess.TimeoutExpired):
                process.end(signal.SIGKILL)
        self.store.close()


@contextlib.contextmanager
def stack(database: str) -> Iterator[Stack]:
    """A stack on `database`, "sqlite" or "postgresql", of which nothing is left afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="heimdall-bench-"))
    with contextlib.ExitStack() as cleanup:
        cleanup.callback(shutil.rmtree, folder, ignore_errors=True)
        made = Stack(folder, cleanup.enter_context(fresh_database(database)))
        cleanup.callback(made.close)
        yield made


@contextlib.contextmanager
def fresh_database(database: str) -> Iterator[str]:
    """The URL of an empty PostgreSQL database on a server that writes durably; "" for SQLite."""
    if database == "sqlite":
        yield ""
        return
    import postgresql_server  # noqa: PLC0415 -- it needs a wheel of the tests

    with postgresql_server.database(running=postgresql_server.server(durable=True)) as url:
        yield url


class Sender:
    """The load's process: encodes when it is made, sends when told."""

    def __init__(self, made: Stack, load: Load) -> None:
        self.load = load
        self._popen = subprocess.Popen(
            [sys.executable, "-m", "bench.load", str(made.port)], env=made.environment, cwd=ROOT,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        user, password = made.home.credential("api")
        self._write(json.dumps({**asdict(load), "user": user, "password": password}))
        self._read()

    def _write(self, line: str) -> None:
        assert self._popen.stdin is not None
        self._popen.stdin.write(line + "\n")
        self._popen.stdin.flush()

    def _read(self) -> str:
        assert self._popen.stdout is not None
        line = self._popen.stdout.readline()
        if not line:
            raise RuntimeError(f"the load ended with {self._popen.wait()}")
        return line

    def begin(self) -> None:
        """Begin to send, and return."""
        self._write("go")

    def stop(self) -> None:
        """Send no more. Raises `RuntimeError` when there was nothing left to send."""
        if self._popen.poll() is not None:
            raise RuntimeError("the load has ended before its time")
        self._popen.kill()
        self._popen.communicate()

    def send(self) -> dict[str, Any]:
        """Send it all; what was seen (see `bench.load`). Raises `RuntimeError` when the broker refused some."""
        self.begin()
        seen: dict[str, Any] = json.loads(self._read())
        self._popen.wait(30)
        for pipe in (self._popen.stdin, self._popen.stdout):
            assert pipe is not None
            pipe.close()
        if seen["refused"]:  # 0x10, nobody is subscribed, too
            raise RuntimeError(f"the broker did not deliver all messages: {seen['refused']}")
        return seen
