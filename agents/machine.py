"""What an agent says of the machine that it runs on."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from core.ids import stable_id
from core.messages import Info, OsType


def describe_machine(os_type: OsType, interval_seconds: float, boot: str = "") -> Info:
    """The `info` of this machine; what it does not tell is left empty."""
    return Info(
        os_type=os_type,
        version=_find_version(),
        os_release=_find_release(),
        architecture=platform.machine(),
        interval_s=interval_seconds,
        boot=boot,
        machine_id=_find_machine_id(),
    )


def _find_machine_id() -> str:
    """An id of this machine that others cannot turn back into /etc/machine-id, which machine-id(5) calls a secret."""
    own = _read("/etc/machine-id").strip()
    return str(stable_id("machine", own)) if own else ""


def _find_version() -> str:
    try:
        return version("heimdall-siem")
    except PackageNotFoundError:
        return "unknown"


def _find_release() -> str:
    for line in _read("/etc/os-release").splitlines():
        name, _, value = line.partition("=")
        if name == "PRETTY_NAME":
            return value.strip().strip("\"'")
    return f"{platform.system()} {platform.release()}"


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
