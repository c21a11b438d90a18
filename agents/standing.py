"""What the agent at work says of itself: a file in its home, for the commands of the same machine.

A file that is there proves no running agent: that is what the lock of the home is for.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import NamedTuple, Optional

from core.clock import rfc3339, utc_now
from core.home import write_secret


class Standing(NamedTuple):
    """`boot` is new at each start. Times are RFC 3339; `connected_since` is empty without a connection.

    `trouble` says why there is none, or is empty when none was tried yet.
    """

    boot: str
    version: str
    started_at: str
    connected_since: str = ""
    trouble: str = ""


class StandingFile:
    """Keeps the file at `path` true, from the agent's start on."""

    def __init__(self, path: Path, boot: str, version: str) -> None:
        self._path = path
        self._standing = Standing(boot, version, rfc3339(utc_now()))
        self._write()

    def tell(self, trouble: str) -> None:
        """The link has connected (`trouble` is empty then), or has lost its connection or got none."""
        if trouble and trouble == self._standing.trouble:
            return
        self._standing = self._standing._replace(connected_since="" if trouble else rfc3339(utc_now()), trouble=trouble)
        self._write()

    def _write(self) -> None:
        # a full disk must not end an agent that has nothing but this to write
        with contextlib.suppress(OSError):
            write_secret(self._path, json.dumps(self._standing._asdict()) + "\n")


def read_standing(path: Path) -> Optional[Standing]:
    """What was said last; `None` when nothing was, or nothing that can be read."""
    try:
        return Standing(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
