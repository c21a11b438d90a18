"""A snapshot: all of a database as it was at one moment, as parts that can be written down one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol

from core.errors import Invalid
from store import postgres, sqlite

Kind = Literal["sqlite", "postgresql"]

# the file of a SQLite database, the one part that it has
SQLITE_PART = "mini_siem.db"
# of those who ran there: nobody holds anything where a snapshot is put to use
FLEETING = "leases"


@dataclass
class TableTold:
    """What a snapshot has of a table; of SQLite, whose file has it, no columns."""

    name: str
    rows: int
    columns: list[str] = field(default_factory=list)


@dataclass
class Told:
    """What is to be known of a snapshot to make a database of its parts; whole when all parts were taken.

    `schema` is the revision of its tables, `None` of a database of the HTTP version. `days` (RFC 3339 dates) have
    partitions; `sequences` are PostgreSQL's, each with its last value.
    """

    kind: Kind
    schema: str | None
    events: bool
    tables: list[TableTold] = field(default_factory=list)
    days: list[str] = field(default_factory=list)
    sequences: dict[str, int] = field(default_factory=dict)


class Part(NamedTuple):
    """A part's name, its size in bytes when it is known before, and what it is made of."""

    name: str
    size: int | None
    chunks: Iterator[bytes]


class Snapshot(Protocol):
    """One moment of a database. Raises `Unavailable` when it goes away, and `Invalid` when it is damaged."""

    told: Told

    def take_parts(self, say: Callable[[str], None]) -> Iterator[Part]:
        """Its parts; each must be taken to its end before the next. `say` hears what is being done."""


class Target(Protocol):
    """An empty database that a snapshot is put into."""

    def put(self, name: str, chunks: Iterator[bytes]) -> None:
        """Put the part `name` into it."""

    def finish(self) -> None:
        """See that all is there, and bring the tables up to date. Raises `Invalid` when something is missing."""


def kind_of(url: str) -> Kind:
    """Which kind of database `url` names. Raises `Invalid`."""
    if url.startswith(sqlite.SCHEME):
        return "sqlite"
    if url.startswith((postgres.SCHEME, "postgres://")):
        return "postgresql"
    # a password may be in it, so the value is not shown
    raise Invalid("the database: use sqlite:///PATH or postgresql://USER@HOST/NAME")
