"""The kinds of host: what each brings to the shared agent."""

from __future__ import annotations

import platform
from importlib import import_module
from typing import TYPE_CHECKING, Any, Dict, NamedTuple, Optional

from agents.address import Address, parse_address
from agents.collector import Collector
from core.errors import Invalid
from core.messages import OsType

if TYPE_CHECKING:
    from agents.reading import FileReader


class Kind(NamedTuple):
    """A kind of host. Its file, `agents/agent_NAME.py`, has `make_collector` and `read_file`.

    It is imported when it is asked for: the parsers of the other kinds would cost a host 2 MB.
    """

    os_type: OsType
    interval_seconds: float
    listen: Optional[Address] = None  # where a collector listens that does, when not where it is used to

    @property
    def name(self) -> str:
        """As `--kind` has it."""
        return self.os_type.lower()

    def make_collector(self, host: str) -> Collector:
        """What reads the source of this machine, which reports as `host`."""
        made: Collector = self._file().make_collector(host, *[self.listen] if self.listen else [])
        return made

    @property
    def read_file(self) -> FileReader:
        """What reads a given file of this kind of host."""
        reader: FileReader = self._file().read_file
        return reader

    def _file(self) -> Any:
        return import_module(f"agents.agent_{self.name}")


KINDS: Dict[str, Kind] = {
    kind.name: kind
    for kind in (Kind("LINUX", 30), Kind("PIHOLE", 60), Kind("MACOS", 30), Kind("WINDOWS", 60), Kind("FIREWALL", 30))
}


def find_kind(name: Optional[str], listen: Optional[str] = None) -> Kind:
    """The kind of this name, or of this machine; one that listens does so at `listen`. Raises `Invalid`."""
    own = platform.system().lower()
    wanted = name or {"darwin": "macos"}.get(own, own)
    if wanted not in KINDS:
        raise Invalid(f"--kind {wanted!r:.40} is unknown: use one of {', '.join(KINDS)}")
    if listen and wanted != "firewall":
        raise Invalid("--listen belongs to --kind firewall")
    return KINDS[wanted]._replace(listen=parse_address(listen) if listen else None)
