"""What Alembic runs for each upgrade: the connection, and its transaction, are the caller's."""

from __future__ import annotations

from alembic import context

from store.migrations import VERSION_TABLE
from store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"], target_metadata=metadata, version_table=VERSION_TABLE
)
context.run_migrations()
