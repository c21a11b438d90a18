# ruff: noqa: S608 -- the statements are made of our own names
"""What long lists are read by: one row a host in the order of the list, when each block of `logs` was stored, counts
of events by the minute, and an index for the type of events."""

from __future__ import annotations

import json
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0011"
down_revision = "0010"

# as `store.host_list.CONDITIONS` was then
_RANKS = (
    "crashed", "silent", "zombie", "overdue", "late", "missing", "new", "unjudged", "away", "stopped", "shutdown",
    "revoked", "online",
)  # fmt: skip
_UNJUDGED = _RANKS.index("unjudged")
_CHUNK_ROWS = 5_000
_TAGS_LENGTH = 500

_SQLITE_TRIGGERS = (
    "CREATE TRIGGER heartbeats_listed AFTER INSERT ON heartbeats BEGIN"
    " INSERT INTO hosts (source_host, os_type, rank, tags)"
    f" VALUES (NEW.source_host, NEW.os_type, {_UNJUDGED}, '')"
    " ON CONFLICT (source_host) DO UPDATE SET os_type = excluded.os_type; END",
    "CREATE TRIGGER heartbeats_renamed AFTER UPDATE OF os_type ON heartbeats WHEN NEW.os_type IS NOT OLD.os_type BEGIN"
    " UPDATE hosts SET os_type = NEW.os_type WHERE source_host = NEW.source_host; END",
)
_POSTGRESQL_TRIGGERS = (
    "CREATE FUNCTION list_host() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
    " INSERT INTO hosts (source_host, os_type, rank, tags)"
    f" VALUES (NEW.source_host, NEW.os_type, {_UNJUDGED}, '')"
    " ON CONFLICT (source_host) DO UPDATE SET os_type = excluded.os_type; RETURN NULL; END $$",
    "CREATE TRIGGER heartbeats_listed AFTER INSERT ON heartbeats FOR EACH ROW EXECUTE FUNCTION list_host()",
    "CREATE TRIGGER heartbeats_renamed AFTER UPDATE ON heartbeats FOR EACH ROW"
    " WHEN (NEW.os_type IS DISTINCT FROM OLD.os_type) EXECUTE FUNCTION list_host()",
)


def upgrade() -> None:
    """Make the tables, the triggers that list a host with its first sign of life, and the index; fill them."""
    connection = op.get_bind()
    _create_tables()
    _list_hosts(connection)
    in_postgresql = connection.dialect.name == "postgresql"
    _count_events(connection, in_postgresql)
    for statement in _POSTGRESQL_TRIGGERS if in_postgresql else _SQLITE_TRIGGERS:
        op.execute(statement)
    op.create_index("hosts_rank", "hosts", ["rank", "source_host", "os_type", "tags"])
    op.create_index("outages_began", "outages", ["began_at"])
    op.create_index("outages_ended", "outages", ["ended_at"])
    op.execute("CREATE INDEX logs_segment_type ON logs ((id / 65536), upper(event_type))")


def _create_tables() -> None:
    op.create_table(
        "hosts",
        sa.Column("source_host", _host(), primary_key=True),
        sa.Column("os_type", sa.Text),
        sa.Column("rank", sa.SmallInteger, nullable=False),
        sa.Column("score", sa.SmallInteger),
        sa.Column("tags", sa.Text, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "log_blocks",
        sa.Column("block", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("writer", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("stored_from", _moment(), nullable=False),
        sa.Column("stored_until", _moment(), nullable=False),
        sqlite_with_rowid=False,
    )
    for period in ("minute", "hour"):
        op.create_table(
            f"event_{period}s",
            sa.Column(period, _moment(), primary_key=True),
            sa.Column("writer", sa.Integer, primary_key=True, autoincrement=False),
            sa.Column("os_type", sa.Text, primary_key=True),
            sa.Column("event_type", sa.Text, primary_key=True),
            sa.Column("severity", sa.SmallInteger, primary_key=True, autoincrement=False),
            sa.Column("events", sa.BigInteger, nullable=False),
            sqlite_with_rowid=False,
        )


def _host() -> sa.types.TypeEngine[str]:
    return sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def _moment() -> sa.types.TypeEngine[str]:
    return sa.Text().with_variant(postgresql.TIMESTAMP(timezone=True), "postgresql")


def _list_hosts(connection: sa.Connection) -> None:
    """Every host that a heartbeat, an event, a verdict or its own words tell of."""
    listed = sa.text(
        "SELECT known.source_host, coalesce(b.os_type, a.os_type), v.state, v.reason, s.value, i.info FROM"
        " (SELECT source_host FROM heartbeats UNION SELECT source_host FROM activity"
        " UNION SELECT source_host FROM verdicts UNION SELECT source_host FROM host_info) AS known"
        " LEFT JOIN heartbeats AS b ON b.source_host = known.source_host"
        " LEFT JOIN activity AS a ON a.source_host = known.source_host"
        " LEFT JOIN verdicts AS v ON v.source_host = known.source_host"
        " LEFT JOIN scores AS s ON s.source_host = known.source_host"
        " LEFT JOIN host_info AS i ON i.source_host = known.source_host"
    )
    rows = [
        {
            "host": host, "os_type": os_type, "rank": _rank(state, reason), "score": score, "tags": _tags(info),
        }
        for host, os_type, state, reason, score, info in connection.execute(listed).all()
    ]  # fmt: skip
    insert = sa.text("INSERT INTO hosts VALUES (:host, :os_type, :rank, :score, :tags)")
    for start in range(0, len(rows), _CHUNK_ROWS):
        connection.execute(insert, rows[start : start + _CHUNK_ROWS])


def _rank(state: str | None, reason: str | None) -> int:
    name = reason if state == "offline" else state
    return _RANKS.index(name) if name in _RANKS else _RANKS.index("silent") if state == "offline" else _UNJUDGED


def _tags(info: str | None) -> str:
    try:
        told: Any = json.loads(info or "null")
    except (ValueError, RecursionError):
        return ""
    tags = told.get("tags") if isinstance(told, dict) else None
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        return ""
    kept = ""
    for tag in tags:
        if tag and "\n" not in tag and "\0" not in tag and len(kept) + len(tag) < _TAGS_LENGTH:
            kept = f"{kept or chr(10)}{tag}\n"
    return kept


def _count_events(connection: sa.Connection, in_postgresql: bool) -> None:
    """What is stored already. Rows of an old database whose time cannot be read are in no minute."""
    if in_postgresql:
        stored, severity = "created_at", "severity"
        minute, hour = "date_trunc('minute', stored)", "date_trunc('hour', minute)"
    else:
        ours = "length(created_at) = 27 AND substr(created_at, 27) = 'Z'"
        stored = f"CASE WHEN {ours} THEN created_at ELSE readable_time(created_at) END"
        severity = "CASE WHEN typeof(severity) = 'integer' THEN severity ELSE 0 END"
        minute = "substr(stored, 1, 16) || ':00.000000Z'"
        hour = "substr(minute, 1, 13) || ':00:00.000000Z'"
    connection.exec_driver_sql(
        f"INSERT INTO event_minutes SELECT {minute}, 0, coalesce(upper(os_type), ''),"
        f" coalesce(upper(event_type), ''), level, count(*) FROM (SELECT {stored} AS stored, os_type, event_type,"
        f" {severity} AS level FROM logs) AS told WHERE stored IS NOT NULL GROUP BY 1, 3, 4, 5"
    )
    connection.exec_driver_sql(
        f"INSERT INTO event_hours SELECT {hour}, 0, os_type, event_type, severity, sum(events) FROM event_minutes"
        " GROUP BY 1, 3, 4, 5"
    )
    connection.exec_driver_sql(
        "INSERT INTO log_blocks SELECT id / 16384, 0, min(stored), max(stored)"
        f" FROM (SELECT id, {stored} AS stored FROM logs) AS told WHERE stored IS NOT NULL GROUP BY 1"
    )
