"""The schema's versions, forwards only (Alembic). Each is one module in `versions`; it is never edited later."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, inspect

from core.errors import Invalid
from store.database import Database

# the newest module in `versions`; a test compares the two
HEAD = "0011"
# a name of our own: a database of somebody's may hold Alembic's `alembic_version` already
VERSION_TABLE = "schema_version"

# another process may be taking over a large old database: some 5 s for a million rows
_WAIT_SECONDS = 600.0
_FOLDER = Path(__file__).parent


def upgrade_schema(database: Database) -> None:
    """Bring `database` to the schema of this code, under a lock, in one transaction.

    Raises `Invalid` when it is of a newer Heimdall or its tables are somebody else's.
    """
    # most starts end here, without the import of alembic
    with database.reading() as connection:
        if read_version(connection) == HEAD:
            return
    with database.writing(wait_seconds=_WAIT_SECONDS) as connection:
        database.lock(connection, "schema")
        # another process may have done it while this one waited
        version = read_version(connection)
        if version != HEAD:
            check_known(version, f"database {database.name}")
            run_migrations(connection, HEAD)


def read_version(connection: Connection) -> str | None:
    """The version of the schema that a database has; `None` when it has none of ours."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    version = connection.exec_driver_sql(f"SELECT version_num FROM {VERSION_TABLE}").scalar()  # noqa: S608 -- our name
    return None if version is None else str(version)


def check_known(version: str | None, what: str) -> None:
    """Raise `Invalid` when `what`, such as a database, has a schema that this Heimdall does not know."""
    from alembic.script import ScriptDirectory  # noqa: PLC0415 -- slow, and needed when the schema changes alone

    known = {script.revision for script in ScriptDirectory(_FOLDER).walk_revisions()}
    if version is not None and version not in known:
        raise Invalid(f"{what} has schema {version:.40}, newer than this Heimdall's {HEAD}: upgrade Heimdall")


def run_migrations(connection: Connection, revision: str) -> None:
    """Bring the schema forward to `revision`, in the caller's transaction and under its lock."""
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, revision)
