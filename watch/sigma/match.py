"""Which rules an event meets: `Ruleset`, read from the plain form that `heimdall rules add` has written."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import msgspec
import re2

from core.text import printable
from watch.sigma.count import Count, Counter
from watch.sigma.fields import Event, Record, read_records
from watch.sigma.kinds import KINDS, Kind
from watch.sigma.tree import Node, Predicate, compile_node, encodable, find_literals

log = logging.getLogger("heimdall.watch")

FORMAT = 1
_PATTERNS_BYTES = 64 * 1024 * 1024  # that the search for all literals of a kind may take
_SETTLED_NS = 2_000_000_000
_LITERALS_CHARS = 400_000  # of one kind; what comes above is asked each time

Stamp = tuple[tuple[str, int, int, int], ...]


class Rule(NamedTuple):
    """A rule that was met: `severity` is 1 (informational) to 5 (critical)."""

    id: str
    title: str
    severity: int


class PlainRule(msgspec.Struct, frozen=True, omit_defaults=True):
    """A rule as it is kept: `trees` has a condition (see `watch.sigma.tree`) for each kind of record that can meet it.

    `untold` are fields that it asks for and no agent tells. One that counts has no trees, but a `count`.
    """

    format: int
    id: str
    title: str
    level: str
    severity: Annotated[int, msgspec.Meta(ge=1, le=5)]
    logsource: dict[str, str]
    trees: dict[str, Node]
    name: str = ""
    untold: list[str] = []
    count: Count | None = None


class _Asked(NamedTuple):
    rule: Rule
    holds: Predicate


class Ruleset:
    """Rules by the kind of record.

    `Ruleset.read(folder)` reads what `heimdall rules add` wrote into `$HEIMDALL_HOME/sigma`; given the ruleset that was
    read before, that one is returned when no file has changed since, so that it may be called before each batch.
    `ruleset.match(event)` has the rules that `event` meets, the gravest first, each once; `event` is a
    `store.rows.StoredEvent` or whatever has its `os_type`, `event_type`, `raw_message`, and the fields that rules ask
    for. It never raises, whatever a host has sent. `len(ruleset)` counts the rules.

    A rule that counts others is met by the event that makes the number full, and then counts anew. The times are the
    events' own; what was counted is kept when `before` is given, and lost when the process ends. Whoever counts with a
    memory of their own asks `find`, which counts nothing, has the rules that count in `counting` and the group of an
    event by `watch.sigma.count.find_group`, and leaves out those in `silent`.
    """

    def __init__(self, rules: Iterable[PlainRule] = (), stamp: Stamp = (), before: Ruleset | None = None) -> None:
        self.stamp, self._changed_at = stamp, -1
        by_kind: dict[str, list[tuple[_Asked, Node]]] = {}
        counted: dict[str, tuple[PlainRule, Count]] = {}
        self._count = 0
        for plain in rules:
            self._count += 1
            if plain.count:
                counted[plain.id] = plain, plain.count
            rule = Rule(plain.id, plain.title, plain.severity)
            for name, tree in plain.trees.items():
                if name in KINDS:
                    by_kind.setdefault(name, []).append((_Asked(rule, compile_node(tree)), tree))
        self._groups: Mapping[str, _Group] = {name: _Group(KINDS[name], asked) for name, asked in by_kind.items()}
        kept = before._counters if before else {}
        self._counters: dict[str, Counter] = {
            name: kept[name] if name in kept and kept[name].count == count else Counter(count)
            for name, (_, count) in counted.items()
        }
        # by the rules that they count
        self.counting: dict[str, list[tuple[Rule, Count]]] = {}
        for name, (plain, count) in counted.items():
            for one in count.fields:
                self.counting.setdefault(one, []).append((Rule(name, plain.title, plain.severity), count))
        loud = {one for _, count in counted.values() if count.generate for one in count.fields}
        self.silent = frozenset(self.counting.keys() - loud)

    def __len__(self) -> int:
        return self._count

    @classmethod
    def read(cls, folder: Path, before: Ruleset | None = None) -> Ruleset:
        """The rules in `folder`; `before` itself when nothing there has changed. Without a folder there are none.

        A file that cannot be read, or is no rule, is left out and logged. Raises nothing.
        """
        changed_at = _changed_at(folder)
        # within a tick of the clock a folder may change twice and show it once
        is_settled = time.time_ns() - changed_at > _SETTLED_NS
        if before is not None and before._changed_at == changed_at and is_settled:
            return before
        stamp = _stamp(folder)
        read = before if before is not None and before.stamp == stamp else cls(read_plain(folder), stamp, before)
        read._changed_at = changed_at
        return read

    def match(self, event: Event) -> list[Rule]:
        """The rules that `event` meets, the gravest first."""
        found = self.find(event)
        if not found:
            return []
        met = {rule.id: rule for rule, _ in found}
        for rule, record in found:
            for counting, _ in self.counting.get(rule.id, ()):
                if self._counters[counting.id].add(rule.id, record):
                    met[counting.id] = counting
        return sorted(
            (rule for rule in met.values() if rule.id not in self.silent), key=lambda rule: (-rule.severity, rule.id)
        )

    def find(self, event: Event) -> list[tuple[Rule, Record]]:
        """The rules that `event` meets, each with the first record that meets it, without any that count."""
        if not self._groups:
            return []
        folded = ""
        met: dict[str, tuple[Rule, Record]] = {}
        for record in read_records(event):
            group = self._groups.get(record.kind)
            if group is not None:
                folded = folded or event.raw_message.casefold()
                for rule in group.match(record, folded):
                    met.setdefault(rule.id, (rule, record))
        return list(met.values())


class _Group:
    """The rules for one kind of record. Those that need a certain text are asked only where it stands."""

    def __init__(self, kind: Kind, rules: Sequence[tuple[_Asked, Node]]) -> None:
        self._always: list[_Asked] = []
        by_literal: dict[str, list[_Asked]] = {}
        chars = 0
        for asked, tree in rules:
            literals = find_literals(tree, kind)
            chars += sum(map(len, literals or ()))
            if not literals or "" in literals or chars > _LITERALS_CHARS:
                self._always.append(asked)
                continue
            for literal in set(literals):
                by_literal.setdefault(literal, []).append(asked)
        self._by_number = list(by_literal.values())
        self._search = _search_all(list(by_literal))
        if self._search is None:
            self._always = [asked for asked, _ in rules]

    def match(self, record: Record, folded: str) -> list[Rule]:
        asked = self._always
        if self._search is not None:
            text = f"{folded}\n{record.more.casefold()}" if record.more else folded
            try:
                numbers = self._search(text)
            except UnicodeEncodeError:
                numbers = self._search(encodable(text))
            if numbers:
                asked = [*asked, *(one for number in numbers for one in self._by_number[number])]
        return [one.rule for one in asked if one.holds(record)] if asked else []


def _search_all(literals: Sequence[str]) -> Any:
    """What finds the numbers of those `literals` that stand in a text, all in one pass; `None` when it cannot."""
    if not literals:
        return None
    options = re2.Options()
    options.max_mem, options.log_errors = _PATTERNS_BYTES, False
    search = re2.Set.SearchSet(options)
    try:
        for literal in literals:
            search.Add(re2.escape(literal))
        search.Compile()
        # a search that lacks memory finds nothing, and says nothing
        if all(number in search.Match(literal) for number, literal in enumerate(literals)):
            return search.Match
    except (re2.error, UnicodeEncodeError):
        pass
    return None


def read_plain(folder: Path) -> list[PlainRule]:
    """The rules in `folder`, by id. What cannot be read, or used, is left out and logged."""
    rules = []
    for path in sorted(folder.glob("*.json")):
        try:
            rule = msgspec.json.decode(path.read_bytes(), type=PlainRule)
            if rule.format != FORMAT or rule.id != path.stem:
                raise ValueError("it is of another version")
            for tree in rule.trees.values():
                compile_node(tree)
        except (OSError, ValueError, RecursionError) as error:
            log.warning("%s is left out (%s): add the rule again", path, printable(error))
            continue
        rules.append(rule)
    return rules


def _changed_at(folder: Path) -> int:
    """When a file in `folder` came, went or was replaced last, in nanoseconds since 1970; 0 without the folder."""
    try:
        return folder.stat().st_mtime_ns
    except OSError:
        return 0


def _stamp(folder: Path) -> Stamp:
    try:
        with os.scandir(folder) as entries:
            found = [(entry.name, entry.stat()) for entry in entries if entry.name.endswith(".json")]
    except OSError:
        return ()
    return tuple(sorted((name, status.st_mtime_ns, status.st_size, status.st_ino) for name, status in found))
