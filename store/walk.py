"""The way through `logs` from the newest row to the oldest, in pieces.

A piece is a run of segments that takes a while and not more. What somebody asks for may be rare: then a look ends
after `LOOK_SECONDS`, and says how far it has come.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from itertools import pairwise
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, and_, func, or_, select

from store.tables import SEGMENT_ROWS, log_segments, logs, segment

LOOK_SECONDS = 0.25
_QUICK_SECONDS, _SLOW_SECONDS = 0.02, 0.08  # of a piece: the next one is larger, or smaller
_GROWTH = 4
_MOST_SEGMENTS = 512
# a writer of an older version, which counts nothing, may stand beside one of this version for a while
_SLACK = timedelta(minutes=10)


class Piece(NamedTuple):
    """That a row lies in it, and the id below which rows are left behind it; `None` when there are none."""

    condition: ColumnElement[bool]
    rest: int | None


def find_segments(connection: Connection, newest_id: int, since: datetime | None, until: datetime | None) -> list[int]:
    """The segments, newest first, that may hold rows which were stored at or after `since` and before `until`."""
    stored, excluded = log_segments.c, set[int]()
    bounds = []
    # a moment at the end of the calendar needs no slack
    with suppress(OverflowError):
        if since is not None:
            bounds.append(func.max(stored.stored_until, type_=stored.stored_until.type) < since - _SLACK)
    with suppress(OverflowError):
        if until is not None:
            bounds.append(func.min(stored.stored_from, type_=stored.stored_from.type) >= until + _SLACK)
    if bounds:
        query = select(stored.segment).group_by(stored.segment).having(or_(*bounds))
        excluded = set(connection.execute(query).scalars())
    return [number for number in range(newest_id // SEGMENT_ROWS, -1, -1) if number not in excluded]


def walk(segments: Sequence[int], *, indexed: bool, seconds: float = LOOK_SECONDS) -> Iterator[Piece]:
    """Pieces of `segments`, until they have taken `seconds`. `indexed`: for an index that begins with the segment."""
    begun = time.monotonic()
    place, length = 0, 1
    while place < len(segments):
        run = segments[place : place + length]
        if not indexed:
            run = run[: _unbroken(run)]
        place += len(run)
        looked = time.monotonic()
        yield Piece(_lies_in(run, indexed), (segments[place] + 1) * SEGMENT_ROWS if place < len(segments) else None)
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


def _lies_in(run: Sequence[int], indexed: bool) -> ColumnElement[bool]:
    if not indexed:
        return and_(logs.c.id >= run[-1] * SEGMENT_ROWS, logs.c.id < (run[0] + 1) * SEGMENT_ROWS)
    # of one segment the index gives the rows in the order of their ids
    return segment == run[0] if len(run) == 1 else segment.in_(run)
