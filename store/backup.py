"""Snapshots of whichever database: taken, and put into an empty one."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

from core.errors import Invalid
from store import postgres_copy, sqlite_copy
from store.migrations import check_known
from store.snapshot import Kind, Snapshot, Target, Told, kind_of

_NAMES: dict[Kind, str] = {"sqlite": "a SQLite database", "postgresql": "a PostgreSQL database"}


def open_snapshot(url: str, scratch: Path, *, events: bool = True) -> AbstractContextManager[Snapshot]:
    """The database at `url` as it is now, without the rows of `logs` unless `events`. Everybody may go on writing.

    `scratch` is an empty folder with room for a copy of a SQLite database. Raises `Invalid` when there is no database
    of Heimdall, or one of a newer Heimdall, and `Unavailable`.
    """
    if kind_of(url) == "sqlite":
        return sqlite_copy.open_snapshot(url, scratch, events=events)
    return postgres_copy.open_snapshot(url, events=events)


def check_target(url: str, told: Told) -> None:
    """Raise what keeps a snapshot from going into the database at `url`, as `open_target` does."""
    check_known(told.schema, "the backup's database")
    kind = kind_of(url)
    if kind != told.kind:
        raise Invalid(
            f"the backup is of {_NAMES[told.kind]}, and the database to restore it to is {_NAMES[kind]}: name one of "
            "the same kind with --to-database; `heimdall copy` then takes it from one kind to the other"
        )
    (sqlite_copy if kind == "sqlite" else postgres_copy).check_empty(url)


def open_target(url: str, told: Told) -> AbstractContextManager[Target]:
    """An empty database at `url` for the snapshot that `told` is of: whole when the context ends, untouched when it
    raises.

    Raises `Conflict` when there is something in it already, `Invalid` when it is of another kind or the snapshot of
    a newer Heimdall, and `Unavailable`.
    """
    check_target(url, told)
    return sqlite_copy.open_target(url, told) if told.kind == "sqlite" else postgres_copy.open_target(url, told)
