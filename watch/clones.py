"""Clones: two agents that speak as one host. A boot id that was left and comes back tells, for a restart never does.

An agent that roams between networks keeps its boot id, and is none.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

QUIET_SECONDS = 600.0  # without another sighting there is one agent again
_REMEMBERED = 4  # boots a host
_LONGEST_BOOT = 64  # characters: what is longer is none of ours, and is shown to nobody


class Sighting(NamedTuple):
    """Boots that took turns, the one that came back last, seen at `at` (seconds since 1970)."""

    host: str
    boots: tuple[str, str]
    at: float


@dataclass(slots=True)
class Clones:
    """What was heard of boots. One thread uses it."""

    _boots: dict[str, tuple[str, ...]] = field(default_factory=dict)
    _seen: dict[str, Sighting] = field(default_factory=dict)
    found: deque[Sighting] = field(default_factory=deque)  # each once, until somebody has told of it

    def hear(self, host: str, boot: str, at: float) -> None:
        """A live message of `host` bore `boot`."""
        boots = self._boots.get(host, ())
        if not boot or boots[-1:] == (boot,):
            return
        if not (boot.isascii() and boot.isprintable() and len(boot) <= _LONGEST_BOOT):
            return
        if boot in boots:
            sighting = Sighting(host, (boots[-1], boot), at)
            if host not in self._seen:
                self.found.append(sighting)
            self._seen[host] = sighting
        self._boots[host] = (*(one for one in boots if one != boot), boot)[-_REMEMBERED:]

    def remember(self, host: str, at: float) -> None:
        """Somebody was told that `host` is two, and not yet that it is one again."""
        self._seen.setdefault(host, Sighting(host, ("", ""), at))

    def find_quiet(self, now: float) -> list[str]:
        """Hosts that have been one again for long enough by `now`, until they are forgotten."""
        return [host for host, sighting in self._seen.items() if now - sighting.at >= QUIET_SECONDS]

    def forget(self, host: str) -> None:
        """Somebody was told that `host` is one again."""
        self._seen.pop(host, None)

    def forget_boots(self, hosts: Iterable[str]) -> None:
        """Of these hosts nothing that was heard before counts any more."""
        for host in hosts:
            self._boots.pop(host, None)
            self._seen.pop(host, None)
