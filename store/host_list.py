"""The list of hosts (the table `hosts`), in the order in which it is read most: the worst verdict first, then the name.

A trigger adds a host with its first sign of life. Whoever writes its verdict, its score or its tags writes them here
too, in the same transaction.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, Literal, get_args

from sqlalchemy import BindParameter, Connection, bindparam, update
from sqlalchemy.dialects import postgresql, sqlite

from core.messages import VerdictState
from store.rows import HeldVerdict
from store.tables import hosts

# what a host is held to be: one that is offline by why it is. `rank` is the place in here, so a name that is added
# between others needs a migration
Condition = Literal[
    "crashed", "silent", "zombie", "overdue", "late", "missing", "new", "unjudged", "away", "stopped", "shutdown",
    "revoked", "online",
]  # fmt: skip
CONDITIONS: tuple[Condition, ...] = get_args(Condition)
RANKS: dict[str, int] = {name: rank for rank, name in enumerate(CONDITIONS)}


TAGS_LENGTH = 500  # characters of a host's tags that are kept: they stand in an index


def rank_of(state: VerdictState, reason: str) -> int:
    """The place of a verdict in the list."""
    return RANKS.get(reason, RANKS["silent"]) if state == "offline" else RANKS[state]


def list_verdicts(connection: Connection, won: Iterable[HeldVerdict]) -> None:
    """Put hosts where their new verdicts belong; a host that is not listed yet is from now on."""
    _put(connection, "rank", [(one.source_host, rank_of(one.state, one.reason)) for one in won])


def list_tags(connection: Connection, host: str, info_json: str) -> None:
    """Keep the tags that are in what `host` says of itself."""
    kept = ""
    for tag in _read_tags(info_json):
        if tag and "\n" not in tag and "\0" not in tag and len(kept) + len(tag) < TAGS_LENGTH:
            kept = f"{kept or chr(10)}{tag}\n"
    _put(connection, "tags", [(host, kept)])


def split_tags(text: str | None) -> list[str]:
    """The tags of a row of `hosts`."""
    return text[1:-1].split("\n") if text else []


def list_scores(connection: Connection, scores: Iterable[tuple[str, int | None]]) -> None:
    """Keep the scores of hosts that are listed."""
    host: BindParameter[str] = bindparam("host", type_=hosts.c.source_host.type)
    score: BindParameter[int | None] = bindparam("given", type_=hosts.c.score.type)
    change = update(hosts).where(hosts.c.source_host == host, hosts.c.score.is_distinct_from(score))
    connection.execute(change.values(score=score), [{"host": one, "given": given} for one, given in sorted(scores)])


def _put(connection: Connection, column: str, values: Sequence[tuple[str, object]]) -> None:
    """Set `column` of hosts, in the order of their names, as others that lock rows of them do."""
    make = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    statement = make(hosts)
    unlisted = {"rank": RANKS["unjudged"], "tags": ""}
    rows = [{**unlisted, "source_host": host, column: value} for host, value in sorted(values)]
    change = {column: statement.excluded[column]}
    connection.execute(statement.on_conflict_do_update(index_elements=["source_host"], set_=change), rows)


def _read_tags(info_json: str) -> list[str]:
    told: Any = json.loads(info_json)
    tags = told.get("tags") if isinstance(told, dict) else None
    return tags if isinstance(tags, list) and all(isinstance(tag, str) for tag in tags) else []
