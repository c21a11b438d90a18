"""The script of faults: a TOML file, read and checked whole before anything happens."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from typing import Any

from core.errors import Invalid
from heimdall.sim.ledger import GRACE_SECONDS

ON_HOSTS = ("kill", "hang", "stop", "shutdown", "away", "mute", "clone", "roam", "flap", "restart")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)")
_SHARE = re.compile(r"(\d+(?:\.\d+)?)%")
_CHOICES = ("hosts", "names", "share")
_DURATIONS = ("at", "for", "late_by", "down", "up", "until")
_SPARE_SECONDS = 1.0  # of the grace, for a restart to connect in
# what a fault may have beside `at`, `kind` and its hosts
_KEYS = {
    **dict.fromkeys(("kill", "hang", "stop", "shutdown", "mute", "clone"), ("for",)),
    "away": ("for", "late_by"),
    "roam": (),
    "flap": ("times", "down", "up"),
    "restart": ("down",),
}
_COMMAND_KEYS = ("at", "run", "blackout", "until")


@dataclass(frozen=True)
class Fault:
    """Something that is done to hosts, `at` seconds after the whole fleet was connected.

    Hosts are `names`, or so many (`hosts`), or such a part (`share`) of the fleet. `for_seconds` is `None` when it
    lasts to the end. One that is `away` is back `late_by_seconds` after the time that it has announced.
    """

    line: int
    kind: str
    at: float
    names: tuple[str, ...] = ()
    hosts: int = 0
    share: float = 0.0
    for_seconds: float | None = None
    late_by_seconds: float | None = None
    times: int = 1
    down_seconds: float = 1.0
    up_seconds: float = 10.0

    @property
    def lasts_seconds(self) -> float | None:
        """From its beginning to its end; `None` when it has none."""
        if self.kind == "flap":
            return self.times * (self.down_seconds + self.up_seconds)
        if self.kind == "restart":
            return self.down_seconds
        return 0.0 if self.kind == "roam" else self.for_seconds


@dataclass(frozen=True)
class Command:
    """A command line that is run `at`; with `until` nobody can hear or be heard from then until then."""

    line: int
    at: float
    run: str
    until: float | None = None


@dataclass(frozen=True)
class Script:
    """All that happens, in the order of the file."""

    faults: tuple[Fault, ...] = ()
    commands: tuple[Command, ...] = ()


class _Table:
    """One `[[fault]]`, which knows where it stands in the file."""

    def __init__(self, values: dict[str, Any], name: str, lines: dict[str, int]) -> None:
        self.values, self._name, self._lines = values, name, lines

    @property
    def line(self) -> int:
        return self._lines.get("", 0)

    def wrong(self, key: str, hint: str) -> Invalid:
        """The error about `key`, with its line and value."""
        line = self._lines.get(key, self.line)
        value = f" = {self.values[key]!r:.80}" if key in self.values else ""
        return Invalid(f"{self._name}{f', line {line}' if line else ''}: {key}{value}: {hint}")

    def seconds(self, key: str) -> float | None:
        """The duration under `key` in seconds; `None` when it is absent."""
        value = self.values.get(key)
        found = _DURATION.fullmatch(value) if isinstance(value, str) else None
        if value is None:
            return None
        if found is None:
            raise self.wrong(key, 'use a number and ms, s, m or h, such as "30s"')
        return float(found[1]) * _UNITS[found[2]]

    def at(self) -> float:
        at = self.seconds("at")
        if at is None:
            raise self.wrong("at", 'is missing: when it happens, such as at = "30s"')
        return at

    def allow(self, allowed: tuple[str, ...]) -> None:
        for key in self.values:
            if key not in allowed:
                raise self.wrong(key, f"does not belong here: use {', '.join(allowed)}")


def parse_script(text: str, name: str) -> Script:
    """The script in `text`; `name` is the file's, for errors. Raises `Invalid`, naming line, key and value."""
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise Invalid(f"{name} is no TOML: {error}") from error
    for key in values:
        if key != "fault":
            raise _Table(values, name, _find_lines(text)[0]).wrong(key, "is unknown: a script has [[fault]] tables")
    tables = values.get("fault", [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise Invalid(f"{name}: fault: write each as a table of its own, [[fault]]")
    lines = _find_lines(text)[1:]
    faults, commands = [], []
    for number, values_of_one in enumerate(tables):
        table = _Table(values_of_one, name, lines[number] if len(lines) == len(tables) else {})
        if "run" in values_of_one:
            commands.append(_parse_command(table))
        else:
            faults.append(_parse_fault(table))
    return Script(tuple(faults), tuple(commands))


def _find_lines(text: str) -> list[dict[str, int]]:
    """Where each key stands: before the first `[[fault]]`, then in each; under the empty key that line itself."""
    found: list[dict[str, int]] = [{}]
    for number, line in enumerate(text.splitlines(), 1):
        if re.match(r"\s*\[\[\s*fault\s*\]\]", line):
            found.append({"": number})
        elif key := re.match(r"\s*([A-Za-z0-9_-]+)\s*=", line):
            found[-1].setdefault(key[1], number)
    return found


def _parse_command(table: _Table) -> Command:
    table.allow(_COMMAND_KEYS)
    run, blackout = table.values["run"], table.values.get("blackout", False)
    if not isinstance(run, str) or not run.strip():
        raise table.wrong("run", 'use a command line, such as run = "kill -STOP 123"')
    if not isinstance(blackout, bool):
        raise table.wrong("blackout", "use true or false")
    at, until = table.at(), table.seconds("until")
    if blackout != (until is not None):
        raise table.wrong("until" if blackout else "blackout", 'a blackout has both: blackout = true, until = "90s"')
    if until is not None and until <= at:
        raise table.wrong("until", f"must be later than at, {at:g} s")
    return Command(table.line, at, run, until)


def _parse_fault(table: _Table) -> Fault:
    kind = table.values.get("kind")
    if kind not in ON_HOSTS:
        word = "is unknown: use" if "kind" in table.values else "or run is missing: use one of"
        raise table.wrong("kind", f"{word} {', '.join(ON_HOSTS)}")
    table.allow(("at", "kind", *_CHOICES, *_KEYS[kind]))
    names, hosts, share = _parse_choice(table)
    seconds = {key: table.seconds(key) for key in _DURATIONS}
    times = table.values.get("times", 3)
    if not isinstance(times, int) or isinstance(times, bool) or not 1 <= times <= 1_000:
        raise table.wrong("times", "use a number from 1 to 1000")
    fault = Fault(
        table.line, kind, table.at(), names, hosts, share, seconds["for"], seconds["late_by"], times,
        seconds["down"] if seconds["down"] is not None else 1.0 if kind == "restart" else 5.0,
        seconds["up"] if seconds["up"] is not None else 10.0,
    )  # fmt: skip
    if kind == "away" and fault.for_seconds is None:
        raise table.wrong("for", 'is missing: how long it is away, such as for = "60s"')
    if (fault.late_by_seconds or 0.0) >= (fault.for_seconds or 1e9):
        raise table.wrong("late_by", "must be shorter than for, which is how long it is away in all")
    if kind == "restart" and fault.down_seconds > GRACE_SECONDS - _SPARE_SECONDS:
        raise table.wrong("down", f"use at most {GRACE_SECONDS - _SPARE_SECONDS:g} s, within the grace; else kill")
    return fault


def _parse_choice(table: _Table) -> tuple[tuple[str, ...], int, float]:
    """Names, number and share of the hosts, of which one is given."""
    given = [key for key in _CHOICES if key in table.values]
    if len(given) != 1:
        key = given[1] if given else "hosts"
        raise table.wrong(key, 'say once which: hosts = 10, share = "1%" or names = ["sim-00001"]')
    names, hosts, share = table.values.get("names", []), table.values.get("hosts", 0), table.values.get("share", "0%")
    if (
        not isinstance(names, list)
        or not all(isinstance(name, str) for name in names)
        or (given == ["names"] and not names)
    ):
        raise table.wrong("names", 'use a list of names, such as ["sim-00001"]')
    if not isinstance(hosts, int) or isinstance(hosts, bool) or (given == ["hosts"] and hosts < 1):
        raise table.wrong("hosts", "use a number above 0")
    found = _SHARE.fullmatch(share) if isinstance(share, str) else None
    if found is None or (given == ["share"] and not 0 < float(found[1]) <= 100):
        raise table.wrong("share", 'use a percentage above 0, such as "1%"')
    return tuple(names), hosts, float(found[1]) / 100
