"""The rules: `$HEIMDALL_HOME/rules.toml`, by which people are told. Without it nobody is."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec

from core.errors import Invalid

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_AT_LINE = re.compile(r" \(at line (\d+), column \d+\)$")
_SCHEME = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://")


class Channel(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`[notify.NAME]`: whom to tell. `url` is an address of apprise, which may hold secrets.

    `group_wait_seconds` is how long more alerts are waited for after each, so that what happens together is told
    together, and whether it lasts. `allow_private` lets the address lie inside the network.
    """

    url: str
    allow_private: bool = False
    group_wait_seconds: Annotated[float, msgspec.Meta(ge=0, le=300)] = 10.0


class Rules(msgspec.Struct, frozen=True):
    """What `rules.toml` says: the channels by their names."""

    notify: Mapping[str, Channel] = {}


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
        for name, value in told.items():
            if name != "notify" or not isinstance(value, dict):
                raise self._refuse(f"there is no [{name}]: a table is [notify.NAME]", name)
        notify = told.get("notify", {})
        return Rules({name: self._read_channel(name, table) for name, table in notify.items()})

    def _read_channel(self, name: str, table: Any) -> Channel:
        where = f"notify.{name}"
        if not _NAME.fullmatch(name):
            raise self._refuse(f"[{where}]: a name has letters, digits, - and _, 64 at most", where)
        try:
            channel = msgspec.convert(table, Channel)
        except msgspec.ValidationError as error:
            what, _, at = str(error).partition(" - at `$.")
            key = at.rstrip("`") or next(iter(re.findall(r"`(\w+)`$", what)), "")
            raise self._refuse(f"[{where}]{' ' if at else ''}{at.rstrip('`')}: {what}", where, key) from error
        if not _SCHEME.match(channel.url):
            raise self._refuse(f"[{where}] url: use an address such as json://127.0.0.1:9000/hook", where, "url")
        return channel

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
