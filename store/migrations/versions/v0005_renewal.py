"""Renewal: which hosts are to take a new secret, and when each came by last."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add the columns."""
    moment = sa.Text().with_variant(postgresql.TIMESTAMP(timezone=True), "postgresql")
    op.add_column("enrolled", sa.Column("renew", sa.SmallInteger, nullable=False, server_default="0"))
    op.add_column("enrolled", sa.Column("visited_at", moment))
