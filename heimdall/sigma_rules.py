"""`heimdall rules`: Sigma rules, converted and kept for the watch. pySigma is imported only where it converts."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.errors import Invalid
from core.home import Home
from core.settings import Settings
from core.text import printable, put_line
from heimdall.command import DONE, FAILED
from heimdall.table import print_table

if TYPE_CHECKING:
    from watch.sigma.collect import Converted, Refused
    from watch.sigma.match import PlainRule

SAY_SECONDS = 2.0


def add_rule_options(rules: argparse.ArgumentParser) -> None:
    rules.add_argument(
        "action", choices=("add", "list", "remove", "check"), nargs="?", default="list",
        help="add converts a file of Sigma rules, or all below a folder, and keeps what can be converted; check only "
        "tells what can; list (the default) shows what is kept; remove ends one",
    )  # fmt: skip
    rules.add_argument(
        "target", metavar="PATH|RULE", nargs="?",
        help="with add and check: the file or folder; with remove: a rule's id or title",
    )  # fmt: skip
    rules.add_argument("--json", action="store_true", help="print JSON")


def run(settings: Settings, options: argparse.Namespace) -> int:
    """Raises `Invalid` and `Unavailable`."""
    folder = Home(settings.home).sigma
    if options.action == "list":
        if options.target:
            raise Invalid("`heimdall rules list` takes nothing more")
        return _list(folder, options.json)
    if not options.target:
        missing = "a rule's id or title" if options.action == "remove" else "a file or a folder of Sigma rules"
        raise Invalid(f"`heimdall rules {options.action}` needs {missing}")
    if options.action == "remove":
        return _remove(folder, options.target, options.json)
    return _convert(folder, Path(options.target), options.action == "add", options.json)


def _list(folder: Path, as_json: bool) -> int:
    from watch.sigma.match import read_plain  # noqa: PLC0415 -- here as below: an agent alone has none of it

    kept = sorted(read_plain(folder), key=lambda one: (-one.severity, one.title))
    if as_json:
        print(json.dumps([_describe(one) for one in kept]))
    elif kept:
        _print_rules(kept)
    else:
        print("none is kept: `heimdall rules add PATH` adds some", file=sys.stderr)
    return DONE


def _remove(folder: Path, wanted: str, as_json: bool) -> int:
    from watch.sigma.collect import remove  # noqa: PLC0415

    removed = remove(folder, wanted)
    put_line(json.dumps(_describe(removed)) if as_json else f"removed {removed.id}: {printable(removed.title)}")
    return DONE


def _convert(folder: Path, path: Path, is_added: bool, as_json: bool) -> int:
    from watch.sigma.collect import convert_files, keep  # noqa: PLC0415
    from watch.sigma.documents import find_files  # noqa: PLC0415
    from watch.sigma.match import read_plain  # noqa: PLC0415

    files = find_files(path)
    if not files:
        raise Invalid(f"{path} has no *.yml or *.yaml below it")
    converted, refused = convert_files(files, read_plain(folder), _progress("read", len(files)))
    if is_added and converted:
        keep(folder, converted, _progress("kept", len(converted)))
    if as_json:
        print(json.dumps(_report(converted, refused)))
    else:
        _print_report(converted, refused, "added" if is_added else "can be added")
    return DONE if converted else FAILED


def _progress(what: str, whole: int) -> Callable[[int], None]:
    """What says on standard error how far something is, when it takes long."""
    said = time.monotonic()

    def say(done: int) -> None:
        nonlocal said
        if time.monotonic() - said >= SAY_SECONDS:
            said = time.monotonic()
            print(f"{what} {done} of {whole}", file=sys.stderr, flush=True)

    return say


def _describe(plain: PlainRule) -> dict[str, Any]:
    return {
        "id": plain.id, "title": plain.title, "level": plain.level, "severity": plain.severity,
        "logsource": plain.logsource, "untold": plain.untold,
        "counts": sorted(plain.count.fields) if plain.count else [],
    }  # fmt: skip


def _report(converted: Sequence[Converted], refused: Sequence[Refused]) -> dict[str, Any]:
    return {
        "converted": [{"file": str(one.file), **_describe(one.plain)} for one in converted],
        "refused": [{"file": str(one.file), "title": one.title, "reason": one.reason} for one in refused],
    }


def _print_report(converted: Sequence[Converted], refused: Sequence[Refused], done: str) -> None:
    if converted:
        _print_rules([one.plain for one in converted])
    for one in refused:
        title = f"{printable(one.title)}: " if one.title else ""
        put_line(f"not converted: {printable(one.file)}: {title}{printable(one.reason, 500)}")
    put_line(f"{len(converted)} {done}, {len(refused)} not converted")


def _print_rules(rules: Sequence[PlainRule]) -> None:
    print_table(
        ("ID", "LEVEL", "LOG SOURCE", "TITLE", "WITHOUT"),
        [
            (one.id, one.level, " ".join(one.logsource.values()), one.title[:80], ", ".join(one.untold))
            for one in rules
        ],
    )  # fmt: skip
