"""The rules: `$HEIMDALL_HOME/rules.toml`, by which people are told of what. Without it nobody is."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec

from core.errors import Invalid
from watch.dead_man_rule import DeadManRule, read_address
from watch.event_rules import EventRule, default_rules

# kinds of alerts that are no rule's
TAKEN_KINDS = frozenset({"crashed", "silent", "zombie", "overdue", "clone", "score", "sigma"})
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_AT_LINE = re.compile(r" \(at line (\d+), column \d+\)$")
_SCHEME = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://")


Table = TypeVar("Table")


class Channel(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`[notify.NAME]`: whom to tell. `url` is an address of apprise, which may hold secrets.

    `group_wait_seconds` is how long more alerts are waited for after each, so that what happens together is told
    together, and whether it lasts. `allow_private` lets the address lie inside the network.
    """

    url: str
    allow_private: bool = False
    group_wait_seconds: Annotated[float, msgspec.Meta(ge=0, le=300)] = 10.0


class ScoreRule(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`[score]`: a host whose score is below this number has an alert; 0: none has."""

    below: Annotated[int, msgspec.Meta(ge=0, le=100)] = 0


class Rules(msgspec.Struct, frozen=True):
    """What `rules.toml` says: the channels and the rules over events by their names."""

    notify: Mapping[str, Channel] = {}
    rule: Mapping[str, EventRule] = {}
    dead_man: DeadManRule | None = None
    score: ScoreRule = ScoreRule()


def read_rules(path: Path) -> Rules:
    """What the file at `path` says; what holds by itself when there is none.

    Raises `Invalid` with file and line for what is no TOML or no rule, and when it cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        text = ""
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
            if name not in Rules.__struct_fields__ or not isinstance(value, dict):
                raise self._refuse(
                    f"there is no [{name}]: a table is [notify.NAME], [rule.NAME], [score] or [dead_man]", name
                )
        notify = {name: self._read_channel(name, table) for name, table in told.get("notify", {}).items()}
        score = self._convert("score", "score", told.get("score", {}), ScoreRule)
        return Rules(notify, self._read_event_rules(told.get("rule", {})), self._read_dead_man(told), score)

    def _read_dead_man(self, told: Mapping[str, Any]) -> DeadManRule | None:
        if "dead_man" not in told:
            return None
        rule = self._convert("dead_man", "dead_man", told["dead_man"], DeadManRule)
        try:
            read_address(rule.url)
        except Invalid as error:
            raise self._refuse(f"[dead_man] url: {error}", "dead_man", "url") from None
        return rule

    def _read_channel(self, name: str, table: Any) -> Channel:
        channel = self._convert(f"notify.{name}", name, table, Channel)
        if not _SCHEME.match(channel.url):
            where = f"notify.{name}"
            raise self._refuse(f"[{where}] url: use an address such as json://127.0.0.1:9000/hook", where, "url")
        return channel

    def _read_event_rules(self, told: Mapping[str, Any]) -> dict[str, EventRule]:
        """The rules that hold by themselves, changed by what is told of them, and those that are told beside."""
        tables = {name: dict(table) for name, table in default_rules().items()}
        for name, table in told.items():
            if name in TAKEN_KINDS:
                raise self._refuse(
                    f"[rule.{name}]: alerts of this kind are others already: name it otherwise", f"rule.{name}"
                )
            known = tables.get(name, {"title": name.replace("_", " ")})
            tables[name] = {**known, **table} if isinstance(table, dict) else table
        rules = {name: self._convert(f"rule.{name}", name, table, EventRule) for name, table in tables.items()}
        for name, rule in rules.items():
            if rule.unless is not None and (rule.unless not in rules or rule.unless == name):
                raise self._refuse(
                    f"[rule.{name}] unless: there is no other rule {rule.unless!r}", f"rule.{name}", "unless"
                )
        return rules

    def _convert(self, where: str, name: str, table: Any, kind: type[Table]) -> Table:
        if not _NAME.fullmatch(name):
            raise self._refuse(f"[{where}]: a name has letters, digits, - and _, 64 at most", where)
        try:
            return msgspec.convert(table, kind)
        except msgspec.ValidationError as error:
            what, _, at = str(error).partition(" - at `$.")
            key = at.rstrip("`") or next(iter(re.findall(r"`(\w+)`$", what)), "")
            found = re.match(r"\w+", key)
            raise self._refuse(
                f"[{where}]{' ' if at else ''}{at.rstrip('`')}: {what}", where, found[0] if found else ""
            ) from error

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
