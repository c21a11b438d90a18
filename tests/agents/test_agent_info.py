"""What an agent says of its machine. Other systems' words are those that their programs and registry have."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from uuid import UUID

import pytest

from agents import machine
from agents.machine import describe_machine, find_platform_uuid, find_pretty_name, name_windows
from core.ids import stable_id

GUID = "3f0e5a6d-98b4-4c5e-9d27-0c8a1b2e4f61"
IOREG = f"""\
+-o J314sAP  <class IOPlatformExpertDevice, id 0x100000226, registered, matched, active, busy 0 (20 ms), retain 40>
    {{
      "manufacturer" = <"Apple Inc.">
      "IOPlatformUUID" = "{GUID.upper()}"
      "IOPlatformSerialNumber" = "ABCDEFGHIJ"
    }}
"""


class Registry:
    """The registry of Windows as `winreg` gives it."""

    HKEY_LOCAL_MACHINE, KEY_READ, KEY_WOW64_64KEY = object(), 0x20019, 0x100

    def __init__(self, values: dict[str, str]) -> None:
        self._values = values

    def OpenKey(self, root: object, key: str, _reserved: int, access: int) -> Registry:
        assert (root, access) == (self.HKEY_LOCAL_MACHINE, 0x20119)
        assert key.startswith("SOFTWARE\\Microsoft\\")
        return self

    def __enter__(self) -> Registry:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def QueryValueEx(self, _key: Registry, name: str) -> tuple[str, int]:
        if name not in self._values:
            raise FileNotFoundError(2, "no such value")
        return self._values[name], 1


def windows(monkeypatch: pytest.MonkeyPatch, **values: str) -> None:
    monkeypatch.setattr(machine, "sys", SimpleNamespace(platform="win32"))
    monkeypatch.setitem(sys.modules, "winreg", Registry(values))


@pytest.mark.parametrize(
    ("product", "edition", "build", "expected"),
    [
        ("Windows 10 Pro", "22H2", "19045", "Windows 10 Pro 22H2 (build 19045)"),
        ("Windows 10 Pro", "23H2", "22631", "Windows 11 Pro 23H2 (build 22631)"),
        ("Windows Server 2025 Datacenter", "24H2", "26100", "Windows Server 2025 Datacenter 24H2 (build 26100)"),
        ("Windows Server 2016 Standard", "", "14393", "Windows Server 2016 Standard (build 14393)"),
        ("", "", "", ""),
    ],
)
def test_windows_11_is_called_so(product: str, edition: str, build: str, expected: str) -> None:
    assert name_windows(product, edition, build) == expected


def test_windows_is_known_by_its_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    windows(monkeypatch, MachineGuid=GUID, ProductName="Windows 10 Home", DisplayVersion="21H2", CurrentBuild="22000")
    info = describe_machine("WINDOWS", 60)
    assert info.os_release == "Windows 11 Home 21H2 (build 22000)"
    assert info.machine_id == str(stable_id("machine", GUID))
    assert GUID not in info.machine_id


def test_what_windows_does_not_say_is_left_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    windows(monkeypatch)
    info = describe_machine("WINDOWS", 60)
    assert info.machine_id == ""
    assert info.os_release, "what Python knows"


def test_macos_is_known_by_its_hardware_and_its_version(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, said in (("ioreg", IOREG), ("sw_vers", "14.6.1\n")):
        (tmp_path / name).write_text(f"#!/bin/sh\n/bin/cat <<'END'\n{said}END\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(machine, "sys", SimpleNamespace(platform="darwin"))
    info = describe_machine("MACOS", 30)
    assert (info.os_release, info.machine_id) == ("macOS 14.6.1", str(stable_id("machine", GUID.upper())))
    assert find_platform_uuid("nothing of the kind") == ""


def test_a_linux_is_called_as_it_calls_itself() -> None:
    assert find_pretty_name('NAME="Debian"\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n') == (
        "Debian GNU/Linux 12 (bookworm)"
    )
    assert find_pretty_name("") == ""
    info = describe_machine("LINUX", 30)
    assert info.os_release
    assert not info.machine_id or UUID(info.machine_id)


def test_a_pihole_says_its_version_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    versions = tmp_path / "versions"
    monkeypatch.setattr(machine, "PIHOLE_VERSIONS", versions)
    before = describe_machine("PIHOLE", 60).os_release
    versions.write_text("CORE_BRANCH=master\nCORE_VERSION=v6.0.6\nGITHUB_CORE_VERSION=v6.1\nFTL_VERSION=v6.1\n")
    assert describe_machine("PIHOLE", 60).os_release == f"{before}, Pi-hole v6.0.6"
    assert describe_machine("LINUX", 60).os_release == before
    versions.write_text("CORE_VERSION=$(reboot)\n")
    assert describe_machine("PIHOLE", 60).os_release == before
