# ruff: noqa: S608 -- the statements are made of our own names
"""Databases that nobody is to work with: one that was moved elsewhere, and one that is still being filled by a copy.

SQLite's own triggers refuse every change of a database that was moved, whichever version of Heimdall has it open.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, inspect

from core.clock import rfc3339
from core.errors import Invalid
from store.database import Database

MOVED = "heimdall_moved"  # in SQLite: where to, and when
COPY = (
    "heimdall_copy"  # in PostgreSQL, as long as a copy has not ended; in SQLite: which copy its changes are noted for
)


def check_in_use(database: Database) -> None:
    """Whether `database` may be worked with. Raises `Invalid` when it was moved, or a copy into it has not ended."""
    with database.reading() as connection:
        moved_to = read_moved(connection)
        if moved_to is not None:
            raise Invalid(f"database {database.name} was moved to {moved_to}: set HEIMDALL_DATABASE_URL to that")
        if connection.dialect.name == "postgresql" and inspect(connection).has_table(COPY):
            raise Invalid(
                f"database {database.name} holds a copy that has not ended: go on with `heimdall copy`, or drop it"
            )


def read_moved(connection: Connection) -> str | None:
    """Where the database was moved to, without a password; `None` when it is in use."""
    if connection.dialect.name != "sqlite" or not inspect(connection).has_table(MOVED):
        return None
    return str(connection.exec_driver_sql(f"SELECT target FROM {MOVED}").scalar_one())


def mark_moved(connection: Connection, target: str, now: datetime) -> None:
    """In the caller's transaction: say that the SQLite database was moved to `target`, and refuse every change to it.

    `target` is shown to people: without a password.
    """
    query = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite!_%' ESCAPE '!'"
    names = connection.exec_driver_sql(query).scalars().all()
    connection.exec_driver_sql(f"CREATE TABLE {MOVED} (target TEXT NOT NULL, moved_at TEXT NOT NULL)")
    connection.exec_driver_sql(f"INSERT INTO {MOVED} VALUES (?, ?)", (target, rfc3339(now)))
    why = f"this database was moved to {target}: set HEIMDALL_DATABASE_URL to that, and start again".replace("'", "''")
    for name in names:
        quoted = name.replace('"', '""')
        for change in ("INSERT", "UPDATE", "DELETE"):
            connection.exec_driver_sql(
                f'CREATE TRIGGER "moved_{quoted}_{change.lower()}" BEFORE {change} ON "{quoted}"'
                f" BEGIN SELECT RAISE(ABORT, '{why}'); END"
            )
