"""FTL's database: where it lies, and its queries read from a place on, without ever writing or waiting long.

The schema is that of FTL 5 and 6 (pi-hole/FTL, `src/database/query-table.c`): `queries` is a table of texts up to
database version 9, and a view over `query_storage` and its linking tables since.
"""

from __future__ import annotations

import json
import os
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Iterator, List, NamedTuple, Optional, Tuple, Union

from core.errors import Invalid, Unavailable
from core.text import printable

FOLDER = Path("/etc/pihole")
ROWS_PER_READ = 2_000
BUSY_SECONDS = 0.5
COLUMNS = "id, timestamp, type, status, domain, client"  # and additional_info

_DEFAULT_NAME = "pihole-FTL.db"
_TOML_TABLE = re.compile(r"\s*\[([^\[\]]+)\]")
_TOML_TEXT = re.compile(r"""\s*(?P<key>[\w.-]+)\s*=\s*(?:"(?P<basic>(?:[^"\\]|\\.)*)"|'(?P<literal>[^']*)')""")
_CREATED = 2  # the row of `ftl` with the Unix time at which the database was made
_LARGEST_ID = 2**63 - 1

Row = Tuple[object, ...]
Number = Union[int, float]


class Busy(Unavailable):
    """Somebody writes, and keeps everybody else out meanwhile."""


class Place(NamedTuple):
    """Read up to row `id`, whose time was `at`, in the database that was made at `created`, in FTL's words."""

    created: str
    id: int
    at: Optional[Number]

    def dump(self) -> str:
        """As text for the spool."""
        return json.dumps(self._asdict())

    @classmethod
    def load(cls, text: str) -> Place:
        """The place that `dump` wrote. Raises `Invalid`."""
        try:
            kept = json.loads(text)
            place = cls(str(kept["created"]), int(kept["id"]), kept["at"])
            if not 0 <= place.id <= _LARGEST_ID or not isinstance(place.at, (int, float, type(None))):
                raise ValueError("out of range")
        except (ValueError, KeyError, TypeError, OverflowError) as error:
            raise Invalid(f"position {text!r:.80} is none of a Pi-hole's database") from error
        return place


BEGINNING = Place("", 0, None)  # of whichever database


class Page(NamedTuple):
    """The next rows, the place behind them, and what is to be said of how it was found, if anything."""

    rows: List[Row]
    place: Place
    note: str = ""


def find_database(folder: Path = FOLDER) -> Optional[Path]:
    """Where FTL keeps its queries by its own configuration in `folder`; `None` when that says nowhere.

    Version 6 has `pihole.toml` (`files.database`), version 5 `pihole-FTL.conf` (`DBFILE`).
    """
    for name, find in (("pihole.toml", _find_in_toml), ("pihole-FTL.conf", _find_in_conf)):
        try:
            text = (folder / name).read_text(encoding="utf-8", errors="replace").replace("\0", "")
        except OSError:
            continue
        found = find(text)
        if found is not None:
            return Path(found) if found else None
        break  # what an older version left behind is no longer heeded
    return folder / _DEFAULT_NAME


def _find_in_toml(text: str) -> Optional[str]:
    # Python has a reader of TOML from 3.11 on; FTL writes this file itself, one key a line
    table = ""
    for line in text.splitlines():
        opened = _TOML_TABLE.match(line)
        found = _TOML_TEXT.match(line)
        if opened:
            table = opened[1].strip() + "."
        elif found and table + found["key"] == "files.database":
            if found["literal"] is not None:
                return found["literal"]
            return re.sub(r'\\(["\\])', r"\1", found["basic"])
    return None


def _find_in_conf(text: str) -> Optional[str]:
    found = re.search(r"^\s*DBFILE=(.*)$", text, re.MULTILINE)
    return found[1].strip() if found else None


def read_page(path: Path, place: Optional[Place], busy_seconds: float = BUSY_SECONDS) -> Page:
    """The rows behind `place`, at most `ROWS_PER_READ`, in one short transaction; `None` gives the end, and no rows.

    Raises `OSError` when the file cannot be opened, `Busy` when it is locked for longer than `busy_seconds`, and
    `Invalid` when it is no database of FTL's.
    """
    real = Path(os.path.realpath(path))
    uri = real.as_uri() + "?mode=ro" + ("&immutable=1" if _is_closed(real) else "")
    try:
        with closing(sqlite3.connect(uri, uri=True, timeout=busy_seconds, isolation_level=None)) as db:
            db.text_factory = lambda raw: raw.decode("utf-8", "replace")
            db.execute("BEGIN")
            return _read_page(db, place)
    except sqlite3.Error as error:
        # their codes are known from Python 3.11 on
        if any(sign in str(error) for sign in ("locked", "busy")):
            raise Busy(f"{path} is busy: {error}") from error
        raise Invalid(f"{path} cannot be read as a database of Pi-hole's FTL 5 or 6: {printable(error)}") from error


def read_pages(path: Path, busy_seconds: float) -> Iterator[Page]:
    """The whole database, page by page. Raises as `read_page` does."""
    place = BEGINNING
    while True:
        page = read_page(path, place, busy_seconds)
        if not page.rows:
            return
        yield page
        place = page.place


def _is_closed(path: Path) -> bool:
    """Whether the database has a WAL, by its header, and nobody has it open. Raises `OSError`.

    SQLite would then make the WAL's files, for which we may lack the right, and leave them lying there.
    """
    with path.open("rb") as file:
        header = file.read(20)
    return header[18:19] == b"\x02" and not path.with_name(path.name + "-wal").exists()


def _read_page(db: sqlite3.Connection, place: Optional[Place]) -> Page:
    found = db.execute("SELECT value FROM ftl WHERE id = ?", (_CREATED,)).fetchone()
    created = str(found[0]) if found else ""
    if place is None:
        return Page([], _end(db, created))
    after, note = _resume(db, created, place)
    if after is None:
        return Page([], place)
    known = {str(column[1]) for column in db.execute("PRAGMA table_info(queries)")}
    info = "additional_info" if "additional_info" in known else "NULL"  # it came with version 5.0
    query = f"SELECT {COLUMNS}, {info} FROM queries WHERE id > ? ORDER BY id LIMIT ?"  # noqa: S608 -- both are ours
    rows = db.execute(query, (after, ROWS_PER_READ)).fetchall()
    if not rows:
        return Page([], place)
    return Page(rows, _place_of(created, rows[-1]), note)


def _end(db: sqlite3.Connection, created: str) -> Place:
    last = db.execute("SELECT id, timestamp FROM queries ORDER BY id DESC LIMIT 1").fetchone()
    return _place_of(created, last) if last else Place(created, 0, None)


def _place_of(created: str, row: Row) -> Place:
    number, at = row[:2]
    if not isinstance(number, int):
        raise sqlite3.DatabaseError("its queries have no numbers")
    return Place(created, number, _number(at))


def _resume(db: sqlite3.Connection, created: str, place: Place) -> Tuple[Optional[int], str]:
    """The id to read behind, `None` when there is nothing yet, and a note when it is not the place's own.

    A database with another time of birth was made anew, and all of it is news. In the same one the row of the place
    is looked at: retention deletes old rows, `pihole flush` the last day's, and behind a flush FTL gives their ids
    again. So when the row is gone or another's, what is newer than it was goes on. The file's inode would say
    nothing: a database that was vacuumed, repaired or restored has another one and the same rows.
    """
    if place.created and created and place.created != created:
        return 0, "it was made anew: beginning at its start"
    if place.id == 0:
        return 0, ""
    row = db.execute("SELECT timestamp FROM queries WHERE id = ?", (place.id,)).fetchone()
    if place.at is None or (row and row[0] == place.at):
        return place.id, ""
    # the plus keeps SQLite from walking all ids instead of the index of times
    newer = db.execute("SELECT min(+id) FROM queries WHERE timestamp > ?", (place.at,)).fetchone()[0]
    if not isinstance(newer, int):
        return None, ""
    return newer - 1, "the query that was read last is no longer in it: going on with what is newer"


def _number(value: object) -> Optional[Number]:
    return value if isinstance(value, (int, float)) else None
