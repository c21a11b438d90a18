"""Files of Sigma rules, converted; what can be is kept in a folder: the plain form of each, and its YAML beside it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import yaml

from core.errors import Invalid, Unavailable
from core.home import write_secret
from watch.sigma.convert import convert_rule
from watch.sigma.correlate import convert_correlation
from watch.sigma.documents import read_documents
from watch.sigma.match import PlainRule, read_plain

_LARGEST_PLAIN_BYTES = 4 * 1024 * 1024


class Converted(NamedTuple):
    """A rule that was converted, and the YAML that it was converted from."""

    file: Path
    plain: PlainRule
    source: str


class Refused(NamedTuple):
    """A rule, or a whole file (without a title), that was not converted, and why."""

    file: Path
    title: str
    reason: str


class _Document(NamedTuple):
    file: Path
    told: dict[str, Any]
    source: str

    @property
    def title(self) -> str:
        return str(self.told.get("title") or "")


class _Collection:
    def __init__(self, kept: Iterable[PlainRule]) -> None:
        self.converted: dict[str, Converted] = {}
        self.refused: list[Refused] = []
        self._known: dict[str, PlainRule] = {}  # by id and by name
        for plain in kept:
            self._know(plain)

    def add(self, document: _Document, convert: Callable[[dict[str, Any], Mapping[str, PlainRule]], PlainRule]) -> None:
        try:
            plain = convert(document.told, self._known)
            if plain.id in self.converted:
                first = self.converted[plain.id]
                raise Invalid(f"{first.file} has a rule of the same id ({plain.id}), {first.plain.title!r:.80}")
            if len(msgspec.json.encode(plain)) > _LARGEST_PLAIN_BYTES:
                raise Invalid("it is too large")
        except Invalid as error:
            self.refused.append(Refused(document.file, document.title, str(error)))
        except (RecursionError, ValueError, TypeError, AttributeError, LookupError) as error:
            # pySigma lets through what is of a type that nobody expects; it must not end the others
            reason = f"it cannot be converted: {type(error).__name__}: {error}"
            self.refused.append(Refused(document.file, document.title, reason))
        else:
            self.converted[plain.id] = Converted(document.file, plain, document.source)
            self._know(plain)

    def _know(self, plain: PlainRule) -> None:
        self._known[plain.id] = plain
        if plain.name:
            self._known[plain.name] = plain


def convert_files(
    files: Iterable[Path], kept: Iterable[PlainRule] = (), say: Callable[[int], None] = lambda _: None
) -> tuple[list[Converted], list[Refused]]:
    """The rules in `files`, and what was not converted. `say` is told how many files are done.

    Those that count may name rules of any of the files, or of those that are `kept` already.
    """
    collection = _Collection(kept)
    counting: list[_Document] = []
    for number, file in enumerate(files, 1):
        for document in _read(file, collection.refused):
            if "correlation" in document.told:
                counting.append(document)
            else:
                collection.add(document, _convert)
        say(number)
    for document in counting:
        collection.add(document, convert_correlation)
    return list(collection.converted.values()), collection.refused


def _read(file: Path, refused: list[Refused]) -> list[_Document]:
    try:
        text, documents = read_documents(file)
    except Invalid as error:
        refused.append(Refused(file, "", str(error)))
        return []
    if len(documents) == 1:
        return [_Document(file, documents[0], text)]
    return [_Document(file, one, yaml.safe_dump(one, sort_keys=False, allow_unicode=True)) for one in documents]


def _convert(document: dict[str, Any], _: Mapping[str, PlainRule]) -> PlainRule:
    for key, what in (("filter", "a filter of other rules"), ("action", "a collection of the older form (action)")):
        if key in document:
            raise Invalid(f"{what} is not converted: write what it says into the rules")
    return convert_rule(document)


def keep(folder: Path, converted: Iterable[Converted], say: Callable[[int], None] = lambda _: None) -> None:
    """Keep what was converted in `folder`, each in place of a rule of the same id. Raises `Unavailable`.

    A file is there whole or not at all, and a rule counts from when its plain form is there, which is last.
    """
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        for number, one in enumerate(converted, 1):
            write_secret(folder / f"{one.plain.id}.yml", one.source)
            write_secret(folder / f"{one.plain.id}.json", msgspec.json.encode(one.plain).decode())
            say(number)
    except OSError as error:
        raise Unavailable(f"{folder} cannot be written ({error.strerror}): give yourself the right to it") from error
    finally:
        # what an interruption has left half written, under a name of its own
        for path in folder.glob(f".*.{os.getpid()}"):
            path.unlink(missing_ok=True)


def remove(folder: Path, wanted: str) -> PlainRule:
    """Remove the rule with the id or the title `wanted`. Raises `Invalid` when it is none, or several, or counted."""
    kept = read_plain(folder)
    found = [one for one in kept if one.id == wanted.lower()] or [one for one in kept if one.title == wanted]
    if not found:
        raise Invalid(f"there is no rule with the id or the title {wanted!r:.80}: `heimdall rules list` has them all")
    if len(found) > 1:
        raise Invalid(f"{len(found)} rules have that title: name one by its id, {', '.join(one.id for one in found)}")
    counting = next((one for one in kept if one.count and found[0].id in one.count.fields), None)
    if counting:
        raise Invalid(f"{counting.title!r:.80} counts it: remove that one ({counting.id}) first")
    try:
        for ending in (".json", ".yml"):
            (folder / f"{found[0].id}{ending}").unlink(missing_ok=True)
    except OSError as error:
        raise Unavailable(f"{folder} cannot be written ({error.strerror}): give yourself the right to it") from error
    return found[0]
