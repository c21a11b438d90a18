"""The list of hosts (the table `hosts`), in the order in which it is read most: the worst verdict first, then the name.

A trigger adds a host with its first sign of life. Whoever writes its verdict, its score or its tags writes them here
too, in the same transaction.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, Literal, get_args

from sqlalchemy import BindParameter, Connection, FromClause, Select, bindparam, func, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from core.messages import VerdictState
from store.rows import HeldVerdict, Host
from store.tables import activity, heartbeats, hosts, verdicts

# what a host is held to be: one that is offline by why it is. `rank` is the place in here, so a name that is added
# between others needs a migration
Condition = Literal[
    "crashed", "silent", "zombie", "overdue", "late", "missing", "new", "unjudged", "away", "stopped", "shutdown",
    "revoked", "online",
]  # fmt: skip
CONDITIONS: tuple[Condition, ...] = get_args(Condition)
RANKS: dict[str, int] = {name: rank for rank, name in enumerate(CONDITIONS)}


# of the hosts that are listed, those of which anything was heard: others are enrolled, or have but told of themselves
HEARD = or_(heartbeats.c.source_host.is_not(None), activity.c.source_host.is_not(None))
# a heartbeat takes precedence; a host that an old database knows from events alone has none
LAST_SEEN = func.coalesce(heartbeats.c.last_seen, activity.c.newest_stored_at, type_=heartbeats.c.last_seen.type)

TAGS_LENGTH = 500  # characters of a host's tags that are kept: they stand in an index


def join_heard() -> FromClause:
    """The list beside what was heard of each host."""
    host = hosts.c.source_host
    heard = hosts.outerjoin(heartbeats, heartbeats.c.source_host == host)
    return heard.outerjoin(activity, activity.c.source_host == host)


def select_hosts() -> Select[Any]:
    """The list, each row as `read_row` takes it."""
    return select(
        hosts.c.source_host, func.coalesce(hosts.c.os_type, ""), LAST_SEEN, func.coalesce(activity.c.events, 0),
        hosts.c.tags, verdicts.c.state, verdicts.c.since, verdicts.c.reason, hosts.c.score, verdicts.c.back_by,
    ).select_from(join_heard().outerjoin(verdicts, verdicts.c.source_host == hosts.c.source_host))  # fmt: skip


def read_row(row: Sequence[Any]) -> Host:
    """The host in a row of `select_hosts`; of one that was never heard `os_type` is ""."""
    name, os_type, last_seen, events, tags, *verdict = row
    return Host(name, os_type, last_seen, events, split_tags(tags), *verdict)


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
