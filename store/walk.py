"""The way through `logs` from the newest row to the oldest, in pieces.

A piece is a run of segments that takes a while and not more. What somebody asks for may be rare: then a look ends
after `LOOK_SECONDS`, and says how far it has come.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import pairwise
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, and_, func, or_, select

from store.tables import BLOCK_ROWS, SEGMENT_ROWS, log_blocks, logs, segment

LOOK_SECONDS = 0.25
_QUICK_SECONDS, _SLOW_SECONDS = 0.02, 0.08  # of a piece: the next one is larger, or smaller
_GROWTH = 4
_MOST_SEGMENTS = 512


class Span(NamedTuple):
    """Where to look: ids from `lowest` to `highest`, and the segments that they lie in, newest first."""

    segments: Sequence[int]
    lowest: int
    highest: int


class Piece(NamedTuple):
    """That a row lies in it, and the id below which rows are left behind it; `None` when there are none."""

    condition: ColumnElement[bool]
    rest: int | None


def find_span(connection: Connection, newest_id: int, since: datetime | None, until: datetime | None) -> Span:
    """Where rows up to `newest_id` may be that were stored at or after `since` and before `until`."""
    stored, elsewhen = log_blocks.c, set[int]()
    bounds = []
    if since is not None:
        bounds.append(func.max(stored.stored_until, type_=stored.stored_until.type) < since)
    if until is not None:
        bounds.append(func.min(stored.stored_from, type_=stored.stored_from.type) >= until)
    if bounds:
        query = select(stored.block).group_by(stored.block).having(or_(*bounds))
        elsewhen = set(connection.execute(query).scalars())
    blocks = [number for number in range(newest_id // BLOCK_ROWS, -1, -1) if number not in elsewhen]
    if not blocks:
        return Span([], 0, -1)
    segments = dict.fromkeys(number * BLOCK_ROWS // SEGMENT_ROWS for number in blocks)
    return Span(list(segments), blocks[-1] * BLOCK_ROWS, min(newest_id, (blocks[0] + 1) * BLOCK_ROWS - 1))


def walk(span: Span, *, indexed: bool, seconds: float = LOOK_SECONDS) -> Iterator[Piece]:
    """Pieces of `span`, until they have taken `seconds`. `indexed`: for an index that begins with the segment."""
    segments = span.segments
    begun = time.monotonic()
    place, length = 0, 1
    while place < len(segments):
        run = segments[place : place + length]
        if not indexed:
            run = run[: _unbroken(run)]
        place += len(run)
        looked = time.monotonic()
        yield Piece(
            _lies_in(run, span, indexed), (segments[place] + 1) * SEGMENT_ROWS if place < len(segments) else None
        )
        now = time.monotonic()
        if now - begun > seconds:
            return
        if now - looked < _QUICK_SECONDS:
            length = min(length * _GROWTH, _MOST_SEGMENTS)
        elif now - looked > _SLOW_SECONDS:
            length = max(length // _GROWTH, 1)


def _unbroken(run: Sequence[int]) -> int:
    """How many segments at the beginning of `run` follow each other."""
    return next((place for place, (one, other) in enumerate(pairwise(run), 1) if other != one - 1), len(run))


def _lies_in(run: Sequence[int], span: Span, indexed: bool) -> ColumnElement[bool]:
    lowest, highest = max(span.lowest, run[-1] * SEGMENT_ROWS), min(span.highest, (run[0] + 1) * SEGMENT_ROWS - 1)
    if not indexed:
        return logs.c.id.between(lowest, highest)
    # in SQLite the index gives the rows of one segment in the order of their ids. The sum keeps PostgreSQL from taking
    # the index on ids instead
    lies_in = segment == run[0] if len(run) == 1 else segment.in_(run)
    return and_(lies_in, (logs.c.id + 0).between(lowest, highest))
