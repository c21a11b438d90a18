"""The rules: `$HEIMDALL_HOME/rules.toml`, by which people are told of what. Without it nobody is."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec

from core.errors import Invalid
from core.messages import CLONE, MISSED, SCORE, SIGMA, Alert
from core.topics import check_host, check_pattern, fits_any
from watch.behind import Behind, find_circle
from watch.dead_man_rule import DeadManRule
from watch.event_rules import EventRule, default_rules
from watch.holds import Window
from watch.maintenance import Recurring
from watch.quiet import parse_quiet
from watch.wall_clock import find_zone

MISSED_SEVERITY = 4
# kinds of alerts that are no rule's
TAKEN_KINDS = MISSED | {CLONE, SCORE, SIGMA}
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_AT_LINE = re.compile(r" \(at line (\d+), column \d+\)$")
_SCHEME = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://")


class Channel(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`[notify.NAME]`: whom to tell. `url` is an address of apprise, which may hold secrets.

    `group_wait_seconds` is how long more alerts are waited for after each, so that what happens together is told
    together, and whether it lasts. `allow_private` lets the address lie inside the network. In the hours `quiet`, by
    the clocks in `time_zone`, nothing is told. `after_minutes` is how long an alert must have been open by then, and
    nobody have seen to it. It is told of alerts of `kinds`, of hosts that fit `hosts`, and at least so severe, alone;
    without them of all. That a host is missed is as severe as 4.
    """

    url: str
    allow_private: bool = False
    group_wait_seconds: Annotated[float, msgspec.Meta(ge=0, le=300)] = 10.0
    quiet: str = ""
    time_zone: str = "UTC"
    after_minutes: Annotated[float, msgspec.Meta(ge=0, le=10_080)] = 0.0
    kinds: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    severity_at_least: Annotated[int, msgspec.Meta(ge=1, le=5)] = 1

    def __post_init__(self) -> None:
        """Raises `Invalid`, naming the key."""
        find_zone(self.time_zone, "time_zone")
        if self.quiet:
            parse_quiet(self.quiet, self.time_zone)
        for pattern in self.hosts:
            check_pattern(pattern, "hosts")
        # no secret of the address is repeated
        if not _SCHEME.match(self.url):
            raise Invalid("url: use an address such as json://127.0.0.1:9000/hook")

    def wants(self, alert: Alert) -> bool:
        """Whether it is told of such alerts at all."""
        if self.kinds and alert.kind not in self.kinds:
            return False
        if self.hosts and not fits_any(alert.source_host, self.hosts):
            return False
        return (MISSED_SEVERITY if alert.severity is None else alert.severity) >= self.severity_at_least

    def last_quiet(self, moment: datetime) -> Window | None:
        """The last quiet hours that had begun by `moment`, over or not."""
        return parse_quiet(self.quiet, self.time_zone).last_begun(moment) if self.quiet else None

    def is_quiet(self, moment: datetime) -> bool:
        """Whether nothing may be told at `moment`."""
        window = self.last_quiet(moment)
        return window is not None and moment < window.ends


class ScoreRule(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`[score]`: a host whose score is below this number has an alert; 0: none has."""

    below: Annotated[int, msgspec.Meta(ge=0, le=100)] = 0


class Rules(msgspec.Struct, frozen=True):
    """What `rules.toml` says, by the names of its tables."""

    notify: Mapping[str, Channel] = {}
    maintenance: Mapping[str, Recurring] = {}
    behind: Mapping[str, Behind] = {}
    rule: Mapping[str, EventRule] = {}
    score: ScoreRule = ScoreRule()
    dead_man: DeadManRule | None = None


# each kind of table, `[KIND.NAME]`, and what one says
_NAMED: Mapping[str, type[msgspec.Struct]] = {
    "notify": Channel, "maintenance": Recurring, "behind": Behind, "rule": EventRule,
}  # fmt: skip
# those that there is one of
_SINGLE: Mapping[str, type[msgspec.Struct]] = {"score": ScoreRule, "dead_man": DeadManRule}


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
        known = ", ".join([*(f"[{kind}.NAME]" for kind in _NAMED), *(f"[{kind}]" for kind in _SINGLE)])
        for kind, value in told.items():
            if (kind not in _NAMED and kind not in _SINGLE) or not isinstance(value, dict):
                raise self._refuse(f"there is no [{kind}]: a table is {known}", kind)
        found: dict[str, Any] = {
            kind: {name: self._read_named(kind, name, table) for name, table in tables.items()}
            for kind, tables in {**told, "rule": self._add_defaults(told.get("rule", {}))}.items()
            if kind in _NAMED
        }
        single = {kind: self._convert(kind, told[kind], known) for kind, known in _SINGLE.items() if kind in told}
        rules = Rules(**found, **single)
        self._check_circles(rules.behind)
        self._check_unless(rules.rule)
        return rules

    def _add_defaults(self, told: Mapping[str, Any]) -> dict[str, Any]:
        """The rules that hold by themselves, changed by what is told of them, and those that are told beside."""
        tables: dict[str, Any] = {name: dict(table) for name, table in default_rules().items()}
        for name, table in told.items():
            if name in TAKEN_KINDS:
                where = f"rule.{name}"
                raise self._refuse(f"[{where}]: alerts of this kind are others already: name it otherwise", where)
            known = tables.get(name, {"title": name.replace("_", " ")})
            tables[name] = {**known, **table} if isinstance(table, dict) else table
        return tables

    def _check_circles(self, behind: Mapping[str, Behind]) -> None:
        circle = find_circle(behind)
        if circle:
            where = f"behind.{circle[0]}"
            around = " behind ".join([*reversed(circle), circle[-1]])
            raise self._refuse(f"[{where}] hosts: no host is behind itself: {around}", where, "hosts")

    def _check_unless(self, rules: Mapping[str, EventRule]) -> None:
        for name, rule in rules.items():
            if rule.unless is not None and (rule.unless not in rules or rule.unless == name):
                where = f"rule.{name}"
                raise self._refuse(f"[{where}] unless: there is no other rule {rule.unless!r}", where, "unless")

    def _read_named(self, kind: str, name: str, table: Any) -> Any:
        self._check_name(kind, name)
        return self._convert(f"{kind}.{name}", table, _NAMED[kind])

    def _convert(self, where: str, table: Any, struct: type[msgspec.Struct]) -> Any:
        try:
            return msgspec.convert(table, struct)
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
