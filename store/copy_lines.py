"""Rows of SQLite as lines of text as PostgreSQL's COPY reads and writes them, and what both sides are compared by.

A line is the same on both sides, byte by byte, so that a hash of it tells whether a row has arrived as it was sent.
What PostgreSQL cannot hold is changed as little as can be, and noted.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from hashlib import blake2b
from typing import Any, NamedTuple

from sqlalchemy import Column, Double, Integer, LargeBinary, Table

from core.clock import rfc3339
from core.errors import Invalid
from core.ids import ingested_id
from store.columns import Moment, read_time

NULL = r"\N"
LOST_TEXT = "a text holds NUL or no Unicode"
_ESCAPES = {"\b": r"\b", "\f": r"\f", "\n": r"\n", "\r": r"\r", "\t": r"\t", "\v": r"\v", "\\": r"\\"}
_ESCAPED = re.compile(r"[\b\f\n\r\t\v\\]")
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_BITS = 128
# of a row that says no time at all
_NO_TIME = "1970-01-01T00:00:00.000000Z"
_SMALLEST, _LARGEST = -(2**15), 2**15 - 1


class Checksum:
    """Of any number of lines, in any order: the sum of their hashes."""

    def __init__(self) -> None:
        self.rows = 0
        self._sum = 0

    def add(self, lines: Iterable[bytes]) -> None:
        """Add lines, each with its end."""
        for line in lines:
            self._sum += int.from_bytes(blake2b(line, digest_size=_BITS // 8).digest(), "big")
            self.rows += 1
        self._sum %= 2**_BITS

    @property
    def text(self) -> str:
        """The sum, in hexadecimal digits."""
        return f"{self._sum:0{_BITS // 4}x}"


class Change(NamedTuple):
    """What a row of `logs` could not be stored with. `held` is the whole row as it was, in JSON."""

    log_id: int
    host: str
    what: str
    held: bytes


class LogLines(NamedTuple):
    """Rows of `logs` as lines, which of them have another `event_id` than before, and what else was changed."""

    lines: list[bytes]
    new_ids: set[int]
    changes: list[Change]


def log_lines(rows: Iterable[Sequence[Any]]) -> LogLines:
    """Rows of `logs`, in the order of its columns; their texts were decoded with `surrogateescape`."""
    lines: list[bytes] = []
    changes: list[Change] = []
    new_ids: set[int] = set()
    read, is_uuid = datetime.fromisoformat, _UUID.fullmatch
    for row in rows:
        try:
            number, event_id, timestamp, *between, created_at = row
            if len(timestamp) == len(created_at) == 27 and timestamp[26] == created_at[26] == "Z" and is_uuid(event_id):
                read(timestamp)
                read(created_at)
                line = "\0".join((event_id, timestamp, *between[:3], str(_severity(between[3])), *between[4:]))
                lines.append(_finished(number, line, created_at))
                continue
        except (TypeError, ValueError):
            pass
        fitted, what = _fit(row)
        lines.append(_finished(fitted[0], "\0".join(map(str, fitted[1:-1])), fitted[-1]))
        if fitted[1] != _as_text(row[1]).lower():
            new_ids.add(row[0])
        if what:
            changes.append(Change(row[0], str(fitted[3]), what, _held(row)))
    return LogLines(lines, new_ids, changes)


def _severity(value: object) -> int:
    if type(value) is not int or not _SMALLEST <= value <= _LARGEST:
        raise ValueError("no severity")
    return value


def _finished(number: int, line: str, created_at: str) -> bytes:
    """A line whose fields are between NULs. Raises `ValueError` when a field holds one, or what is no Unicode."""
    if line.count("\0") != 8:
        raise ValueError("a text holds NUL")
    if _ESCAPED.search(line):
        line = _ESCAPED.sub(lambda found: _ESCAPES[found[0]], line)
    fields = line.replace("\0", "\t")
    return f"{number}\t{fields}\t{created_at}\n".encode()


def _fit(row: Sequence[Any]) -> tuple[list[Any], str]:
    """A row of an old database as PostgreSQL can hold it, and what is lost by that."""
    number, event_id, timestamp, *between, created_at = row
    lost: list[str] = []
    severity = between.pop(3)
    texts = [_as_text(value) for value in between]
    plain = [_plain(text) for text in texts]
    if plain != texts:
        lost.append(LOST_TEXT)
    if type(severity) is not int or not _SMALLEST <= severity <= _LARGEST:
        severity = 0
        lost.append("no severity")
    happened, stored = _readable(timestamp), _readable(created_at)
    if happened is None or stored is None:
        lost.append("unreadable time")
    made = str(ingested_id(plain[0], _plain(_as_text(event_id))))
    times = happened or stored or _NO_TIME, stored or happened or _NO_TIME
    fitted = [number, made, times[0], *plain[:3], severity, *plain[3:], times[1]]
    return fitted, ", ".join(lost)


def _as_text(value: object) -> str:
    """As the API shows what an old database holds in the place of a text."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    return "" if value is None else str(value)


def _plain(text: str) -> str:
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace").replace("\0", "\ufffd")


def _readable(value: object) -> str | None:
    """A stored time in our own form, `None` when it cannot be read. What has that form is quick."""
    try:
        return rfc3339(read_time(value))  # type: ignore[arg-type]
    except Invalid:
        return None


def _held(row: Sequence[Any]) -> bytes:
    shown = [_as_text(value) if isinstance(value, bytes) else value for value in row]
    return json.dumps(shown).encode()


class TableLines:
    """The rows of any table but `logs` as lines: those that are sent, and those that are compared."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self.replaced = 0  # texts that held what PostgreSQL cannot hold
        self._sent = [self._encoder(column) for column in table.columns]
        self._doubles = [place for place, column in enumerate(table.columns) if isinstance(column.type, Double)]

    def encode(self, rows: Iterable[Sequence[Any]]) -> Iterator[tuple[bytes, bytes]]:
        """Of each row the line that is sent, and the one that is compared."""
        for row in rows:
            fields = [NULL if value is None else make(value) for make, value in zip(self._sent, row, strict=True)]
            sent = compared = ("\t".join(fields) + "\n").encode()
            if self._doubles:
                # their digits are each side's own: compared is what they are made of
                for place in self._doubles:
                    fields[place] = NULL if row[place] is None else struct.pack(">d", row[place]).hex()
                compared = ("\t".join(fields) + "\n").encode()
            yield sent, compared

    def _encoder(self, column: Column[Any]) -> Callable[[Any], str]:
        if isinstance(column.type, Moment):
            return lambda value: _readable(value) or NULL
        if isinstance(column.type, Double):
            return lambda value: repr(float(value))
        if isinstance(column.type, Integer):
            return str
        if isinstance(column.type, LargeBinary):
            return lambda value: rf"\\x{bytes(value).hex()}"
        return self._text

    def _text(self, value: object) -> str:
        text = _as_text(value)
        plain = _plain(text)
        if plain != text:
            self.replaced += 1
        return _ESCAPED.sub(lambda found: _ESCAPES[found[0]], plain) if _ESCAPED.search(plain) else plain


def compared_columns(table: Table) -> str:
    """The columns of `table` in SQL of PostgreSQL, as the lines that are compared have them."""
    return ", ".join(map(_compared, table.columns))


def _compared(column: Column[Any]) -> str:
    if isinstance(column.type, Moment):
        return f"""to_char("{column.name}" AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')"""
    if isinstance(column.type, Double):
        return f"encode(float8send(\"{column.name}\"), 'hex')"
    return f'"{column.name}"'


def column_names(table: Table) -> str:
    """The columns of `table` in SQL."""
    return ", ".join(f'"{column.name}"' for column in table.columns)
