"""The kinds of host: what each brings to the shared agent."""

from __future__ import annotations

import platform
from typing import Callable, Dict, NamedTuple, Optional

from agents import agent_firewall, agent_linux, agent_macos, agent_pihole, agent_windows
from agents.collector import Collector
from agents.reading import FileReader, by_line
from agents.receiver import Address
from agents.windows_xml import split_events
from core.errors import Invalid
from core.messages import OsType


class Kind(NamedTuple):
    """A kind of host: what makes its collector, how a given file is read, seconds between beats."""

    os_type: OsType
    make_collector: Callable[[str], Collector]
    read_file: FileReader
    interval_seconds: float


KINDS: Dict[str, Kind] = {
    "linux": Kind(
        "LINUX",
        agent_linux.LinuxCollector,
        by_line(agent_linux.read_line, agent_linux.split_records),
        agent_linux.INTERVAL_SECONDS,
    ),
    "pihole": Kind("PIHOLE", agent_pihole.PiholeCollector, agent_pihole.read_file, agent_pihole.INTERVAL_SECONDS),
    "macos": Kind("MACOS", agent_macos.MacosCollector, by_line(agent_macos.read_line), agent_macos.INTERVAL_SECONDS),
    "windows": Kind(
        "WINDOWS",
        agent_windows.WindowsCollector,
        by_line(agent_windows.read_line, split_events),
        agent_windows.INTERVAL_SECONDS,
    ),
    "firewall": Kind(
        "FIREWALL", agent_firewall.FirewallCollector, by_line(agent_firewall.read_line), agent_firewall.INTERVAL_SECONDS
    ),
}


def find_kind(name: Optional[str]) -> Kind:
    own = platform.system().lower()
    wanted = name or {"darwin": "macos"}.get(own, own)
    if wanted not in KINDS:
        raise Invalid(f"--kind {wanted!r:.40} is unknown: use one of {', '.join(KINDS)}")
    return KINDS[wanted]


def listen_at(kind: Kind, address: Address) -> Kind:
    """`kind` with a collector that listens at `address`. Raises `Invalid` when it listens nowhere."""
    if kind.os_type != "FIREWALL":
        raise Invalid("--listen belongs to --kind firewall")
    return kind._replace(make_collector=lambda host: agent_firewall.FirewallCollector(host, address))
