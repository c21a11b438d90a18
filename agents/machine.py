"""What an agent says of the machine that it runs on."""

from __future__ import annotations

import platform
import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from core.ids import stable_id
from core.messages import Info, OsType

PATIENCE_SECONDS = 5.0
FIRST_BUILD_OF_WINDOWS_11 = 22_000  # its registry goes on calling it Windows 10
PIHOLE_VERSIONS = Path("/etc/pihole/versions")  # that Pi-hole's updatecheck.sh writes


def describe_machine(os_type: OsType, interval_seconds: float, boot: str = "") -> Info:
    """The `info` of this machine; what it does not tell is left empty."""
    release = _find_release()
    if os_type == "PIHOLE":
        release += _find_pihole()
    return Info(
        os_type=os_type,
        version=_find_version(),
        os_release=release,
        architecture=platform.machine(),
        interval_s=interval_seconds,
        boot=boot,
        machine_id=_find_machine_id(),
    )


def _find_machine_id() -> str:
    """An id of this machine that others cannot turn back into /etc/machine-id, which machine-id(5) calls a secret.

    On Windows it is made of the registry's MachineGuid, on macOS of the hardware's IOPlatformUUID.
    """
    if sys.platform == "win32":
        own = _read_registry(r"SOFTWARE\Microsoft\Cryptography", "MachineGuid")
    elif sys.platform == "darwin":
        own = find_platform_uuid(_ask("ioreg", "-rd1", "-c", "IOPlatformExpertDevice"))
    else:
        own = _read("/etc/machine-id").strip()
    return str(stable_id("machine", own)) if own else ""


def _find_version() -> str:
    try:
        return version("heimdall-siem")
    except PackageNotFoundError:
        return "unknown"


def _find_release() -> str:
    if sys.platform == "win32":
        key = r"SOFTWARE\Microsoft\Windows NT\CurrentVersion"
        values = ("ProductName", "DisplayVersion", "CurrentBuild")
        name = name_windows(*(_read_registry(key, value) for value in values))
    elif sys.platform == "darwin":
        name = f"macOS {_ask('sw_vers', '-productVersion').strip() or platform.mac_ver()[0]}"
    else:
        name = find_pretty_name(_read("/etc/os-release"))
    return name or f"{platform.system()} {platform.release()}"


def find_platform_uuid(listing: str) -> str:
    """The UUID of this hardware in what `ioreg` prints; empty without one."""
    found = re.search(r'"IOPlatformUUID" = "([0-9A-Fa-f-]{36})"', listing)
    return found[1] if found else ""


def name_windows(product: str, edition: str, build: str) -> str:
    """`Windows 11 Pro 23H2 (build 22631)` of what the registry says; empty when it says nothing."""
    if product.startswith("Windows 10") and build.isdigit() and int(build) >= FIRST_BUILD_OF_WINDOWS_11:
        product = product.replace("Windows 10", "Windows 11", 1)
    return " ".join(filter(None, (product, edition, build and f"(build {build})"))) if product else ""


def find_pretty_name(text: str) -> str:
    """What /etc/os-release (`text`) calls this system; empty when it does not (os-release(5))."""
    for line in text.splitlines():
        name, _, value = line.partition("=")
        if name == "PRETTY_NAME":
            return value.strip().strip("\"'")
    return ""


def _find_pihole() -> str:
    found = re.search(r"^CORE_VERSION=(v[\w.-]{1,40})\s*$", _read(str(PIHOLE_VERSIONS)), re.MULTILINE)
    return f", Pi-hole {found[1]}" if found else ""


def _read_registry(key: str, name: str) -> str:
    """A text of HKEY_LOCAL_MACHINE, as a 64-bit program sees it; empty when there is none."""
    if sys.platform != "win32":
        return ""
    import winreg  # noqa: PLC0415 -- Windows alone has it

    try:
        with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, key, 0, winreg.KEY_READ | winreg.KEY_WOW64_64KEY) as opened:
            return str(winreg.QueryValueEx(opened, name)[0])
    except OSError:
        return ""


def _ask(*command: str) -> str:
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.decode("utf-8", "replace")


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
