"""`[behind.HOST]` in the rules: which hosts cannot be reached while another is down."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import msgspec

from core.topics import check_pattern, fits_any


class Behind(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The hosts behind one, as patterns."""

    hosts: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]

    def __post_init__(self) -> None:
        """Raises `Invalid`, naming the key."""
        for pattern in self.hosts:
            check_pattern(pattern, "hosts")


def reach(tables: Mapping[str, Behind]) -> dict[str, tuple[str, ...]]:
    """All that is behind each host, also behind those that are behind it, as patterns."""
    found = {}
    for name in tables:
        seen, waiting = {name}, [name]
        patterns: dict[str, None] = {}
        while waiting:
            one = waiting.pop()
            patterns.update(dict.fromkeys(tables[one].hosts))
            nearer = [other for other in _list_next(one, tables) if other not in seen]
            seen.update(nearer)
            waiting += nearer
        found[name] = tuple(patterns)
    return found


def find_circle(tables: Mapping[str, Behind]) -> list[str]:
    """Hosts each of which is behind the one before it, and the first behind the last; none where there are none."""
    done: set[str] = set()
    for name in tables:
        circle = _search(name, tables, [], done)
        if circle:
            return circle
    return []


def _search(name: str, tables: Mapping[str, Behind], path: list[str], done: set[str]) -> list[str]:
    if name in path:
        return path[path.index(name) :]
    if name in done:
        return []
    for other in _list_next(name, tables):
        circle = _search(other, tables, [*path, name], done)
        if circle:
            return circle
    done.add(name)
    return []


def _list_next(name: str, tables: Mapping[str, Behind]) -> list[str]:
    """Those with a table of their own that are behind `name`; itself only where it is named, not where it fits."""
    patterns = tables[name].hosts
    return [other for other in tables if (other in patterns if other == name else fits_any(other, patterns))]
