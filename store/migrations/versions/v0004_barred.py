"""Who is barred, found without looking at everybody who is enrolled."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Make the index."""
    where = sa.text("revoked_at IS NOT NULL")
    op.create_index("enrolled_revoked", "enrolled", ["source_host"], postgresql_where=where, sqlite_where=where)
