"""The plan: which hosts each fault of a script is for, so that no host has two at once. Pure."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import NamedTuple

from core.errors import Invalid
from heimdall.sim.ledger import PROOF_SECONDS, SILENT_INTERVALS, Rules
from heimdall.sim.script import Fault, Script


class Planned(NamedTuple):
    """A fault and its hosts."""

    fault: Fault
    hosts: tuple[str, ...]


def make_plan(script: Script, names: Sequence[str], rules: Rules, seed: int, file: str) -> list[Planned]:
    """Give each fault of `script` its hosts: those named, or any that are free then; by the same `seed` the same.

    A host is free again when all must have been said. Raises `Invalid`, naming the fault's line, when there are not
    enough hosts, or when one that is named does not exist or has another fault then.
    """
    known, chance = set(names), random.Random(seed)
    busy: dict[str, list[tuple[float, float]]] = {}
    planned: dict[Fault, Planned] = {}
    # those that name theirs are first served
    for fault in sorted(script.faults, key=lambda fault: (not fault.names, fault.at)):
        where = f"{file}, line {fault.line}: {fault.kind}"
        begin, end = fault.at, fault.at + _busy_seconds(fault, rules)
        for name in fault.names:
            if name not in known:
                raise Invalid(f"{where}: names: {name!r:.80} is not in this fleet ({names[0]} to {names[-1]})")
            if not _is_free(busy.get(name, []), begin, end):
                raise Invalid(f"{where}: names: {name} has another fault at {begin:g} s, or it is not settled yet")
        chosen = list(fault.names)
        if not chosen:
            wanted = fault.hosts or max(1, round(fault.share * len(names)))
            free = [name for name in names if _is_free(busy.get(name, []), begin, end)]
            if len(free) < wanted:
                raise Invalid(f"{where}: wants {wanted} hosts at {begin:g} s, and {len(free)} of {len(names)} are free")
            chosen = sorted(chance.sample(free, wanted))
        for name in chosen:
            busy.setdefault(name, []).append((begin, end))
        planned[fault] = Planned(fault, tuple(chosen))
    return [planned[fault] for fault in script.faults]


def end_seconds(script: Script, rules: Rules) -> float:
    """When all that a script does must have been said, in seconds after its beginning; for one without an end, too."""
    settle = SILENT_INTERVALS * rules.interval_seconds + PROOF_SECONDS + rules.slack_seconds
    ends = [
        fault.at + (_busy_seconds(fault, rules) if fault.lasts_seconds is not None else _word_seconds(fault, rules))
        for fault in script.faults
    ]
    ends += [command.at for command in script.commands]
    ends += [command.until + settle for command in script.commands if command.until is not None]
    return max(ends, default=0.0) + settle


def _busy_seconds(fault: Fault, rules: Rules) -> float:
    lasts = fault.lasts_seconds
    if lasts is None:
        return math.inf
    # to connect again, and to be said to be back
    return lasts + 2 * max(rules.interval_seconds, PROOF_SECONDS) + PROOF_SECONDS + rules.slack_seconds


def _word_seconds(fault: Fault, rules: Rules) -> float:
    return rules.longest_seconds(fault.kind) + rules.interval_seconds


def _is_free(spans: Sequence[tuple[float, float]], begin: float, end: float) -> bool:
    return all(end <= a or begin >= b for a, b in spans)
