# ruff: noqa: S608 -- the statements are made of our own names
"""A SQLite database of the HTTP version, taken over as it is: every row is kept, `logs` is not rewritten."""

from __future__ import annotations

import json

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from core.clock import rfc3339, utc_now
from core.errors import Invalid

_NEEDED = {
    "logs": (
        "id", "event_id", "timestamp", "source_host", "os_type", "event_type", "severity", "source_ip", "user",
        "raw_message", "created_at",
    ),
    "heartbeats": ("id", "source_host", "os_type", "last_seen", "updated_at"),
}  # fmt: skip
_DIGIT = "[0-9]"
_DATE = f"{_DIGIT * 4}-{_DIGIT * 2}-{_DIGIT * 2}"
_TIME = f"{_DIGIT * 2}:{_DIGIT * 2}:{_DIGIT * 2}.{_DIGIT * 6}"


def check_tables(connection: Connection, old: set[str], foreign: set[str]) -> None:
    """Whether the tables `old` can be taken over. Raises `Invalid`, naming table and column, if not."""
    if foreign:
        raise Invalid(f"the database has a table {min(foreign)} that is not Heimdall's: use another database")
    for table in sorted(old):
        if connection.dialect.name != "sqlite":
            raise Invalid(f"the database has a table {table} that is not Heimdall's: use another database")
        columns = connection.exec_driver_sql("SELECT * FROM pragma_table_info(?)", (table,)).mappings().all()
        by_name = {column["name"].lower(): column for column in columns}
        missing = [name for name in _NEEDED[table] if name not in by_name]
        if missing:
            raise Invalid(f"the database's table {table} has no column {missing[0]}: it is not one of Heimdall's")
        if by_name["id"]["pk"] != 1 or by_name["id"]["type"].upper() != "INTEGER":
            raise Invalid(f"the column id of the database's table {table} is not INTEGER PRIMARY KEY")
        for column in columns:
            if column["notnull"] and column["dflt_value"] is None and column["name"].lower() not in _NEEDED[table]:
                raise Invalid(f"the database's table {table} has a column {column['name']} that Heimdall cannot fill")


def adopt(connection: Connection, old: set[str]) -> None:
    """Take over the tables `old`, in the migration's transaction.

    1. Indexes: a unique one on the event's id, none that is not needed.
    2. The ids under which `POST /ingest` would bring the rows again are kept, so that they are duplicates then.
    3. `activity` is counted from the rows of `logs`.
    4. `heartbeats`: times in our format, one row a host; what has no place there goes to `dead_letters`.
    """
    if "logs" in old:
        _replace_indexes(connection)
        _keep_ids(connection)
        _count_activity(connection)
    if "heartbeats" in old:
        _adopt_heartbeats(connection)


def _indexes(connection: Connection, table: str) -> list[tuple[str, bool, str, list[str | None]]]:
    """Name, whether it holds every row unique, origin and columns of each index of `table`."""
    rows = connection.exec_driver_sql("SELECT * FROM pragma_index_list(?)", (table,)).mappings().all()
    return [
        (
            row["name"],
            bool(row["unique"]) and not row["partial"],
            row["origin"],
            list(connection.exec_driver_sql("SELECT name FROM pragma_index_info(?)", (row["name"],)).scalars()),
        )
        for row in rows
    ]


def _replace_indexes(connection: Connection) -> None:
    """A unique index on event_id, for the new rows alone where old rows share an id. Others slow each insert."""
    has_unique = False
    for name, unique, origin, columns in _indexes(connection, "logs"):
        if unique and columns == ["event_id"]:
            has_unique = True
        elif origin == "c":
            _drop_index(connection, name)
    if has_unique:
        return
    try:
        with connection.begin_nested():
            connection.exec_driver_sql("CREATE UNIQUE INDEX logs_event_id ON logs (event_id)")
    except IntegrityError:
        # the HTTP version's ids are unique within a host at most
        last = connection.exec_driver_sql("SELECT max(id) FROM logs").scalar_one()
        connection.exec_driver_sql(f"CREATE UNIQUE INDEX logs_new_event_id ON logs (event_id) WHERE id > {last}")
        connection.exec_driver_sql("CREATE INDEX logs_event_id ON logs (event_id)")


def _keep_ids(connection: Connection) -> None:
    """Old rows keep their ids, which are any text; the same event sent again comes under another one."""
    connection.exec_driver_sql("CREATE TABLE adopted_ids (event_id TEXT PRIMARY KEY) WITHOUT ROWID")
    # a NULL, for an id that stays the same, is ignored as a repetition is
    connection.exec_driver_sql(
        "INSERT OR IGNORE INTO adopted_ids SELECT other_id(source_host, event_id) FROM logs"
        " WHERE source_host <> '' AND event_id <> ''"
    )


def _drop_index(connection: Connection, name: str) -> None:
    quoted = name.replace('"', '""')
    connection.exec_driver_sql(f'DROP INDEX "{quoted}"')


def _canonical(column: str) -> str:
    """SQL for a time in our format, NULL when unreadable. The usual forms are cut by SQL alone, which is quick."""
    forms = ("T", "Z"), ("T", "+00:00Z"), ("T", "+00:00"), ("T", ""), (" ", ""), (" ", "+00:00")
    shapes = [f"{_DATE}{between}{_TIME}{zone}" for between, zone in forms]
    usual = " OR ".join(f"{column} GLOB '{shape}'" for shape in shapes)
    return (
        f"CASE WHEN {usual} THEN substr({column}, 1, 10) || 'T' || substr({column}, 12, 15) || 'Z'"
        f" ELSE readable_time({column}) END"
    )


def _count_activity(connection: Connection) -> None:
    levels = [f"severity_{level}" for level in range(1, 6)]
    counts = ", ".join(f"count(CASE WHEN severity = {name[-1]} THEN 1 END) AS {name}" for name in levels)
    connection.exec_driver_sql(
        "INSERT INTO activity (source_host, os_type, events, newest_timestamp, newest_stored_at,"
        f" {', '.join(levels)})"
        " SELECT counted.source_host, coalesce(newest.os_type, ''), events, happened, stored,"
        f" {', '.join(levels)} FROM (SELECT source_host, max(id) AS last, count(*) AS events,"
        f" max({_canonical('timestamp')}) AS happened, max({_canonical('created_at')}) AS stored, {counts}"
        " FROM logs WHERE source_host <> '' GROUP BY source_host) AS counted"
        " JOIN logs AS newest ON newest.id = counted.last"
    )


def _adopt_heartbeats(connection: Connection) -> None:
    """Rows that are superseded or say no host or time leave a dead letter with all that they held."""
    for name, _, origin, columns in _indexes(connection, "heartbeats"):
        # an index on last_seen would be rewritten with each sign of life
        if origin == "c" and columns != ["source_host"]:
            _drop_index(connection, name)
    _bury(
        connection,
        "no host: a row of the table heartbeats of the HTTP version",
        "source_host IS NULL OR source_host = ''",
    )
    _bury(
        connection,
        "superseded: an older row of this host in the table heartbeats of the HTTP version",
        "id IN (SELECT id FROM (SELECT id, row_number() OVER (PARTITION BY source_host"
        f" ORDER BY {_canonical('last_seen')} DESC, id DESC) AS place FROM heartbeats) WHERE place > 1)",
    )
    _bury(
        connection,
        "unreadable time: a row of the table heartbeats of the HTTP version, kept there without it",
        f"(last_seen IS NOT NULL AND {_canonical('last_seen')} IS NULL)"
        f" OR (updated_at IS NOT NULL AND {_canonical('updated_at')} IS NULL)",
        delete=False,
    )
    connection.exec_driver_sql(
        f"UPDATE heartbeats SET last_seen = {_canonical('last_seen')}, updated_at = {_canonical('updated_at')},"
        " os_type = coalesce(os_type, (SELECT os_type FROM activity"
        " WHERE activity.source_host = heartbeats.source_host), '')"
    )
    if not any(unique and columns == ["source_host"] for _, unique, _, columns in _indexes(connection, "heartbeats")):
        connection.exec_driver_sql("CREATE UNIQUE INDEX heartbeats_source_host ON heartbeats (source_host)")


def _bury(connection: Connection, reason: str, condition: str, *, delete: bool = True) -> None:
    """Copy the rows of `heartbeats` that fit `condition` to the dead letters, and delete them there."""
    rows = connection.exec_driver_sql(f"SELECT * FROM heartbeats WHERE {condition}").mappings().all()
    at = rfc3339(utc_now())
    for row in rows:
        payload = json.dumps(dict(row), default=str, ensure_ascii=False).encode("utf-8", "replace")
        connection.exec_driver_sql(
            "INSERT INTO dead_letters (received_at, topic, source_host, reason, size, payload)"
            " VALUES (?, '', ?, ?, ?, ?)",
            (at, row["source_host"], reason, len(payload), payload),
        )
    if delete:
        connection.exec_driver_sql(f"DELETE FROM heartbeats WHERE {condition}")
