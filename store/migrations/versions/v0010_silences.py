"""Silences, maintenance, and who has seen to an alert."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Make the table and the columns."""
    op.add_column("alerts", sa.Column("acked_at", _moment()))
    op.add_column("alerts", sa.Column("acked_by", sa.Text))
    op.create_table(
        "silences",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("maintenance", sa.SmallInteger, nullable=False),
        sa.Column("hosts", sa.Text, nullable=False),
        sa.Column("kinds", sa.Text),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("made_by", sa.Text, nullable=False),
        sa.Column("made_at", _moment(), nullable=False),
        sa.Column("begins_at", _moment(), nullable=False),
        sa.Column("until", _moment(), nullable=False),
        sa.Column("ended_at", _moment()),
    )
    op.create_index("silences_until", "silences", ["until"])


def _moment() -> sa.types.TypeEngine[str]:
    return sa.Text().with_variant(postgresql.TIMESTAMP(timezone=True), "postgresql")
