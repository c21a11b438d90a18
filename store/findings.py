"""What the watch finds out about hosts from time to time: their scores, and patterns in the fleet's outages.

Both are kept as the JSON that is shown of them, for nobody but a reader asks for their parts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import delete, insert, select

from store.database import Database, in_chunks
from store.host_list import list_scores
from store.tables import pattern_hosts, patterns, scores, verdicts
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


def keep_scores(database: Database, found: Sequence[FoundScore], now: datetime) -> list[FoundScore]:
    """Keep these hosts' scores instead of what was found before; those of hosts that were not forgotten meanwhile."""
    kept: list[FoundScore] = []
    for chunk in in_chunks(found):
        query = select(verdicts.c.source_host).where(verdicts.c.source_host.in_([one.source_host for one in chunk]))
        with database.writing() as connection:
            database.lock(connection, "verdicts")
            judged = set(connection.execute(query).scalars())
            mine = [one for one in chunk if one.source_host in judged]
            if mine:
                upsert_rows(connection, scores, [{**one._asdict(), "scored_at": now} for one in mine])
                list_scores(connection, [(one.source_host, one.value) for one in mine])
        kept += mine
    return kept


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
