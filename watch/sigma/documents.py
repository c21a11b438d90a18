"""The documents of a YAML file with Sigma rules. Whatever the file holds, the error says what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from sigma.exceptions import SigmaError
from sigma.rule.base import SigmaYAMLLoader, check_alias_expansion

from core.errors import Invalid

LARGEST_FILE_BYTES = 1024 * 1024
MOST_DOCUMENTS = 1_000
DEEPEST = 32  # levels of lists and mappings


def find_files(path: Path) -> list[Path]:
    """The file `path`, or the `*.yml` and `*.yaml` below it, sorted. Raises `Invalid` when it is neither."""
    try:
        if path.is_dir():
            return sorted(file for file in path.rglob("*") if file.suffix in (".yml", ".yaml") and file.is_file())
        if path.is_file():
            return [path]
    except OSError as error:
        raise Invalid(f"{path} cannot be read: {error.strerror or error}") from error
    raise Invalid(f"{path} is neither a file nor a folder")


def read_documents(path: Path) -> tuple[str, list[dict[str, Any]]]:
    """The text of a file and its documents. Raises `Invalid`."""
    try:
        with path.open("rb") as file:
            raw = file.read(LARGEST_FILE_BYTES + 1)
    except OSError as error:
        raise Invalid(f"it cannot be read: {error.strerror or error}") from error
    if len(raw) > LARGEST_FILE_BYTES:
        raise Invalid(f"it is larger than {LARGEST_FILE_BYTES // 1024} KiB: split it")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Invalid("it is no text in UTF-8") from error
    return text, list(_load(text))


def _load(text: str) -> Iterator[dict[str, Any]]:
    count = 0
    try:
        _check_depth(text)
        # safe: the loader is YAML's safe one, which makes nothing but plain values
        for document in yaml.load_all(text, Loader=SigmaYAMLLoader):
            if document is None:
                continue
            count += 1
            if count > MOST_DOCUMENTS:
                raise Invalid(f"it has more than {MOST_DOCUMENTS} documents: split it")
            check_alias_expansion(document)
            if not isinstance(document, dict):
                raise Invalid("it holds no mapping, and so no rule")
            yield document
    except yaml.YAMLError as error:
        raise Invalid(f"it is no YAML: {' '.join(str(error).split())[:200]}") from error
    except SigmaError as error:
        raise Invalid(f"its YAML is refused: {error}") from error
    except (ValueError, TypeError, RecursionError, OverflowError) as error:
        raise Invalid(f"it is no YAML that can be read: {type(error).__name__}: {error}") from error
    if not count:
        raise Invalid("it holds no rule")


def _check_depth(text: str) -> None:
    """Raises `Invalid` for what is nested so deeply that reading it would take the whole stack."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        if isinstance(event, (yaml.SequenceStartEvent, yaml.MappingStartEvent)):
            depth += 1
            if depth > DEEPEST:
                raise Invalid(f"it is nested more than {DEEPEST} levels deep")
        elif isinstance(event, (yaml.SequenceEndEvent, yaml.MappingEndEvent)):
            depth -= 1
