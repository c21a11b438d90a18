"""What the watch finds out about hosts from time to time: their scores, and patterns in the fleet's outages.

Both are kept as the JSON that is shown of them, for nobody but a reader asks for their parts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import delete, insert, select

from store.database import Database
from store.host_list import list_scores
from store.tables import pattern_hosts, patterns, scores
from store.upserts import upsert_rows


class FoundScore(NamedTuple):
    """A host's score, `None` while nothing was heard of it; `told` is its JSON."""

    source_host: str
    value: int | None
    told: str


class FoundPattern(NamedTuple):
    """A pattern of `hosts`, in words and as JSON."""

    kind: str
    hosts: Sequence[str]
    words: str
    told: str


def keep_scores(database: Database, found: Sequence[FoundScore], now: datetime) -> None:
    """Keep these hosts' scores instead of what was found before."""
    if not found:
        return
    with database.writing() as connection:
        upsert_rows(connection, scores, [{**one._asdict(), "scored_at": now} for one in found])
        list_scores(connection, [(one.source_host, one.value) for one in found])


def read_score(database: Database, host: str) -> FoundScore | None:
    """The score of `host`, or `None` when there is none yet."""
    query = select(scores.c.source_host, scores.c.value, scores.c.told).where(scores.c.source_host == host)
    with database.reading() as connection:
        row = connection.execute(query).first()
    return None if row is None else FoundScore(*row)


def keep_patterns(database: Database, found: Iterable[FoundPattern], now: datetime) -> None:
    """Keep these patterns instead of all that were found before."""
    with database.writing() as connection:
        connection.execute(delete(pattern_hosts))
        connection.execute(delete(patterns))
        for one in found:
            values = {"kind": one.kind, "words": one.words, "told": one.told, "found_at": now}
            number = connection.execute(insert(patterns).values(values).returning(patterns.c.id)).scalar_one()
            of_hosts = [{"source_host": host, "pattern_id": number} for host in one.hosts]
            if of_hosts:
                connection.execute(insert(pattern_hosts), of_hosts)


def read_patterns(database: Database, host: str) -> list[FoundPattern]:
    """The patterns that `host` is part of; of their hosts it alone is named."""
    query = (
        select(patterns.c.kind, patterns.c.words, patterns.c.told)
        .join(pattern_hosts, pattern_hosts.c.pattern_id == patterns.c.id)
        .where(pattern_hosts.c.source_host == host)
        .order_by(patterns.c.id)
    )
    with database.reading() as connection:
        return [FoundPattern(row.kind, [host], row.words, row.told) for row in connection.execute(query)]
