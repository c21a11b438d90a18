"""The rulebook: the rules as they are in the file now, read again when it changes."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from core.errors import Invalid
from watch.rules import read_rules

log = logging.getLogger("watch.rules")


class Rulebook:
    """The rules of the file at `path`. Raises `Invalid` when they cannot be used at first; later they are kept then.

    `edition` is another number for each change, of which `changed` is told whoever has looked; `trouble` is why the
    file is not followed, an empty text when it is.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.changed: Callable[[], None] = lambda: None
        self._stamp = self._look()
        self.rules = read_rules(path)
        self.edition = 1
        self.trouble = ""

    def refresh(self) -> int:
        """Read it again if it has changed; the edition."""
        stamp = self._look()
        if stamp == self._stamp:
            return self.edition
        self._stamp = stamp
        try:
            self.rules = read_rules(self._path)
        except Invalid as error:
            self.trouble = str(error)
            log.error("%s; going on by the rules as they were", error)
            return self.edition
        self.trouble = ""
        self.edition += 1
        self.changed()
        channels = self.rules.notify
        told = f"{len(channels)} channels: {', '.join(channels)}" if channels else "nobody is notified"
        log.info("the rules have changed: %s", told)
        return self.edition

    def _look(self) -> tuple[int, int, int] | None:
        try:
            info = self._path.stat()
        except OSError:
            return None
        return info.st_mtime_ns, info.st_size, info.st_ino
