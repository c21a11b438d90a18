"""The rules: `$HEIMDALL_HOME/rules.toml`, by which people are told. Without it nobody is."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec

from core.errors import Invalid
from core.topics import check_host
from watch.behind import Behind, find_circle
from watch.holds import Window
from watch.maintenance import Recurring
from watch.quiet import parse_quiet
from watch.wall_clock import find_zone

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_AT_LINE = re.compile(r" \(at line (\d+), column \d+\)$")
_SCHEME = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://")


class Channel(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`[notify.NAME]`: whom to tell. `url` is an address of apprise, which may hold secrets.

    `group_wait_seconds` is how long more alerts are waited for after each, so that what happens together is told
    together, and whether it lasts. `allow_private` lets the address lie inside the network. In the hours `quiet`, by
    the clocks in `time_zone`, nothing is told. `after_minutes` is how long an alert must have been open by then, and
    nobody have seen to it.
    """

    url: str
    allow_private: bool = False
    group_wait_seconds: Annotated[float, msgspec.Meta(ge=0, le=300)] = 10.0
    quiet: str = ""
    time_zone: str = "UTC"
    after_minutes: Annotated[float, msgspec.Meta(ge=0, le=10_080)] = 0.0

    def __post_init__(self) -> None:
        """Raises `Invalid`, naming the key."""
        find_zone(self.time_zone, "time_zone")
        if self.quiet:
            parse_quiet(self.quiet, self.time_zone)
        # no secret of the address is repeated
        if not _SCHEME.match(self.url):
            raise Invalid("url: use an address such as json://127.0.0.1:9000/hook")

    def last_quiet(self, moment: datetime) -> Window | None:
        """The last quiet hours that had begun by `moment`, over or not."""
        return parse_quiet(self.quiet, self.time_zone).last_begun(moment) if self.quiet else None

    def is_quiet(self, moment: datetime) -> bool:
        """Whether nothing may be told at `moment`."""
        window = self.last_quiet(moment)
        return window is not None and moment < window.ends


class Rules(msgspec.Struct, frozen=True):
    """What `rules.toml` says: the channels, maintenance that comes again, and what is behind a host, by their names."""

    notify: Mapping[str, Channel] = {}
    maintenance: Mapping[str, Recurring] = {}
    behind: Mapping[str, Behind] = {}


# each kind of table, `[KIND.NAME]`, and what one says
_TABLES: Mapping[str, type[msgspec.Struct]] = {"notify": Channel, "maintenance": Recurring, "behind": Behind}


def read_rules(path: Path) -> Rules:
    """What the file at `path` says, the default when there is none.

    Raises `Invalid` with file and line for what is no TOML or no rule, and when it cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return Rules()
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid(f"{path} cannot be read: {error}") from error
    try:
        told = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        at = _AT_LINE.search(str(error))
        line = int(at[1]) if at else text.count("\n") + 1
        raise Invalid(f"{path}:{line}: this is no TOML: {_AT_LINE.sub('', str(error))}") from error
    return _Reader(path, text).read(told)


class _Reader:
    """One file; TOML's readers forget the lines, so that a key's is looked for again."""

    def __init__(self, path: Path, text: str) -> None:
        self._path, self._lines = path, text.splitlines()

    def read(self, told: dict[str, Any]) -> Rules:
        known = ", ".join(f"[{kind}.NAME]" for kind in _TABLES)
        for kind, value in told.items():
            if kind not in _TABLES or not isinstance(value, dict):
                raise self._refuse(f"there is no [{kind}]: a table is {known}", kind)
        rules = Rules(
            **{
                kind: {name: self._read_table(kind, name, table) for name, table in told.get(kind, {}).items()}
                for kind in _TABLES
            }
        )
        circle = find_circle(rules.behind)
        if circle:
            where = f"behind.{circle[0]}"
            around = " behind ".join([*reversed(circle), circle[-1]])
            raise self._refuse(f"[{where}] hosts: no host is behind itself: {around}", where, "hosts")
        return rules

    def _read_table(self, kind: str, name: str, table: Any) -> Any:
        where = f"{kind}.{name}"
        self._check_name(kind, name)
        try:
            return msgspec.convert(table, _TABLES[kind])
        except msgspec.ValidationError as error:
            what, _, at = str(error).partition(" - at `$.")
            key = re.split(r"[.\[`]", at)[0] or next(iter(re.findall(r"`(\w+)`$", what)), "")
            raise self._refuse(f"[{where}]{' ' if at else ''}{at.rstrip('`')}: {what}", where, key) from error
        except Invalid as error:
            # it begins with the key
            key = re.split(r"\W", str(error))[0]
            raise self._refuse(f"[{where}] {error}", where, key) from error

    def _check_name(self, kind: str, name: str) -> None:
        where = f"{kind}.{name}"
        if kind == "behind":
            try:
                check_host(name, f"[{where}]")
            except Invalid as error:
                raise self._refuse(str(error), where) from error
        elif not _NAME.fullmatch(name):
            raise self._refuse(f"[{where}]: a name has letters, digits, - and _, 64 at most", where)

    def _refuse(self, text: str, table: str, key: str = "") -> Invalid:
        return Invalid(f"{self._path}:{self._find(table, key)}: {text}")

    def _find(self, table: str, key: str) -> int:
        """The line of `key` in `table`, of the table when the key is not found, 1 when neither is."""
        inside, found = False, 1
        dotted = re.escape(table).replace(r"\.", r'"?\s*\.\s*"?')
        header = re.compile(rf'\s*\[?\[?\s*"?{dotted}"?\s*[\]=.]')
        for number, line in enumerate(self._lines, 1):
            if header.match(line):
                inside, found = True, number
            elif line.lstrip().startswith("["):
                inside = False
            elif inside and key and re.match(rf'\s*"?{re.escape(key)}"?\s*[=.]', line):
                return number
        return found
